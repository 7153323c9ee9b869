"""Compose files as Compose reads them: variables filled in, anchors and merges resolved."""

import re
from pathlib import Path

import yaml

INFRA = Path(__file__).parent.parent.parent / "infra"
STACKS = {"influxdb": INFRA / "influxdb", "hub": INFRA / "hub"}
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")
SECRET = "f1lled1n"


def text_of(stack):
    return (STACKS[stack] / "docker-compose.yml").read_text()


def example(stack):
    """What `.env.example` sets, in its order."""
    lines = (STACKS[stack] / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def variables(stack):
    """Every variable of the file: its name, `-` or `?` or None, and what follows."""
    return {(m["name"], m["kind"], m["rest"]) for m in VARIABLE.finditer(text_of(stack))}


def filled(stack, given):
    """The file with variables filled in, as `docker compose config` would."""

    def value(match):
        found = given.get(match["name"], "")
        if found:
            return found
        if match["kind"] == "-":
            return match["rest"]
        # Without a kind it is named with `?` elsewhere in the file: a test holds it to that.
        raise KeyError(match["name"])

    return yaml.safe_load(VARIABLE.sub(value, text_of(stack)))


def loaded(stack):
    """The file with the example's values, and a word for each that the example leaves open."""
    asked = {name for name, kind, _ in variables(stack) if kind == "?"}
    return filled(stack, example(stack) | dict.fromkeys(asked, SECRET))
