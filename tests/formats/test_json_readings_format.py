"""The body of POST /api/v1/readings."""

import json

import pytest

from wattwire.formats.json_readings import MAX_READINGS, decode
from wattwire.model import Channel, ChannelKind, Reading, RefusedError

NOW = 1_748_779_200_000_000  # 2025-06-01T12:00:00Z
ITEM = {
    "device": "meter-1",
    "stream": "/power/1",
    "time": "2025-06-01T12:00:00Z",
    "values": {"active_power_w": 100},
}


def verdicts(*items):
    return decode(json.dumps({"readings": items}).encode(), NOW)


def test_the_documented_example():
    """The shape fixed for all: device, stream, time, values."""
    (reading,) = verdicts(ITEM)
    assert reading == Reading(
        ("meter-1", "/power/1", (Channel("active_power_w", ChannelKind.INSTANTANEOUS, "W"),)),
        NOW,
        [100.0],
    )


def test_what_may_be_declared():
    """Quality, kinds and units override the rule that goes by names."""
    item = ITEM | {
        "values": {"a": 1, "b_wh": 2, "c": "on", "d": True, "e": None},
        "quality": 0,
        "kinds": {"a": "accumulating", "b_wh": "interval", "e": "status"},
        "units": {"a": "kWh"},
    }
    (reading,) = verdicts(item)
    assert reading.shape.channels == (
        Channel("a", ChannelKind.ACCUMULATING, "kWh"),
        Channel("b_wh", ChannelKind.INTERVAL, "Wh"),
        Channel("c", ChannelKind.STATUS),
        Channel("d"),
        Channel("e", ChannelKind.STATUS),
    )
    assert reading.values == [1.0, 2.0, None, 1.0, None]
    assert (reading.texts, reading.quality) == ((None, None, "on", None, None), 0)


@pytest.mark.parametrize(
    "time",
    [
        "2025-06-01T12:00:00Z",
        "2025-06-01T14:00:00+02:00",
        "2025-06-01 12:00:00.000+00:00",
        1748779200000,
        None,
    ],
)
def test_times(time):
    """ISO 8601 with an offset, epoch milliseconds; left out it is the moment of receipt."""
    assert verdicts(ITEM | {"time": time})[0].time == NOW


@pytest.mark.parametrize(
    ("changes", "where", "reason"),
    [
        ({"time": "2025-06-01T12:00:00"}, "time", "lacks its offset from UTC"),
        ({"time": "2025-06-01"}, "time", "lacks its offset"),
        ({"time": "noon"}, "time", "not an ISO 8601 time: 'noon'"),
        ({"time": 1.5}, "time", "expected"),
        ({"time": True}, "time", "got true or false: true"),
        ({"time": 10**30}, "time", "between 1970 and 9999"),
        ({"device": 5}, "device", "expected text, got a whole number: 5"),
        ({"device": ""}, "device", "1 to 255 characters"),
        ({"stream": "x"}, "stream", "a path such as /power/1"),
        ({"values": {}}, "", "1 to 1000 channels, not 0"),
        ({"values": {"a": [1]}}, "values.a", "a list of 1"),
        ({"values": {"a": {}}}, "values.a", "an object of 0"),
        ({"values": [1]}, "values", "expected an object, got a list"),
        ({"quality": 70000}, "quality", "from 0 to 32767: 70000"),
        ({"quality": "good"}, "quality", "expected a whole number"),
        ({"kinds": {"x": "status"}}, "kinds", "no value of that name: 'x'"),
        ({"units": {"x": "W"}}, "units", "no value of that name: 'x'"),
        ({"units": {"active_power_w": "W" * 41}}, "active_power_w", "at most 40"),
        ({"kinds": {"active_power_w": "status"}}, "kinds.active_power_w", "text is of the kind"),
        ({"kinds": {"active_power_w": "gauge"}}, "kinds.*", "'gauge'"),
        ({"colour": 1}, "", "unknown field 'colour'"),
    ],
)
def test_a_reading_that_is_refused(changes, where, reason):
    """Each rule, with the place inside the body; the readings around it are taken."""
    first, wrong, last = verdicts(ITEM, ITEM | changes, ITEM)
    assert isinstance(first, Reading)
    assert isinstance(last, Reading)
    assert isinstance(wrong, RefusedError)
    assert reason in wrong.reason
    assert wrong.where == f"readings[1].{where}".removesuffix(".")


@pytest.mark.parametrize("field", ["device", "stream", "values"])
def test_required_fields(field):
    """Each of the three is named when it is not there."""
    item = {key: value for key, value in ITEM.items() if key != field}
    assert verdicts(item)[0].reason == f"the object lacks the required field '{field}'"


def test_text_of_another_kind_is_refused():
    """A text cannot be added up."""
    item = ITEM | {"values": {"a": "on"}, "kinds": {"a": "instantaneous"}}
    assert "text is of the kind status" in verdicts(item)[0].reason


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"readings": 1}',
        b'{"readings": [1',
        b'{"readings": [], "x": 1}',
        b"\xff",
        b'{"readings": [' + b"[" * 100_000,
    ],
)
def test_bodies_that_are_refused(body):
    """What is no such object as a whole has no verdicts, but one reason."""
    with pytest.raises(RefusedError):
        decode(body, NOW)


def test_text_that_is_not_utf8_is_its_own_readings_fault():
    """Broken text in one reading leaves the others alone."""
    body = json.dumps({"readings": [ITEM, ITEM | {"device": "?"}]}).encode().replace(b"?", b"\xff")
    good, bad = decode(body, NOW)
    assert isinstance(good, Reading)
    assert (bad.where, "UTF-8" in bad.reason) == ("readings[1]", True)


def test_a_body_has_at_most_ten_thousand_readings():
    """10,000 are taken, one more is not."""
    assert len(verdicts(*[ITEM] * MAX_READINGS)) == MAX_READINGS
    with pytest.raises(RefusedError, match="at most 10000"):
        verdicts(*[ITEM] * (MAX_READINGS + 1))


def test_no_readings_are_no_fault():
    """An empty list has no verdicts."""
    assert verdicts() == []
