"""Rows of rollups as the items of a list: many thousand figures at a time, so without detours.

What is the same for all rows of a stream, its layout, is worked out once; the figures of a row then
go from the arrays of the store into the members of their channels without a step in Python each.
"""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from wattwire.store.devices import StreamDetail


class Level(msgspec.Struct, gc=False):
    """Members of an instantaneous channel, in the order of its columns."""

    count: int
    mean: float | None
    min: float | None
    max: float | None


class Register(msgspec.Struct, gc=False):
    """Members of an accumulating channel."""

    count: int
    total: float | None
    difference: float | None
    start: float | None
    end: float | None


class Interval(msgspec.Struct, gc=False):
    """Members of a channel of energy by intervals."""

    count: int
    sum: float | None


class Status(msgspec.Struct, gc=False):
    """Members of a text channel."""

    count: int
    value: str | None


class Item(msgspec.Struct, gc=False):
    """One hour, day or month of one stream."""

    stream: str
    start: Any
    end: Any
    readings: int
    completeness: float | None
    channels: dict[str, Any]


#: What a kind of channel shows, and the columns that it comes from.
_KINDS: Final[dict[str, tuple[Any, tuple[str, ...]]]] = {
    "instantaneous": (Level, ("count", "mean", "minimum", "maximum")),
    "accumulating": (Register, ("count", "total", "difference", "first_value", "last_value")),
    "interval": (Interval, ("count", "total")),
    "status": (Status, ("count", "texts")),
}

Pick = Callable[[Sequence[Any]], Sequence[Any]]


class _Group(NamedTuple):
    """The channels of one kind in a layout."""

    members: Any
    columns: tuple[str, ...]
    pick: Pick


class _Layout(NamedTuple):
    """Where the figures of a stream's channels stand, for rows of one width."""

    names: Sequence[str]  #: in the order of the channels
    groups: Sequence[_Group]
    order: Pick  #: puts what the groups give, one after the other, into the order of the names


def show_rollups(
    rows: Sequence[Any], streams: Sequence[StreamDetail], only: frozenset[str] | None
) -> list[Item]:
    """Return the items of a page; `only` names the channels that are wanted, None all."""
    by_id = {stream.id: stream for stream in streams}
    layouts: dict[tuple[int, int], _Layout] = {}
    items = []
    for row in rows:
        key = (row["stream_id"], len(row["count"]))
        layout = layouts.get(key)
        if layout is None:
            layout = layouts[key] = _layout(by_id[key[0]], key[1], only)
        items.append(_item(row, by_id[key[0]].path, layout))
    return items


def _item(row: Any, path: str, layout: _Layout) -> Item:
    shown: list[Any] = []
    for members, columns, pick in layout.groups:
        shown.extend(map(members, *[pick(row[column]) for column in columns]))
    channels = dict(zip(layout.names, layout.order(shown), strict=True))
    return Item(path, row["start"], row["end"], row["readings"], row["completeness"], channels)


def _layout(stream: StreamDetail, width: int, only: frozenset[str] | None) -> _Layout:
    """Arrange the channels by kind. Those that came later than a row are not in its `width`."""
    wanted = [
        (place, channel)
        for place, channel in enumerate(stream.channels[:width])
        if only is None or channel.name in only
    ]
    kinds = list(dict.fromkeys(channel.kind for _, channel in wanted))
    places = {kind: [p for p, c in wanted if c.kind == kind] for kind in kinds}
    groups = [_Group(*_KINDS[kind], _pick(places[kind], width)) for kind in kinds]
    given = [place for kind in kinds for place in places[kind]]
    order = [given.index(place) for place, _ in wanted]
    return _Layout([channel.name for _, channel in wanted], groups, _pick(order, len(given)))


def _pick(places: Sequence[int], width: int) -> Pick:
    """Return what picks these places out of a sequence of this width, as a sequence."""
    if list(places) == list(range(width)):
        return lambda values: values
    if len(places) == 1:
        return lambda values, place=places[0]: (values[place],)  # type: ignore[misc]
    return itemgetter(*places) if places else lambda _: ()
