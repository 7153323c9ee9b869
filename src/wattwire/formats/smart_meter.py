"""The smart meter's day message: all readings of one local day, in one strict JSON object.

    {"deviceId": "6ede44a4-…", "dataFrequencyMins": 15, "date": "2022-03-01",
     "electricReadings": [{"timestampUtcEpochSecs": 1646092800, "consumptionKwh": 0.111}, …]}

A timestamp is the start of its interval (the format's own sample begins its day at 00:00:00).
"""

import json
import re
from collections.abc import Callable, Sequence
from datetime import date as calendar_date
from math import inf
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from wattwire.formats.days import day_intervals
from wattwire.formats.refusals import decode_json, refused, shown
from wattwire.formats.remembering import Memory
from wattwire.formats.shapes import check_key
from wattwire.model import Channel, ChannelKind, Decoded, Reading, RefusedError, Shape

STREAM: Final = "/consumption"
CHANNEL: Final = Channel("energy_import_wh", ChannelKind.INTERVAL, "Wh")
FREQUENCIES: Final = (15, 30, 60)
YEARS: Final = range(1970, 9999)
MICROS: Final = 1_000_000

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SHAPES: Final[Memory[str, Shape]] = Memory(32 * 1024 * 1024)


class _Interval(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    timestampUtcEpochSecs: int  # noqa: N815 - the format's own words
    consumptionKwh: float  # noqa: N815 - the format's own words


class _Day(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    deviceId: str  # noqa: N815 - the format's own words
    dataFrequencyMins: int  # noqa: N815 - the format's own words
    date: str
    electricReadings: list[_Interval]  # noqa: N815 - the format's own words


_DECODER: Final = msgspec.json.Decoder(_Day)


def decode(payload: bytes, zone_of: Callable[[str], ZoneInfo]) -> Decoded:
    """Return a day's readings: one per interval, kWh turned into Wh exactly.

    `zone_of` gives the zone that the meter's days are counted in; what it raises passes through.
    Raises RefusedError for anything but exactly the format and exactly the day's intervals.
    """
    message = decode_json(_DECODER, payload)
    _check_no_repeats(payload, message)
    shape = _shape_of(message.deviceId)
    expected = _expected(message, zone_of(message.deviceId))
    rows = message.electricReadings
    if [row.timestampUtcEpochSecs for row in rows] != list(expected):
        raise _wrong_times(rows, expected, message.dataFrequencyMins)
    return Decoded(
        [
            Reading(shape, row.timestampUtcEpochSecs * MICROS, (wh,))
            for row, wh in zip(rows, _watt_hours(rows), strict=True)
        ]
    )


def encode(
    device_id: str, day: calendar_date, minutes: int, readings: Sequence[tuple[int, float]]
) -> bytes:
    """Return the day message; `readings` are (epoch seconds of the interval's start, kWh)."""
    rows = [_Interval(seconds, kwh) for seconds, kwh in readings]
    return msgspec.json.encode(_Day(device_id, minutes, day.isoformat(), rows))


def _shape_of(device: str) -> Shape:
    shape = _SHAPES.get(device)
    if shape is None:
        check_key(device, "deviceId")
        shape = Shape(device, STREAM, (CHANNEL,))
        _SHAPES.put(device, shape, len(device))
    return shape


def _expected(message: _Day, zone: ZoneInfo) -> range:
    minutes, text = message.dataFrequencyMins, message.date
    if minutes not in FREQUENCIES:
        raise refused(f"the frequency must be 15, 30 or 60 minutes: {minutes}", "dataFrequencyMins")
    try:
        day = calendar_date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or day.year not in YEARS:
        raise refused(f"not a date such as 2023-11-21: {shown(text)}", "date")
    expected = day_intervals(day, minutes, zone)
    if not expected:
        raise refused(f"the zone {zone.key} has no day {text}", "date")
    return expected


def _watt_hours(rows: list[_Interval]) -> list[float]:
    """Return the consumption in Wh. Raises RefusedError for one that is negative or too large.

    Multiplied as decimals, as the meter wrote them: the shortest text of a float, moved by three
    places. 0.111 kWh is 111.0 Wh, where binary multiplication may end a digit off.
    """
    values = [row.consumptionKwh for row in rows]
    if min(values) < 0.0:
        raise _first_wrong(values, "the consumption must not be negative")
    exact = [_times_thousand(repr(abs(value))) for value in values]
    if max(exact) == inf:
        raise _first_wrong(values, "the consumption is too large")
    return exact


def _times_thousand(text: str) -> float:
    if "e" not in text:
        return float(text + "e3")
    digits, exponent = text.split("e")
    return float(f"{digits}e{int(exponent) + 3}")


def _first_wrong(values: list[float], rule: str) -> RefusedError:
    at = next(i for i, value in enumerate(values) if value < 0 or value * 1e3 == inf)
    return refused(f"{rule}: {values[at]!r}", f"electricReadings[{at}].consumptionKwh")


def _wrong_times(rows: list[_Interval], expected: range, minutes: int) -> RefusedError:
    """Return the reason why these are not the day's intervals: the first row that is wrong."""
    times = [row.timestampUtcEpochSecs for row in rows]
    before = [None, *times]
    for at, (time, previous) in enumerate(zip(times, before, strict=False)):
        rule = _rule_broken(time, previous, expected, minutes)
        if rule:
            return refused(rule, f"electricReadings[{at}].timestampUtcEpochSecs")
    return refused(
        f"the day has {len(expected)} intervals of {minutes} minutes, the message {len(rows)}"
        f"{_first_gap(times, expected)}",
        "electricReadings",
    )


def _first_gap(times: list[int], expected: range) -> str:
    missing = next((time for time, got in zip(expected, times, strict=False) if time != got), None)
    return "" if missing is None else f"; the first that is missing starts at {missing}"


def _rule_broken(time: int, previous: int | None, expected: range, minutes: int) -> str:
    if not expected.start <= time < expected.stop:
        day = f"{expected.start} to {expected.stop}"
        return f"the timestamp lies outside the day ({day}): {shown(time)}"
    if (time - expected.start) % expected.step:
        return f"the timestamp is not a multiple of {minutes} minutes from the day's start: {time}"
    if previous == time:
        return f"the timestamp is there twice: {time}"
    if previous is not None and time < previous:
        return f"the timestamps must ascend: {time} after {previous}"
    return ""


def _check_no_repeats(payload: bytes, message: _Day) -> None:
    """Refuse a field that is there twice, of which a JSON decoder keeps the last in silence.

    Without escapes, each field and nothing else but the device's key brings one colon.
    """
    rows = len(message.electricReadings)
    if b"\\" in payload:
        json.loads(payload, object_pairs_hook=_pairs_once)
    elif payload.count(b":") != 4 + 2 * rows + message.deviceId.count(":") + message.date.count(
        ":"
    ):
        raise refused("a field is there twice")


def _pairs_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise refused("a field is there twice")
    return fields
