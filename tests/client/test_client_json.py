"""JSON into samples: the PowerMonitor 500's message, and the hub's event."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from client_messages import DEVICE, MILLIS, NOW

from wattwire.client import Born, Decoder, Died, MetricInfo, Refused, RefusedError, read_record
from wattwire.client.json_bodies import place_of
from wattwire.payloads.examples import POWER, body_of
from wattwire.simulate.power_monitors import Plan, make_monitors, message_of

GOLDEN = Path(__file__).parent.parent / "payloads" / "golden"
SEED = (GOLDEN / "sparkplug_json.json").read_bytes()


DATA = DEVICE.format("DDATA")


def decode(body, topic=DATA):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Decoder().decode(topic, body, NOW)


def test_the_documented_message():
    """Every field of the message as it is documented: name, alias, value, unit, seq, uuid, time."""
    samples = decode(SEED)

    assert [
        ("voltageAN", "PM500/voltage/AN", 480.2, "V"),
        ("currentA", None, 12.1, "A"),
        ("realPower", None, 4.2, "kW"),
    ] == [(s.name, s.alias, s.value, s.unit) for s in samples]
    assert {("pm500", "edge-1", "pm-7", "<asset-uuid>", 1024)} == {
        (s.group, s.edge_node, s.device, s.uuid, s.seq) for s in samples
    }
    assert {datetime(2024, 4, 23, 18, 40, tzinfo=UTC)} == {s.time for s in samples}


def test_what_the_simulated_flow_sends():
    """Twelve metrics of a PowerMonitor 500, each with its alias."""
    monitor = make_monitors(Plan(count=1))[0]
    samples = decode(message_of(monitor, NOW.timestamp()), monitor.topic)

    assert 12 == len({(s.name, s.alias) for s in samples})
    assert {"PM500"} == {s.alias.partition("/")[0] for s in samples}


def test_what_the_hubs_format_writes():
    """The values of a reading, under their names, with the asset's uuid."""
    samples = decode(body_of("sparkplug_json"))

    assert POWER.data["values"] == {s.name: s.value for s in samples}
    assert {(POWER.metadata["uuid"], POWER.time)} == {(s.uuid, s.time) for s in samples}


@pytest.mark.parametrize(
    ("topic", "place"),
    [
        ("spBv1.0/pm500/DDATA/edge-1/pm-7", ("pm500", "DDATA", "edge-1", "pm-7")),
        ("spBv1.0/pm500/NDATA/edge-1", ("pm500", "NDATA", "edge-1", "")),
        ("spBv1.0/pm500/DDATA/edge/c1/device/t7", ("pm500", "DDATA", "edge/c1", "device/t7")),
        ("spBv1.0/pm500/NDATA/edge/c1", ("pm500", "NDATA", "edge/c1", "")),
        ("spBv1.0/pm500/DDATA/a/b/c", ("pm500", "DDATA", "a", "b/c")),
        ("spBv1.0/pm500/DDATA/edge-1", ("pm500", "DDATA", "edge-1", "")),
        ("spBv1.0/pm500/edge-1/pm-7", ("pm500", "", "edge-1", "pm-7")),
        ("spBv1.0/pm500", ("pm500", "", "", "")),
    ],
)
def test_topics_of_any_depth(topic, place):
    """Ids with levels of their own are divided in the middle."""
    assert place == tuple(place_of(topic))


def test_births_and_deaths_in_json():
    """A birth tells what there is and its values; a death is at the time of receipt."""
    born, *samples = decode(SEED, DEVICE.format("DBIRTH"))
    (died,) = decode(b'{"uuid": "u", "timestamp": 1}', DEVICE.format("DDEATH"))

    assert isinstance(born, Born)
    assert MetricInfo("voltageAN", "PM500/voltage/AN", "", "V") == born.metrics[0]
    assert (3, {True}) == (len(samples), {s.is_birth for s in samples})
    assert isinstance(died, Died)
    assert ("pm-7", "u", NOW, "DDEATH") == (died.device, died.uuid, died.time, died.said_by)


def test_times_of_metrics():
    """A metric's own time comes first, then the message's, then that of receipt."""
    metrics = [{"name": "a", "value": 1, "timestamp": MILLIS - 1000}, {"name": "b", "value": True}]

    assert [NOW - timedelta(seconds=1), NOW] == [s.time for s in decode({"metrics": metrics})]
    early = decode({"metrics": metrics, "timestamp": MILLIS - 2000})
    assert NOW - timedelta(seconds=2) == early[1].time


