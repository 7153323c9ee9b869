"""The compose files are what they say: by the specification's schema, and by rules of their own."""

import ipaddress
import json
import re
from pathlib import Path

import jsonschema
import pytest
from compose_files import STACKS, VARIABLE, example, filled, loaded, text_of, variables

from wattwire.app.serve import ROLES
from wattwire.settings import Settings

SCHEMA = json.loads((Path(__file__).parent / "compose_spec.json").read_text())
stacks = pytest.mark.parametrize("stack", STACKS)


def services(stack):
    return [pytest.param(stack, name, id=f"{stack}-{name}") for name in loaded(stack)["services"]]


every_service = pytest.mark.parametrize(
    ("stack", "name"), [p for stack in STACKS for p in services(stack)]
)


@stacks
def test_it_is_a_compose_file(stack):
    """With the example's values it is valid by the Compose specification's own schema."""
    jsonschema.Draft7Validator(SCHEMA).validate(loaded(stack))


@stacks
def test_the_schema_would_say_so(stack):
    """The same check refuses a misspelt key, so that passing it means something."""
    document = loaded(stack)
    next(iter(document["services"].values()))["helthcheck"] = {}

    assert list(jsonschema.Draft7Validator(SCHEMA).iter_errors(document))


@stacks
def test_variables_are_those_of_the_example(stack):
    """Each variable is in `.env.example`, and nothing is there that no file uses."""
    assert set(example(stack)) == {name for name, _, _ in variables(stack)}


@stacks
def test_defaults_are_those_of_the_example(stack):
    """A default in the file is the example's value: leaving a line out changes nothing."""
    defaults = {name: rest for name, kind, rest in variables(stack) if kind == "-"}

    assert {name: example(stack)[name] for name in defaults} == defaults


@stacks
def test_what_the_example_leaves_open_must_be_given(stack):
    """Without a secret nothing starts: the file asks for it by name. No secret is committed."""
    asked = {name for name, kind, _ in variables(stack) if kind == "?"}
    plain = {name for name, kind, _ in variables(stack) if kind is None}
    secret = {n for n in example(stack) if re.search("PASSWORD|TOKEN|SECRET", n)}

    assert plain <= asked
    assert secret <= asked
    assert {""} == {example(stack)[name] for name in asked}
    for name in asked:
        with pytest.raises(KeyError, match=name):
            filled(stack, example(stack) | dict.fromkeys(asked - {name}, "x"))


@every_service
def test_images_are_pinned(stack, name):
    """Each image has an exact version: three numbers, no digest, never `latest`."""
    image = loaded(stack)["services"][name]["image"]

    assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?", image), image
    assert image.count(".") >= 2 or image.startswith("postgres:"), image


@every_service
def test_it_is_looked_after(stack, name):
    """It is restarted, watched and bounded; what runs once is neither restarted nor watched."""
    service = loaded(stack)["services"][name]
    once = name in {"migrate", "backup"}

    assert ("no" if once else "unless-stopped") == service["restart"]
    assert {"cpus", "memory"} <= set(service["deploy"]["resources"]["limits"])
    assert "no-new-privileges:true" in service["security_opt"]
    assert "max-size" in service["logging"]["options"]
    if not once and service["image"] != loaded("hub")["services"]["api"]["image"]:
        assert service["healthcheck"]["test"][0] == "CMD"


@stacks
def test_ports_are_bound_to_loopback(stack):
    """Nothing is published to other machines unless somebody says so."""
    ports = [p for s in loaded(stack)["services"].values() for p in s.get("ports", ())]

    assert ports
    for port in ports:
        address, outside, inside = port.split(":")
        assert ipaddress.ip_address(address).is_loopback, port
        assert 0 < int(outside) < 65536, port
        assert 0 < int(inside) < 65536, port


