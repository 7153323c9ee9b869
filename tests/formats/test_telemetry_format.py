"""JSON telemetry and status of single devices."""

import json

import pytest

from wattwire.formats.telemetry import decode, parse_topic
from wattwire.model import Channel, ChannelKind, RefusedError, StatusChange

NOW = 1_761_480_000_000_000
TOPIC = "netneural/org-456/devices/device-123/telemetry"
STATUS = "netneural/org-456/devices/device-123/status"


def telemetry(body, topic=TOPIC):
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode(topic, payload, NOW, "org-456")


def refusal(body, topic=TOPIC):
    with pytest.raises(RefusedError) as caught:
        telemetry(body, topic)
    return caught.value


def test_the_form_with_values():
    """Names, kinds by their ending, stream, time and quality as given; text goes to its column."""
    decoded = telemetry(
        {
            "timestamp": "2025-10-26T12:00:00.5+00:00",
            "stream": "/power/1",
            "quality": 500,
            "values": {
                "active_power_w": 21,
                "energy_import_wh": 5.5,
                "door": True,
                "mode": "auto",
                "x": None,
            },
        }
    )
    (reading,) = decoded.readings
    assert reading.shape == (
        "device-123",
        "/power/1",
        (
            Channel("active_power_w", ChannelKind.INSTANTANEOUS, "W"),
            Channel("energy_import_wh", ChannelKind.ACCUMULATING, "Wh"),
            Channel("door"),
            Channel("mode", ChannelKind.STATUS),
            Channel("x"),
        ),
    )
    assert reading.values == [21.0, 5.5, 1.0, None, None]
    assert reading.texts == (None, None, None, "auto", None)
    assert (reading.time, reading.quality) == (NOW + 500_000, 500)


def test_the_flat_form():
    """Every field but timestamp and stream is a channel of the stream /telemetry."""
    (reading,) = telemetry({"temperature": 21.5, "timestamp": 1761480000123}).readings
    assert reading.shape == ("device-123", "/telemetry", (Channel("temperature"),))
    assert (reading.values, reading.time) == ([21.5], NOW + 123_000)
    assert reading.shape is telemetry({"temperature": 3}).readings[0].shape


def test_true_and_false_become_numbers():
    """1.0 and 0.0, floats like all values, and no column of texts where there is no text."""
    (reading,) = telemetry({"door": True, "open": False, "stream": "/doors"}).readings
    assert list(map(repr, reading.values)) == ["1.0", "0.0"]
    assert reading.texts is None
    assert reading.shape == ("device-123", "/doors", (Channel("door"), Channel("open")))


def test_without_a_timestamp_it_is_the_moment_of_receipt():
    """Both forms, and null stands for left out."""
    for body in ({"t": 1}, {"values": {"t": 1}}, {"timestamp": None, "t": 1}):
        assert telemetry(body).readings[0].time == NOW


def test_a_channel_may_be_called_values():
    """Only an object under `values` makes the first form."""
    assert telemetry({"values": 3}).readings[0].shape.channels == (Channel("values"),)


def test_what_stands_beside_values_is_noted():
    """Nothing is left out in silence."""
    assert telemetry({"values": {"t": 1}, "firmware": "1.2"}).notes == ["left out: 'firmware'"]


