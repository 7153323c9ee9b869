"""What hours are computed from: their readings, the values beside them, resets, texts.

A constant number of queries, however many hours. Consecutive hours of one stream are one run: what
lies between them is read once.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wattwire.model import ChannelKind, to_micros
from wattwire.rollups.arithmetic import Rows
from wattwire.rollups.buckets import Bucket, Instants, bucket_of, buckets_over, zone_of
from wattwire.rollups.marking import CLOCK_TOLERANCE
from wattwire.rollups.registers import FINAL, RAW, START, Entry
from wattwire.store import rollups as store
from wattwire.store.rollups import Block, Edge, Reset, Series, Span, Value, Wanted

Places = tuple[int, ...]


class Run(NamedTuple):
    """Consecutive hours [bounds[i], bounds[i + 1]) of one stream, µs."""

    series: Series
    bounds: list[int]

    @property
    def span(self) -> Span:
        """From the start of the first hour to the end of the last."""
        return Span(self.series.stream_id, self.bounds[0], self.bounds[-1])

    @property
    def zone(self) -> tzinfo:
        """Whose local clock the hours follow."""
        return zone_of(self.series.time_zone)


class Loaded(NamedTuple):
    """What a run is computed from."""

    run: Run
    rows: Rows
    before: int | None  #: time of the nearest reading before the run
    after: int | None  #: time of the nearest reading after it


def runs_of(series: Mapping[int, Series], hours: Iterable[tuple[int, Bucket]]) -> list[Run]:
    """Join (stream, hour) pairs, given in any order and more than once, into runs."""
    runs: list[Run] = []
    for stream_id, (start, end) in sorted(set(hours)):
        if runs and runs[-1].series.stream_id == stream_id and runs[-1].bounds[-1] == start:
            runs[-1].bounds.append(end)
        else:
            runs.append(Run(series[stream_id], [start, end]))
    return runs


def places_of(series: Series, kind: ChannelKind) -> Places:
    """Return where a stream has channels of a kind."""
    return tuple(place for place, some in enumerate(series.kinds) if some == kind)


async def load_runs(connection: Any, runs: Sequence[Run]) -> list[Loaded]:
    """Read everything that the rollups of the runs depend on."""
    spans = [run.span for run in runs]
    blocks = await store.read_spans(connection, spans)
    edges = await store.read_edges(connection, spans)
    resets = await store.read_resets(connection, spans)
    texts = await _read_texts(connection, runs)
    far = await _find_far_values(connection, runs, edges)
    return [
        _assemble(run, blocks[i], edges[i], _entries(resets[i], far[i]), texts[i])
        for i, run in enumerate(runs)
    ]


async def _read_texts(connection: Any, runs: Sequence[Run]) -> list[list[Edge]]:
    asked = [i for i, run in enumerate(runs) if places_of(run.series, ChannelKind.STATUS)]
    texts: list[list[Edge]] = [[] for _ in runs]
    if asked:
        found = await store.read_texts(connection, [runs[i].span for i in asked])
        for i, some in zip(asked, found, strict=True):
            texts[i] = some
    return texts


async def _find_far_values(
    connection: Any, runs: Sequence[Run], edges: Sequence[Sequence[Edge]]
) -> list[list[tuple[int, Value]]]:
    """Return (place, value) of registers that the nearest readings around the runs do not have."""
    back, ahead = [], []
    for i, run in enumerate(runs):
        before, after = _sides(run, edges[i])
        for place in places_of(run.series, ChannelKind.ACCUMULATING):
            if before is not None and _lacks(before, place):
                back.append((i, Wanted(run.series.stream_id, place, run.bounds[0])))
            if after is not None and _lacks(after, place):
                ahead.append((i, Wanted(run.series.stream_id, place, run.bounds[-1])))
    found: list[list[tuple[int, Value]]] = [[] for _ in runs]
    last = await store.find_last_values(connection, [wanted for _, wanted in back])
    following = await store.find_next_values(connection, [wanted for _, wanted in ahead])
    for (i, wanted), value in zip(back + ahead, last + following, strict=True):
        if value is not None:
            found[i].append((wanted.place, value))
    return found


def _sides(run: Run, edges: Sequence[Edge]) -> tuple[Edge | None, Edge | None]:
    before = next((some for some in edges if to_micros(some.time) < run.bounds[0]), None)
    after = next((some for some in edges if to_micros(some.time) >= run.bounds[-1]), None)
    return before, after


def _lacks(edge: Edge, place: int) -> bool:
    return place >= len(edge.values) or edge.values[place] is None


def _entries(resets: Sequence[Reset], far: Sequence[tuple[int, Value]]) -> dict[int, list[Entry]]:
    entries: dict[int, list[Entry]] = {}
    for place, (instant, value) in far:
        entries.setdefault(place, []).append(Entry(to_micros(instant), RAW, value))
    for instant, place, final, start in resets:
        time = to_micros(instant)
        entries.setdefault(place, []).extend((Entry(time, FINAL, final), Entry(time, START, start)))
    return entries


def _assemble(
    run: Run,
    blocks: Sequence[Block],
    edges: Sequence[Edge],
    entries: dict[int, list[Entry]],
    texts: Sequence[Edge],
) -> Loaded:
    width = len(run.series.kinds)
    parts = [*blocks, *(_as_block(edge) for edge in edges)]
    times = np.concatenate([part.times for part in parts] or [np.empty(0, dtype=np.int64)])
    values = np.concatenate([_fit(part.values, width) for part in parts] or [np.empty((0, width))])
    order = np.argsort(times, kind="stable")
    said = [(to_micros(some.time), some.values) for some in texts]
    before, after = _sides(run, edges)
    return Loaded(
        run,
        Rows(times[order], values[order], said, entries),  # type: ignore[arg-type]
        before and to_micros(before.time),
        after and to_micros(after.time),
    )


def _as_block(edge: Edge) -> Block:
    values = np.array([edge.values], dtype=np.float64).reshape(1, -1)
    return Block(np.array([to_micros(edge.time)], dtype=np.int64), values)


def _fit(values: npt.NDArray[np.float64], width: int) -> npt.NDArray[np.float64]:
    """Give every reading as many values as the stream has channels by now."""
    if values.shape[1] >= width:
        return values[:, :width]
    missing = np.full((values.shape[0], width - values.shape[1]), np.nan)
    return np.concatenate((values, missing), axis=1)


def neighbours_of(loaded: Loaded) -> set[Bucket]:
    """Return the hours around a run that what changed in it may reach into.

    The hour that the next value of each register ends or lies in, because that value is counted
    from the run's last one. And the hours before the run, when a register's value there is shared
    with one in the run that is not the run's very first reading: that reading's neighbour was
    marked by whoever stored it, but which reading is the register's neighbour is known only here.
    """
    run, rows = loaded.run, loaded.rows
    start, end = run.bounds[0], run.bounds[-1]
    ahead: set[int] = set()
    back = False
    for place in places_of(run.series, ChannelKind.ACCUMULATING):
        times = _times_of(rows, place)
        ahead.update(times[np.searchsorted(times, end, "left") :][:1].tolist())
        last = times[: np.searchsorted(times, start, "left")][-1:].tolist()
        near = bool(last) and start - last[0] <= CLOCK_TOLERANCE
        back = back or (near and not _is_dense(loaded, place))
    hours = _hours_ahead(ahead, end, run.zone)
    if back:
        hours.update(buckets_over("h", start - CLOCK_TOLERANCE, start, run.zone))
    return hours


def _times_of(rows: Rows, place: int) -> Instants:
    """Return when a register has values, ascending."""
    times = rows.times[np.isfinite(rows.values[:, place])]
    entries = rows.entries.get(place)
    if not entries:
        return times
    return np.sort(np.concatenate((times, np.array([some.time for some in entries]))))


def _is_dense(loaded: Loaded, place: int) -> bool:
    """Tell whether the nearest readings around the run's start have the register's values there."""
    rows, start = loaded.rows, loaded.run.bounds[0]
    first = int(np.searchsorted(rows.times, start, "left"))
    beside = slice(max(first - 1, 0), first + 1)
    if not np.isfinite(rows.values[beside, place]).all():
        return False
    latest = max(start, *rows.times[beside].tolist())
    entries = rows.entries.get(place, ())
    return not any(start - CLOCK_TOLERANCE <= some.time <= latest for some in entries)


def _hours_ahead(times: Iterable[int], end: int, zone: tzinfo) -> set[Bucket]:
    hours: set[Bucket] = set()
    for time in times:
        if end < time <= end + CLOCK_TOLERANCE:
            hours.update(buckets_over("h", end, time, zone))
        elif time > end:
            hours.add(bucket_of("h", time - 1, zone))
    return hours
