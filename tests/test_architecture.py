"""Rooms keep to their doors: who may import whom. Only `app` knows them all."""

import ast
from pathlib import Path

import pytest

import wattwire

PACKAGE = Path(wattwire.__file__).parent
#: A room may import itself, `model`, `endings`, and the rooms listed for it.
MAY_IMPORT = {
    "model": set(),
    "endings": set(),
    "brokers": set(),
    "settings": set(),
    "formats": set(),
    "payloads": {"formats"},  # both pure; Sparkplug's wire format is said once
    "mqtt": set(),
    "engines": {"settings", "store"},  # leases: the statements are store's
    "store": {"settings", "formats", "rollups"},  # rollups: only its pure values, see below
    "intake": {"formats"},
    "pipeline": {"formats", "intake", "store", "rollups"},  # the log's names; which hours are stale
    "rollups": {"store"},
    "delivery": {"formats", "integrations", "payloads", "store"},
    "integrations": {"brokers", "formats"},  # an edge node writes Sparkplug B
    "sources": {"brokers", "formats", "mqtt"},
    "simulate": {"brokers", "formats", "mqtt", "sources"},
    "client": {"formats"},  # for consumers: nothing of the hub comes along
    "api": {"formats", "integrations", "mqtt", "payloads", "settings", "sources", "store",
            "rollups", "solarnetwork"},
    "solarnetwork": {"api", "formats", "integrations", "rollups", "settings", "store"},
    "reference": {"api", "formats", "integrations", "payloads", "settings", "solarnetwork",
                  "sources"},
    "cli": {"api", "app", "engines", "formats", "integrations", "reference", "settings",
            "simulate", "sources", "store", "delivery"},
}  # fmt: skip


def files_of(room):
    return [f for f in (PACKAGE / f"{room}.py", *(PACKAGE / room).rglob("*.py")) if f.exists()]


def reached_by(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module == "wattwire":
                yield from (alias.name for alias in node.names)
            names = [module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("wattwire."))


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_keeps_to_its_doors(room):
    """A room imports itself, the nouns, the rooms listed for it, and nothing else of ours."""
    reached = {name for file in files_of(room) for name in reached_by(file)} - {"__version__"}

    assert files_of(room)
    assert set() == reached - {room, "model", "endings"} - MAY_IMPORT[room]


def test_every_room_is_listed():
    """A new folder or module is given its doors here."""
    rooms = {
        path.stem
        for path in PACKAGE.iterdir()
        if (path.suffix == ".py" or (path.is_dir() and list(path.glob("*.py"))))
        and not path.stem.startswith("__")
    }

    assert set() == rooms - set(MAY_IMPORT) - {"app"}


def test_only_the_store_speaks_sql():
    """No other room executes statements of its own."""
    verbs = ("SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM")
    speaking = {
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        if file.relative_to(PACKAGE).parts[0] != "store"
        and any(
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value.startswith(verbs)
            and node.value != "SELECT 1"
            for node in ast.walk(ast.parse(file.read_text()))
        )
    }

    assert set() == speaking
