"""The body of `POST /api/v1/readings`: many readings, each with its own verdict.

    {"readings": [{"device": "meter-1", "stream": "/power/1", "time": "2025-06-01T12:00:00Z",
                   "values": {"active_power_w": 100, "energy_import_wh": 512.5},
                   "quality": 192, "kinds": {"energy_import_wh": "accumulating"},
                   "units": {"active_power_w": "W"}}]}

`time` is ISO 8601 with an offset or whole epoch milliseconds; left out, it is the moment of
receipt. `quality`, `kinds` and `units` may be left out: `kinds.py` has the rule that then applies.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from wattwire.formats.columns import Value, check_quality, reading_of
from wattwire.formats.refusals import decode_json, refused
from wattwire.formats.shapes import Declared
from wattwire.formats.times import from_either
from wattwire.model import ChannelKind, Quality, Reading, RefusedError

MAX_READINGS: Final = 10_000
MAX_BODY_BYTES: Final = 16 * 1024 * 1024  #: 10,000 readings of a dozen values and more


class _Item(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    device: str
    stream: str
    values: dict[str, Value]
    time: str | int | None = None
    quality: int = Quality.GOOD.value
    kinds: dict[str, ChannelKind] | None = None
    units: dict[str, str] | None = None


class _Body(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    readings: list[_Item]


class _RawBody(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    readings: list[msgspec.Raw]


_BODY: Final = msgspec.json.Decoder(_Body)
_RAW_BODY: Final = msgspec.json.Decoder(_RawBody)
_ITEM: Final = msgspec.json.Decoder(_Item)


def decode(body: bytes, now: int) -> list[Reading | RefusedError]:
    """Return a reading or the reason against it for each item, in order.

    `now` is the moment of receipt in microseconds. Raises RefusedError when the body as a whole
    is not understood: not JSON, not this object, too large, more than 10,000 readings.
    """
    return [_verdict(item, at, now) for at, item in enumerate(_items(body))]


def _items(body: bytes) -> Sequence[_Item | msgspec.Raw]:
    """Read all items at once, which is fast; one that is wrong has them read one by one."""
    items: Sequence[_Item | msgspec.Raw]
    try:
        items = decode_json(_BODY, body, MAX_BODY_BYTES).readings
    except RefusedError:
        items = decode_json(_RAW_BODY, body, MAX_BODY_BYTES).readings
    if len(items) > MAX_READINGS:
        raise refused(f"a body has at most {MAX_READINGS} readings, not {len(items)}", "readings")
    return items


def _verdict(item: _Item | msgspec.Raw, at: int, now: int) -> Reading | RefusedError:
    try:
        if isinstance(item, msgspec.Raw):
            item = decode_json(_ITEM, bytes(item), MAX_BODY_BYTES)
        return _reading(item, now)
    except RefusedError as error:
        where = f"readings[{at}].{error.where}".removesuffix(".")
        return refused(error.reason, where)


def _reading(item: _Item, now: int) -> Reading:
    time = now if item.time is None else from_either(item.time, "time")
    units, kinds = _declared(item)
    return reading_of(
        item.device,
        item.stream,
        tuple(item.values),
        list(item.values.values()),
        time,
        units=units,
        kinds=kinds,
        quality=check_quality(item.quality, "quality"),
    )


def _declared(item: _Item) -> tuple[Declared, Declared]:
    """Return the declared units and kinds, or refuse those that contradict the values."""
    if item.units is None and item.kinds is None:
        return (), ()
    units, kinds = item.units or {}, item.kinds or {}
    for where, names in (("units", units.keys()), ("kinds", kinds.keys())):
        unknown = names - item.values.keys()
        if unknown:
            raise refused(f"there is no value of that name: {min(unknown)!r}", where)
    for name, kind in kinds.items():
        _check_kind(name, kind, item.values[name])
    return tuple(sorted(units.items())), tuple(sorted(kinds.items()))


def _check_kind(name: str, kind: ChannelKind, value: Value) -> None:
    if value is not None and isinstance(value, str) != (kind is ChannelKind.STATUS):
        raise refused("text is of the kind status, and nothing else is", f"kinds.{name}")