@pytest.mark.parametrize(
    ("body", "where", "reason"),
    [
        ({}, "", "1 to 1000 channels, not 0"),
        ({"values": {}}, "", "1 to 1000 channels, not 0"),
        ({"a": {"b": 1}}, "a", "expected a value, got an object"),
        ({"a": [1]}, "a", "got a list: a list of 1"),
        ({"values": {"a": {"b": 1}}}, "values.a", "an object of 1"),
        ({"a": 1, "timestamp": "2025-10-26T12:00:00"}, "timestamp", "lacks its offset"),
        ({"a": 1, "timestamp": "yesterday"}, "timestamp", "not an ISO 8601 time: 'yesterday'"),
        ({"a": 1, "timestamp": "2" * 100}, "timestamp", "not an ISO 8601 time"),
        (
            {"a": 1, "timestamp": True},
            "timestamp",
            "ISO 8601 text or whole epoch milliseconds: true",
        ),
        ({"a": 1, "timestamp": 1.5}, "timestamp", "whole epoch milliseconds"),
        ({"a": 1, "timestamp": 1e300}, "timestamp", "between 1970 and 9999"),
        ({"a": 1, "timestamp": -1}, "timestamp", "between 1970 and 9999"),
        ({"a": 1, "stream": "power"}, "stream", "a stream is a path such as /power/1"),
        ({"a": 1, "stream": 5}, "stream", "a stream is text"),
        ({"values": {"a": 1}, "quality": 1.5}, "quality", "a whole number"),
        ({"values": {"a": 1}, "quality": -1}, "quality", "from 0 to 32767"),
        ({"a\0": 1}, "", "none of control"),
        ({"": 1}, "", "1 to 200 characters"),
        ({"a" * 201: 1}, "", "1 to 200 characters"),
        ({"a": "x\0"}, "a", "no NUL"),
        ({"a": "x" * 70_000}, "a", "at most 65536 characters"),
        ({str(i): 1 for i in range(1001)}, "", "1 to 1000 channels, not 1001"),
        (b"[1]", "", "expected an object, got a list"),
        (b'{"a": NaN}', "", "not JSON"),
        (b'{"a": 1e999}', "*", "the number is out of range"),
        (b"\xff", "", "not JSON"),
        (b"", "", "not JSON"),
        (b'{"a":' * 100_000, "*.*", "got an object"),
        (b'{"a": "\\ud800"}', "", "not JSON"),
        (b" " * 1_048_577, "", "1048577 bytes"),
    ],
)
def test_telemetry_that_is_refused(body, where, reason):
    """Each rule, with its place and the offending value."""
    error = refusal(body)
    assert reason in error.reason
    assert error.where == where


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"online", "online"),
        (b" Offline\n", "offline"),
        (b'"online"', "online"),
        ({"status": "online"}, "online"),
        ({"status": "OFFLINE", "battery": [1]}, "offline"),
    ],
)
def test_status(body, status):
    """As an object, as JSON text, as plain text."""
    decoded = telemetry(body, STATUS)
    assert decoded.statuses == (StatusChange("device-123", status, NOW),)
    assert decoded.readings == ()


def test_status_with_time_and_detail():
    """A status may say when and why."""
    body = {"status": "offline", "timestamp": 1761480000001, "detail": "battery low"}
    (change,) = telemetry(body, STATUS).statuses
    assert change == StatusChange("device-123", "offline", NOW + 1000, "battery low")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"gone",
        {"status": "gone"},
        {"status": 1},
        {},
        b"{",
        {"status": "online", "timestamp": "x"},
        {"status": "online", "detail": "\0"},
        b"\xff\xfe",
        b"online" * 100,
    ],
)
def test_status_that_is_refused(body):
    """Only online and offline exist."""
    assert refusal(body, STATUS).reason


def test_another_organization_is_refused():
    """Nobody publishes into another organization by writing it into the topic."""
    error = refusal({"a": 1}, TOPIC.replace("org-456", "org-457"))
    assert (error.where, "publisher's own" in error.reason) == ("topic", True)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "netneural",
        TOPIC + "/x",
        TOPIC.replace("devices", "things"),
        "x" + TOPIC,
        TOPIC.replace("telemetry", "commands"),
        TOPIC.replace("device-123", ""),
        TOPIC.replace("device-123", "d" * 256),
        "/" * 50,
    ],
)
def test_other_topics_are_refused(topic):
    """The tree has exactly five levels, and two of them end in what a device says."""
    with pytest.raises(RefusedError) as caught:
        parse_topic(topic)
    assert caught.value.where == "topic"
