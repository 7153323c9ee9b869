"""Readings and rollups as SolarNetwork's results: one flat object each.

`created`, `nodeId`, `sourceId`, `localDate`, `localTime`, then the properties by the names of their
channels: first levels (`i`), then registers (`a`), then texts (`s`). An aggregate has the mean of a
level with `_min` and `_max`, and what a register rose by. What is null is left out. A channel of
energy by intervals counts as a register: its aggregate is its sum.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Final

from wattwire.rollups.buckets import zone_of
from wattwire.solarnetwork.dates import local_parts, utc_text
from wattwire.solarnetwork.numbers import as_computed, as_read
from wattwire.solarnetwork.query_parameters import Query
from wattwire.store.rollups import Rollup
from wattwire.store.solarnetwork_data import FoundReading, SourceStream

_RANK: Final = {"instantaneous": 0, "accumulating": 1, "interval": 1, "status": 2}

Property = tuple[str, Any]
#: (place, name, kind) of a channel.
Column = tuple[int, str, str]
#: Gives the properties of a register, from its place and name.
Register = Callable[[int, str], Iterator[Property]]


def columns_of(stream: SourceStream, query: Query) -> list[Column]:
    """Return the channels that a query shows, in the order of a result."""
    channels = zip(range(len(stream.names)), stream.names, stream.kinds, strict=True)
    shown = [column for column in channels if query.shows(column[1], column[2])]
    return sorted(shown, key=lambda column: (_RANK[column[2]], column[0]))


def head(stream: SourceStream, created: datetime) -> dict[str, Any]:
    """Return what every result begins with."""
    date, time = local_parts(created, zone_of(stream.time_zone))
    return {
        "created": utc_text(created),
        "nodeId": stream.node_id,
        "sourceId": stream.path,
        "localDate": date,
        "localTime": time,
    }


def fill(result: dict[str, Any], properties: Iterator[Property]) -> dict[str, Any]:
    """Add properties that have a value. One that is named like a fixed member gives way to it."""
    for name, value in properties:
        if value is not None:
            result.setdefault(name, value)
    return result


def reading_result(
    stream: SourceStream, columns: Sequence[Column], found: FoundReading
) -> dict[str, Any]:
    """Return one reading as it was taken."""
    texts, values = found.texts or (), found.values
    properties = (
        (name, _at(texts, place) if kind == "status" else as_read(_at(values, place)))
        for place, name, kind in columns
    )
    return fill(head(stream, found.time), properties)


def rollup_result(
    stream: SourceStream, columns: Sequence[Column], rollup: Rollup
) -> dict[str, Any]:
    """Return one aggregate: what registers rose by between the edges of its span."""

    def register(place: int, name: str) -> Iterator[Property]:
        yield name, as_computed(_at(rollup.total, place))

    return fill(head(stream, rollup.start), _aggregate(columns, rollup, register))


def rollup_reading(
    stream: SourceStream, columns: Sequence[Column], rollup: Rollup
) -> dict[str, Any]:
    """Return one aggregate as meters are read: the difference of registers, its start and end."""
    kinds = {place: kind for place, _, kind in columns}

    def register(place: int, name: str) -> Iterator[Property]:
        if kinds[place] == "interval":
            yield name, as_computed(_at(rollup.total, place))
            return
        yield name, as_computed(_at(rollup.difference, place))
        yield f"{name}_start", as_read(_at(rollup.first_value, place))
        yield f"{name}_end", as_read(_at(rollup.last_value, place))

    return fill(head(stream, rollup.start), _aggregate(columns, rollup, register))


def _aggregate(columns: Sequence[Column], rollup: Rollup, register: Register) -> Iterator[Property]:
    for place, name, kind in columns:
        if kind == "instantaneous":
            yield name, as_computed(_at(rollup.mean, place))
    for place, name, kind in columns:
        if kind == "instantaneous":
            yield f"{name}_min", as_read(_at(rollup.minimum, place))
            yield f"{name}_max", as_read(_at(rollup.maximum, place))
    yield from chain.from_iterable(
        register(place, name) for place, name, kind in columns if _RANK[kind] == 1
    )
    for place, name, kind in columns:
        if kind == "status":
            yield name, _at(rollup.texts, place)


def _at(values: Sequence[Any], place: int) -> Any:
    """Return the value at a place; channels that came after the row have none."""
    return values[place] if place < len(values) else None
