"""The body of SolarIn's bulk upload: a JSON array of datums, each read on its own. Pure.

    [{"nodeId": 1, "created": 1559347200000, "sourceId": "/power/1",
      "i": {"watts": 231}, "a": {"wattHours": 1234}, "s": {"state": "on"}, "t": ["tag"]},
     [1559347200000, STREAM_ID_HIGH, STREAM_ID_LOW, [231], [1234], ["on"]]]

`created` is milliseconds since 1970 or a date in UTC; left out, it is the moment of receipt. The
properties may also lie under `samples`. What is no number under `i` and `a` is taken for none, as
SolarNetwork does. Tags have no place in the hub and are left out. The outcome of an instruction is
passed over: the hub gives none.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import msgspec

from wattwire.formats.columns import check_text
from wattwire.formats.kinds import unit_of
from wattwire.formats.refusals import decode_json, refused, shown
from wattwire.formats.times import from_millis
from wattwire.model import Channel, ChannelKind, RefusedError, to_micros
from wattwire.solarnetwork.dates import parse_utc
from wattwire.store.solarnetwork_data import SourceStream

MAX_DATUMS: Final = 10_000
MAX_BODY_BYTES: Final = 16 * 1024 * 1024
MAX_SOURCE: Final = 255

_ARRAY: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ITEM: Final = msgspec.json.Decoder()
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_KINDS: Final = {
    "i": ChannelKind.INSTANTANEOUS,
    "a": ChannelKind.ACCUMULATING,
    "s": ChannelKind.STATUS,
}
_WORD: Final = 2**64 - 1
_STREAM_PARTS: Final = (3, 7)  #: fewest and most members of a stream datum


@dataclass(frozen=True, slots=True)
class NodeDatum:
    """A datum of a source, with its properties by kind: i, a, s."""

    node_id: int | None  #: None: the one node that the request is about
    source_id: str
    time: int  #: µs
    properties: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class StreamDatum:
    """A datum of a stream that is known by its id, with values in the order of its properties."""

    stream_id: UUID
    time: int  #: µs
    values: tuple[Sequence[Any], Sequence[Any], Sequence[Any]]  #: i, a, s


@dataclass(frozen=True, slots=True)
class Passed:
    """Something that is understood, and that there is nothing to do about."""


Item = NodeDatum | StreamDatum | Passed | RefusedError


@dataclass(frozen=True, slots=True)
class Columns:
    """Properties as a reading has them: numbers and texts at the places of their channels."""

    channels: tuple[Channel, ...]
    values: list[float | None]
    texts: list[str | None] | None


def split(body: bytes) -> list[bytes]:
    """Return the members of the array as they stand. Raises RefusedError for anything else."""
    items = decode_json(_ARRAY, body, MAX_BODY_BYTES)
    if len(items) > MAX_DATUMS:
        raise refused(f"a body has at most {MAX_DATUMS} datums, not {len(items)}")
    return [bytes(item) for item in items]


def read_item(raw: bytes, now: int) -> Item:
    """Return what one member says, or the reason against it. `now` is its receipt, µs."""
    try:
        item = decode_json(_ITEM, raw, MAX_BODY_BYTES)
        if isinstance(item, list):
            return _stream_datum(item, now)
        if not isinstance(item, dict):
            raise refused(f"a datum is an object or a list: {shown(item)}")
        if item.get("__type__") == "InstructionStatus":
            return Passed()
        return _node_datum(item, now)
    except RefusedError as error:
        return error


def _node_datum(item: dict[str, Any], now: int) -> NodeDatum:
    if item.get("locationId") is not None:
        raise refused("datums of locations are not taken", "locationId")
    source_id = item.get("sourceId")
    if not isinstance(source_id, str) or not 0 < len(source_id) <= MAX_SOURCE:
        raise refused(f"a source ID has 1 to {MAX_SOURCE} characters", "sourceId")
    _check_name(source_id, "sourceId")
    return NodeDatum(
        _node_id(item.get("nodeId")), source_id, _time(item.get("created"), now), _samples(item)
    )


def _node_id(value: Any) -> int | None:
    if value is None or (
        isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63
    ):
        return value
    raise refused(f"a node ID is a whole number: {shown(value)}", "nodeId")


def _time(value: Any, now: int) -> int:
    if value is None:
        return now
    if isinstance(value, str):
        try:
            return to_micros(parse_utc(value))
        except ValueError as error:
            raise refused(str(error), "created") from None
    if isinstance(value, bool) or not isinstance(value, int):
        raise refused(f"a date is milliseconds or text: {shown(value)}", "created")
    return from_millis(value, "created")


def _samples(item: dict[str, Any]) -> dict[str, dict[str, Any]]:
    inner = item.get("samples")
    holder = inner if isinstance(inner, dict) else item
    samples = {kind: holder.get(kind) or {} for kind in _KINDS}
    for kind, properties in samples.items():
        if not isinstance(properties, dict):
            raise refused("properties are an object", kind)
    return samples


def _stream_datum(item: list[Any], now: int) -> StreamDatum:
    fewest, most = _STREAM_PARTS
    if not fewest <= len(item) <= most:
        raise refused(f"a stream datum has {fewest} to {most} members, not {len(item)}")
    high, low = item[1:3]
    if not all(isinstance(half, int) and not isinstance(half, bool) for half in (high, low)):
        raise refused("the id of a stream is two whole numbers")
    parts = [part or [] for part in [*item[3:6], [], [], []][:3]]
    if not all(isinstance(part, list) for part in parts):
        raise refused("the values of a stream datum are lists")
    stream_id = UUID(int=(high & _WORD) << 64 | low & _WORD)
    return StreamDatum(stream_id, _time(item[0], now), (parts[0], parts[1], parts[2]))


def columns_of(properties: Mapping[str, Mapping[str, Any]]) -> Columns:
    """Return properties as columns. Raises RefusedError for what cannot be kept."""
    named = [
        (kind, name, value) for kind, some in properties.items() for name, value in some.items()
    ]
    for _, name, _ in named:
        _check_name(name, name)
    channels = tuple(
        Channel(name, _KINDS[kind], "" if kind == "s" else unit_of(name)) for kind, name, _ in named
    )
    values = [None if kind == "s" else _number(value) for kind, _, value in named]
    texts = [_text(value, name) if kind == "s" else None for kind, name, value in named]
    return Columns(channels, values, texts if any(t is not None for t in texts) else None)


def named_values(stream: SourceStream, datum: StreamDatum) -> dict[str, dict[str, Any]]:
    """Return the values of a stream datum by name. Raises RefusedError for too many of them."""
    properties = {}
    for (letter, kind), values in zip(_KINDS.items(), datum.values, strict=True):
        names = list(_names_of(stream, kind))
        if len(values) > len(names):
            raise refused(f"the stream has {len(names)} such properties, not {len(values)}", letter)
        properties[letter] = dict(zip(names, values, strict=False))
    return properties


def _names_of(stream: SourceStream, kind: ChannelKind) -> Iterator[str]:
    kinds = {kind, ChannelKind.INTERVAL} if kind is ChannelKind.ACCUMULATING else {kind}
    return (n for n, k in zip(stream.names, stream.kinds, strict=True) if k in kinds)


def _number(value: Any) -> float | None:
    """Return a value as SolarNetwork takes it: text that is a number counts, the rest is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _text(value: Any, name: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, dict | list):
        raise refused("a status is text or a number", name)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if _SURROGATE.search(text):
        raise refused("a text is Unicode without halves of characters", name)
    check_text(text, name)
    return text


_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def _check_name(name: str, where: str) -> None:
    if _CONTROL.search(name):
        raise refused(f"a name has no characters of control: {shown(name)}", where)