@stacks
def test_volumes_and_files_are_there(stack):
    """Named volumes are declared, all of them used; what is mounted from here exists."""
    document = loaded(stack)
    mounts = [
        volume.split(":")[0]
        for service in document["services"].values()
        for volume in service.get("volumes", ())
    ]
    files = {m for m in mounts if m.startswith(".")}
    made = {example(stack).get("BACKUP_DIRECTORY")}

    assert set(document["volumes"]) == set(mounts) - files
    for file in files - made:
        assert (STACKS[stack] / file).exists(), file


@stacks
def test_dependencies_are_services_that_can_be_waited_for(stack):
    """What is waited for to be healthy has a health check; what must end runs once."""
    document = loaded(stack)["services"]
    hub_image = loaded("hub")["services"]["api"]["image"]  # its Dockerfile has the check
    for name, service in document.items():
        for other, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_completed_successfully":
                assert document[other]["restart"] == "no", (name, other)
            else:
                assert wanted["condition"] == "service_healthy", (name, other)
                watched = "healthcheck" in document[other] or document[other]["image"] == hub_image
                assert watched, (name, other)


def test_profiles_of_influxdb():
    """InfluxDB alone by default; the rest by profile, each with what it needs."""
    found = {n: s.get("profiles", []) for n, s in loaded("influxdb")["services"].items()}

    assert found == {
        "influxdb": [],
        "telegraf": ["telegraf"],
        "prometheus": ["grafana"],
        "grafana": ["grafana"],
        "backup": ["backup"],
    }


def test_settings_of_the_hub_exist():
    """Every WATTWIRE_ variable that a container is given is one of the hub, with a good value."""
    given = {}
    for service in loaded("hub")["services"].values():
        found = {k: v for k, v in service.get("environment", {}).items() if k.startswith("WATT")}
        given |= found
    fields = {name.removeprefix("WATTWIRE_").lower(): value for name, value in given.items()}

    assert set(fields) <= set(Settings.model_fields)
    assert Settings(**fields).durability == "replicated"


def test_every_role_is_played_once():
    """The roles of the containers are the hub's, each in one service, and all are one command."""
    commands = {n: s["command"] for n, s in loaded("hub")["services"].items() if "command" in s}
    workers = {n: c for n, c in commands.items() if c[0] == "worker"}

    assert sorted(ROLES) == sorted(c[2] for c in workers.values())
    assert set(workers) == {c[2] for c in workers.values()}
    assert ["migrate"] == commands["migrate"]
    assert 1 == loaded("hub")["services"]["door"].get("deploy", {}).get("replicas", 1)


def test_nats_has_room_for_the_log():
    """What a node may keep is at least twice the bound of the log, by default and in words."""
    found = example("hub")
    # NATS counts in powers of two.
    kept = int(found["NATS_MAX_FILE_STORE"].removesuffix("GB")) * 2**30

    assert kept >= 2 * int(found["WATTWIRE_LOG_MAX_BYTES"])


def test_both_stacks_meet_in_one_network():
    """Names that one stack uses for what runs in the other lead there."""
    hub, influx = loaded("hub"), loaded("influxdb")

    assert hub["networks"]["wattwire"] == influx["networks"]["wattwire"]
    assert ["hub"] == hub["services"]["api"]["networks"]["wattwire"]["aliases"]
    for role in ("delivery", "sources"):
        assert "wattwire" in hub["services"][role]["networks"]


@stacks
def test_the_example_explains_itself(stack):
    """Every variable stands under a comment."""
    text = (STACKS[stack] / ".env.example").read_text()
    for paragraph in text.strip().split("\n\n"):
        assert paragraph.startswith("#") or not example(stack).keys() & set(
            re.findall(r"^(\w+)=", paragraph, re.MULTILINE)
        ), paragraph


def test_variables_are_found_by_this_test():
    """The pattern sees each of the three ways in which Compose names a variable."""
    found = [m.groupdict() for m in VARIABLE.finditer("${A} ${B:-x:y} ${C:?is missing}")]

    assert [("A", None, None), ("B", "-", "x:y"), ("C", "?", "is missing")] == [
        tuple(m.values()) for m in found
    ]
    assert not re.search(r"\$[A-Z]", text_of("hub"))
