"""The JSON Schemas of docs/schemas: what the hub writes fits them, what is broken does not."""

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from client_messages import NOW
from jsonschema import Draft202012Validator

from documented import ROOT, blocks
from wattwire.api.events import TOPICS
from wattwire.client import read_record
from wattwire.delivery.rendering import find_format
from wattwire.delivery.trial import TOPIC as TEST_TOPIC
from wattwire.payloads.examples import POWER, body_of
from wattwire.simulate.power_monitors import Plan, make_monitors, message_of

FOLDER = ROOT / "docs" / "schemas"
GOLDEN = Path(__file__).parent.parent / "payloads" / "golden"
SCHEMAS = {
    path.name.partition(".")[0]: json.loads(path.read_text()) for path in FOLDER.glob("*.json")
}
PAGE = blocks("DEVELOPER_APIS.md")
EVENTS = [json.loads(b.text) for b in PAGE if b.words[:1] == ("event",)]


def errors(name, body):
    return [error.json_path for error in Draft202012Validator(SCHEMAS[name]).iter_errors(body)]


def test_the_schemas_are_schemas():
    """Of the draft that they name, one for each payload."""
    assert {"sparkplug_json", "wattwire"} == set(SCHEMAS)
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", SCHEMAS)
def test_golden_examples_fit(name):
    """The documented payload, and what the format makes of its example."""
    assert [] == errors(name, json.loads((GOLDEN / f"{name}.json").read_text()))
    assert [] == errors(name, json.loads(body_of(name)))


def test_what_publishers_send_fits():
    """A reading in either format, and what the simulated flow says."""
    for name in SCHEMAS:
        assert [] == errors(name, json.loads(find_format(name).render(POWER)))
        odd = replace(POWER, data={"stream": "/m", "values": {"on": True, "state": "run"}})
        assert [] == errors(name, json.loads(find_format(name).render(odd)))
    monitor = make_monitors(Plan(count=1))[0]
    assert [] == errors("sparkplug_json", json.loads(message_of(monitor, NOW.timestamp())))


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: e["event"])
def test_documented_events_fit(event):
    """Every event of the page."""
    assert [] == errors("wattwire", event)


def test_every_topic_is_in_the_schema():
    """Those that integrations may ask for, and the test's."""
    assert {*TOPICS, TEST_TOPIC} == set(SCHEMAS["wattwire"]["properties"]["event"]["enum"])


METRIC = {"name": "a", "value": 1.5}
MESSAGE = {"metrics": [METRIC], "timestamp": 1713897600000, "seq": 7, "uuid": "u"}
TELEMETRY = next(event for event in EVENTS if event["event"] == "device.telemetry")
UPDATE = next(event for event in EVENTS if event["event"] == "datum/agg/update")
GONE = object()
BROKEN = [
    ("sparkplug_json", MESSAGE, ("metrics",), GONE),
    ("sparkplug_json", MESSAGE, ("metrics",), []),
    ("sparkplug_json", MESSAGE, ("metrics",), METRIC),
    ("sparkplug_json", MESSAGE, ("metrics", 0, "name"), GONE),
    ("sparkplug_json", MESSAGE, ("metrics", 0, "name"), ""),
    ("sparkplug_json", MESSAGE, ("metrics", 0, "value"), GONE),
    ("sparkplug_json", MESSAGE, ("metrics", 0, "value"), [1]),
    ("sparkplug_json", MESSAGE, ("metrics", 0, "alias"), 7),
    ("sparkplug_json", MESSAGE, ("metrics", 0, "properties"), {"unit": 1}),
    ("sparkplug_json", MESSAGE, ("timestamp",), GONE),
    ("sparkplug_json", MESSAGE, ("timestamp",), "2025-06-01T12:00:00Z"),
    ("sparkplug_json", MESSAGE, ("timestamp",), 10**15),
    ("sparkplug_json", MESSAGE, ("seq",), -1),
    ("sparkplug_json", MESSAGE, ("uuid",), 5),
    ("wattwire", TELEMETRY, ("event",), "device.unheard"),
    ("wattwire", TELEMETRY, ("timestamp",), 1713897600000),
    ("wattwire", TELEMETRY, ("timestamp",), "2025-06-01T12:00:00+02:00"),
    ("wattwire", TELEMETRY, ("device",), None),
    ("wattwire", TELEMETRY, ("device", "id"), GONE),
    ("wattwire", TELEMETRY, ("data", "values"), GONE),
    ("wattwire", TELEMETRY, ("data", "values"), {"a": [1]}),
    ("wattwire", TELEMETRY, ("data", "stream"), "power"),
    ("wattwire", TELEMETRY, ("organization_id",), GONE),
    ("wattwire", UPDATE, ("data", "aggregation"), "y"),
    ("wattwire", UPDATE, ("data", "channels"), GONE),
]


@pytest.mark.parametrize(("name", "whole", "path", "value"), BROKEN)
def test_broken_payloads_do_not_fit(name, whole, path, value):
    """One thing wrong at a time; the whole fits."""
    broken = deepcopy(whole)
    place = broken
    for step in path[:-1]:
        place = place[step]
    if value is GONE:
        del place[path[-1]]
    else:
        place[path[-1]] = value

    assert [] == errors(name, whole)
    assert errors(name, broken)


def test_what_fits_the_client_reads():
    """The whole examples give values, with the id of an integration in front, too."""
    for whole in (MESSAGE, TELEMETRY):
        assert read_record(json.dumps(whole))
        identified = {"message_id": "m-1", **whole}
        assert read_record(json.dumps(identified))
