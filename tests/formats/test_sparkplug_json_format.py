"""JSON on Sparkplug topics, as the PowerMonitor 500 flow publishes it."""

import json

import pytest

from wattwire.formats.sparkplug_json import decode
from wattwire.model import Channel, ChannelKind, RefusedError, StatusChange

NOW = 1_713_897_601_000_000
SEED = {
    "metrics": [
        {
            "name": "voltageAN",
            "alias": "PM500/voltage/AN",
            "value": 480.2,
            "properties": {"unit": "V"},
        },
        {"name": "currentA", "value": 12.1, "properties": {"unit": "A"}},
        {"name": "realPower", "value": 4.2, "properties": {"unit": "kW"}},
    ],
    "timestamp": 1713897600000,
    "seq": 1024,
    "uuid": "<asset-uuid>",
}


def take(message, topic="spBv1.0/pm500/DDATA/edge-1/pm-7"):
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return decode(topic, payload, NOW)


def without_uuid(**changes):
    return {key: value for key, value in SEED.items() if key != "uuid"} | changes


def test_the_payload_of_the_seed():
    """The documented payload as it stands: seq above 255, text alias, unit property, asset uuid."""
    (reading,) = take(SEED).readings
    assert reading.shape == (
        "<asset-uuid>",
        "/metrics",
        (
            Channel("voltageAN", ChannelKind.INSTANTANEOUS, "V"),
            Channel("currentA", ChannelKind.INSTANTANEOUS, "A"),
            Channel("realPower", ChannelKind.INSTANTANEOUS, "kW"),
        ),
    )
    assert reading.values == [480.2, 12.1, 4.2]
    assert reading.time == 1_713_897_600_000_000
    assert reading.shape is take(SEED).readings[0].shape


@pytest.mark.parametrize(
    ("topic", "device"),
    [
        ("spBv1.0/pm500/DDATA/edge-1/pm-7", "pm500/edge-1/pm-7"),
        ("spBv1.0/pm500/NDATA/edge-1", "pm500/edge-1"),
        ("spBv1.0/pm500/DDATA/edge/cell-1/device/asset-7", "pm500/edge/cell-1/device/asset-7"),
        ("spBv1.0/pm500/site-a/asset-7", "pm500/site-a/asset-7"),
        ("spBv1.0/pm500", "pm500"),
    ],
)
def test_without_uuid_the_topic_names_the_device(topic, device):
    """However many levels there are, and whether or not one of them is a message type."""
    assert take(without_uuid(), topic).readings[0].shape.device == device


def test_registers_are_known_by_their_unit():
    """A metric in kWh is a register."""
    message = without_uuid(metrics=[{"name": "e", "value": 1, "properties": {"unit": "kWh"}}])
    assert take(message).readings[0].shape.channels == (
        Channel("e", ChannelKind.ACCUMULATING, "kWh"),
    )


def test_metrics_with_times_of_their_own():
    """One reading for each time; without any timestamp it is the moment of receipt."""
    metrics = [
        {"name": "a", "value": 1, "timestamp": 5000},
        {"name": "b", "value": True},
        {"name": "c", "value": "on", "timestamp": 5000},
    ]
    first, second = take({"metrics": metrics}).readings
    assert (first.time, first.values, first.texts) == (5_000_000, [1.0, None], (None, "on"))
    assert (second.time, second.values) == (NOW, [1.0])


@pytest.mark.parametrize(
    ("message_type", "status"),
    [("NBIRTH", "online"), ("DBIRTH", "online"), ("NDEATH", "offline"), ("DDEATH", "offline")],
)
def test_births_and_deaths(message_type, status):
    """They change the status; a birth's values are readings, a death's are not."""
    decoded = take(SEED, f"spBv1.0/pm500/{message_type}/e")
    assert decoded.statuses == (StatusChange("<asset-uuid>", status, NOW, message_type),)
    assert len(decoded.readings) == (status == "online")


def test_fields_that_are_not_known_are_ignored():
    """Later versions of the flow may add what they like."""
    assert take(SEED | {"site": {"a": [1, {}]}}).readings


@pytest.mark.parametrize(
    ("message", "where"),
    [
        (without_uuid(metrics=[]), ""),
        (without_uuid(metrics=[{"name": "a"}]), "metrics[0]"),
        (without_uuid(metrics=[{"name": "a", "value": [1]}]), "metrics[0].value"),
        (without_uuid(metrics=[{"name": "a", "value": 1}] * 2), ""),
        (without_uuid(metrics=[{"name": "a", "value": 1}] * 5001), "metrics"),
        (without_uuid(metrics=[{"name": "", "value": 1}]), ""),
        (without_uuid(timestamp="now"), "timestamp"),
        (without_uuid(timestamp=10**20), "timestamp"),
        (without_uuid(uuid=5), "uuid"),
        (without_uuid(uuid="x" * 256), "uuid"),
        (b"{", ""),
        (b'{"x":' + b"[" * 100_000, ""),
    ],
)
def test_messages_that_are_refused(message, where):
    """Each with its place."""
    with pytest.raises(RefusedError) as caught:
        take(message)
    assert caught.value.where == where


@pytest.mark.parametrize(
    "topic", ["", "spBv1.0", "spBv1.0/", "other/pm500/x", "spBv1.0/" + "x" * 300]
)
def test_topics_that_are_refused(topic):
    """Only this namespace, and a device key that can be kept."""
    with pytest.raises(RefusedError):
        take(without_uuid(), topic)