def test_values_as_they_are():
    """Whole numbers, numbers, truth, text and null keep their type."""
    values = [1, 1.5, True, "run", None]
    metrics = [{"name": f"m{n}", "value": value} for n, value in enumerate(values)]

    assert values == [s.value for s in decode({"metrics": metrics})]
    assert [int, float, bool, str, type(None)] == [
        type(s.value) for s in decode({"metrics": metrics})
    ]


BROKEN = [
    (b"{", ""),
    (b'{"metrics": [{"value": 1}]}', "metrics[0]"),
    (b'{"metrics": [{"name": "a", "value": [1]}]}', "metrics[0].value"),
    (b'{"metrics": [{"name": "a", "value": 1}], "timestamp": "now"}', "timestamp"),
    (b'{"metrics": [{"name": "a", "value": 1}], "timestamp": -1}', "timestamp"),
    (b'{"metrics": [{"name": "a", "value": 1, "timestamp": 9e30}]}', "metrics[0].timestamp"),
    (b'{"metrics": []}', "metrics"),
    (b'{"values": {"a": 1}}', "metrics"),
    (b'{"metrics": [' + b'{"name": "a", "value": 1},' * 5000 + b'{"name":"a","value":1}]}', ""),
    (b'{"a":' * 50_000, ""),
    (b'{"x": "' + b"x" * 2**20 + b'"}', ""),
]


@pytest.mark.parametrize(("body", "where"), BROKEN, ids=lambda b: repr(b[:40]))
def test_broken_messages_have_a_reason(body, where):
    """And a place, where there is one."""
    (refused,) = decode(body)

    assert isinstance(refused, Refused)
    assert refused.reason
    assert where in refused.where


# --- records without a topic ---


def test_a_record_of_the_flow():
    """The same samples without a topic, and with the id that an integration writes in front."""
    samples = read_record(b'{"message_id": "m-1", ' + SEED.strip()[1:])

    assert [("voltageAN", 480.2), ("currentA", 12.1), ("realPower", 4.2)] == [
        (s.name, s.value) for s in samples
    ]
    assert {("", "", "<asset-uuid>", "<asset-uuid>")} == {
        (s.group, s.device, s.uuid, s.key or s.uuid) for s in samples
    }


def test_a_record_of_the_hub():
    """An event device.telemetry: its channels, with the units that their names end in."""
    body = {
        "event": "device.telemetry", "timestamp": "2025-06-01T12:00:00Z",
        "device": {"id": "meter-1", "name": "Main meter", "type": "smart_meter"},
        "data": {"stream": "/power/1", "values": {"active_power_w": 812.5, "state": "on"}},
        "organization_id": "6f1c3a52-4b1e-4d0e-9a53-0d2c5b7f9e10",
    }  # fmt: skip
    samples = read_record(json.dumps(body))

    assert [("active_power_w", 812.5, "W"), ("state", "on", "")] == [
        (s.name, s.value, s.unit) for s in samples
    ]
    assert {("meter-1", "meter-1", "/power/1", NOW)} == {
        (s.device, s.key, s.stream, s.time) for s in samples
    }


def test_other_events_have_no_values():
    """An alert, and an event of no device."""
    alert = body_of("wattwire")
    error = {"event": "integration.error", "timestamp": "x", "device": None, "data": {"a": {}}}

    named = {**json.loads(alert), "data": {"values": "high"}}

    assert [] == read_record(alert) == read_record(json.dumps(error))
    assert [] == read_record(json.dumps(named))


def test_a_record_of_an_aws_iot_rule():
    """Where the rule has added site and asset, they are the edge node and the device."""
    (sample, *_) = read_record(b'{"site": "north", "asset": "pm-7", ' + SEED.strip()[1:])

    assert ("north", "pm-7", "north/pm-7") == (sample.edge_node, sample.device, sample.key)


@pytest.mark.parametrize(
    "body", ["\ud800", "", "[]", "1", "{}", '{"event": 1}', b"\xff", '{"metrics": 1}']
)
def test_records_that_are_neither(body):
    """A RefusedError, which is a ValueError."""
    with pytest.raises(RefusedError):
        read_record(body)
