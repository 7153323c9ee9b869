"""Stale buckets computed again: hours from readings, days from hours, months from days.

A slice of buckets is one transaction: take, read, compute, write what changed, let the caller add
what follows from it (events), mark the parents, forget what was taken.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final, NamedTuple

from wattwire.model import to_instant, to_micros
from wattwire.rollups.arithmetic import hour_rollups, period_rollup, same_values
from wattwire.rollups.buckets import (
    CHILDREN,
    HOUR,
    PARENTS,
    Bucket,
    bucket_of,
    buckets_over,
    parent_of,
    zone_of,
)
from wattwire.rollups.loading import Loaded, Run, load_runs, neighbours_of, runs_of
from wattwire.store import rollups as store
from wattwire.store.rollups import LAST, Rollup, Series, Span, Stale

SLICE_BUCKETS: Final = 500
#: A slice reads no more values than this, unless a single bucket has more.
SLICE_VALUES: Final = 2_000_000
KINDS: Final = ("h", "d", "M")

Key = tuple[int, datetime]
OnChanged = Callable[[Any, Sequence["Changed"]], Awaitable[None]]
#: Of these streams, those of which recomputations that change nothing are told, too.
Repeating = Callable[[Any, Iterable[int]], Awaitable[AbstractSet[int]]]


class Changed(NamedTuple):
    """A bucket whose values are not what they were; or are, where repeats are asked for."""

    stream_id: int
    bucket: str  #: "h", "d" or "M"
    start: datetime
    end: datetime
    rollup: Rollup | None  #: None: nothing is in the bucket any more
    same: bool = False  #: a repeat: nothing has changed


class Slice(NamedTuple):
    """What one transaction did."""

    settled: int  #: stale buckets that need no more work; 0: nothing is due, or all marked again
    changed: list[Changed]


class _Outcome(NamedTuple):
    """What was computed: a rollup, or None, for each bucket; and what is stored there by now."""

    computed: dict[tuple[int, Bucket], Rollup | None]
    stored: dict[Key, Rollup]
    settled: Sequence[Stale]
    taken: AbstractSet[tuple[int, Bucket]]  #: what was marked, without what lies beside it


async def ignore_changes(_connection: Any, _changed: Sequence[Changed]) -> None:
    """Nobody asked what changed."""


async def no_repeats(_connection: Any, _stream_ids: Iterable[int]) -> AbstractSet[int]:
    """Nobody asked for repeats."""
    return frozenset()


class Patience(NamedTuple):
    """How long a bucket waits for more readings."""

    quiet: timedelta = timedelta(seconds=1)
    quiet_limit: timedelta = timedelta(seconds=30)
    now: datetime | None = None  #: None: the database's own time
    folded_at: datetime = LAST  #: since when there may be notes that are no marks yet


async def recompute_once(
    pool: Any,
    now: datetime | None = None,
    quiet: timedelta = timedelta(seconds=1),
    quiet_limit: timedelta = timedelta(seconds=30),
    *,
    on_changed: OnChanged = ignore_changes,
) -> list[Changed]:
    """Compute all buckets that are due, hours, days and months; return what changed."""
    patience = Patience(quiet, quiet_limit, now)
    while (await store.fold_notes(pool))[1]:
        pass
    changed: list[Changed] = []
    for kind in KINDS:
        settled = True
        while settled:
            done = await recompute_slice(pool, kind, patience, on_changed)
            changed += done.changed
            settled = done.settled > 0
    return changed


async def recompute_slice(
    pool: Any,
    kind: str,
    patience: Patience,
    on_changed: OnChanged = ignore_changes,
    *,
    repeating: Repeating = no_repeats,
    limit: int = SLICE_BUCKETS,
    skip: Iterable[int] = (),
) -> Slice:
    """Compute some due buckets of a kind in one transaction; the callbacks run inside of it."""
    async with pool.acquire() as connection, connection.transaction():
        taken = await take_due(connection, kind, patience, limit=limit, skip=skip)
        if not taken:
            return Slice(0, [])
        series = await store.find_series(connection, (some.stream_id for some in taken))
        compute = _compute_hours if kind == "h" else _compute_periods
        outcome = await compute(connection, kind, taken, series)
        repeat = await repeating(connection, series)
        changed = await _write(connection, kind, outcome, series, repeat)
        if changed:
            await on_changed(connection, changed)
        settled = await store.forget_stale(connection, kind, outcome.settled)
        return Slice(settled, changed)


async def take_due(
    connection: Any, kind: str, patience: Patience, *, limit: int, skip: Iterable[int]
) -> list[Stale]:
    """Take due buckets of a kind for the caller's transaction."""
    return await store.take_stale(
        connection,
        kind,
        now=patience.now,
        quiet=patience.quiet,
        quiet_limit=patience.quiet_limit,
        limit=limit,
        skip=skip,
        folded_at=patience.folded_at,
    )


async def _compute_hours(
    connection: Any, kind: str, taken: Sequence[Stale], series: Mapping[int, Series]
) -> _Outcome:
    wanted = {some: _hours_touched(some, series) for some in taken}
    settled = await _within_budget(connection, wanted, series)
    hours = {(some.stream_id, hour) for some in settled for hour in wanted[some]}
    runs = runs_of(series, hours)
    loaded = await load_runs(connection, runs)
    beside = {(some.run.series.stream_id, hour) for some in loaded for hour in neighbours_of(some)}
    further = runs_of(series, beside - hours)
    if further:
        loaded += await load_runs(connection, further)
    stored = await store.read_stored(connection, kind, [some.run.span for some in loaded])
    computed = {key: rollup for some in loaded for key, rollup in _hours_of_run(some)}
    return _Outcome(computed, stored, settled, hours)


def _hours_touched(stale: Stale, series: Mapping[int, Series]) -> list[Bucket]:
    """Return the hours that share an instant with the marked one, which may not be of this zone."""
    known = series.get(stale.stream_id)
    if known is None:
        return []
    start = to_micros(stale.start)
    return list(buckets_over("h", start, start + HOUR, zone_of(known.time_zone)))


async def _within_budget(
    connection: Any, wanted: Mapping[Stale, Sequence[Bucket]], series: Mapping[int, Series]
) -> list[Stale]:
    """Return as many of the stale hours, from the first, as do not hold too many values."""
    spans = [
        Span(stale.stream_id, hours[0][0], hours[-1][1]) if hours else Span(stale.stream_id, 0, 0)
        for stale, hours in wanted.items()
    ]
    weights = await store.weigh_spans(connection, spans, SLICE_VALUES)
    settled: list[Stale] = []
    budget = SLICE_VALUES
    for stale, readings in zip(wanted, weights, strict=True):
        known = series.get(stale.stream_id)
        budget -= readings * len(known.kinds) if known else 0
        if budget < 0 and settled:
            break
        settled.append(stale)
    return settled


def _hours_of_run(loaded: Loaded) -> Iterable[tuple[tuple[int, Bucket], Rollup | None]]:
    run: Run = loaded.run
    rollups = hour_rollups(run.series, run.bounds, loaded.rows)
    hours = pairwise(run.bounds)
    return (
        ((run.series.stream_id, hour), rollup) for hour, rollup in zip(hours, rollups, strict=True)
    )


async def _compute_periods(
    connection: Any, kind: str, taken: Sequence[Stale], series: Mapping[int, Series]
) -> _Outcome:
    buckets = sorted(
        {
            (some.stream_id, bucket_of(kind, to_micros(some.start), zone_of(known.time_zone)))
            for some in taken
            if (known := series.get(some.stream_id)) is not None
        }
    )
    spans = [Span(stream_id, *bucket) for stream_id, bucket in buckets]
    children = await store.read_children(connection, CHILDREN[kind], spans)
    stored = await store.read_stored(connection, kind, spans)
    computed = {
        (stream_id, bucket): period_rollup(series[stream_id], kind, *bucket, some)
        for (stream_id, bucket), some in zip(buckets, children, strict=True)
    }
    return _Outcome(computed, stored, taken, set(buckets))


async def _write(
    connection: Any,
    kind: str,
    outcome: _Outcome,
    series: Mapping[int, Series],
    repeat: AbstractSet[int],
) -> list[Changed]:
    """Write what is different from what is stored; mark what depends on it; return it.

    With it comes what was taken and is the same, of streams in `repeat`.
    """
    changed = _compare(kind, outcome)
    same = _repeated(kind, outcome, changed, repeat) if repeat else []
    foreign = _find_foreign(outcome)
    keys = [(some.stream_id, some.start) for some in changed]
    gone = [key for key, some in zip(keys, changed, strict=True) if some.rollup is None]
    await store.delete_rollups(connection, kind, sorted([*gone, *foreign]))
    await store.write_rollups(connection, [some.rollup for some in changed if some.rollup])
    # What was computed for another time zone may reach beyond what was computed now.
    await store.mark_stale(connection, kind, foreign)
    parents = _parents(
        kind, keys + foreign + [(some.stream_id, some.start) for some in same], series
    )
    if parents:
        await store.mark_stale(connection, PARENTS[kind], parents)
    return changed + same


def _compare(kind: str, outcome: _Outcome) -> list[Changed]:
    changed = []
    for (stream_id, bucket), rollup in sorted(outcome.computed.items(), key=lambda item: item[0]):
        old = outcome.stored.get((stream_id, to_instant(bucket[0])))
        if (rollup or old) and not (rollup and old and same_values(rollup, old)):
            start, end = map(to_instant, bucket)
            changed.append(Changed(stream_id, kind, start, end, rollup))
    return changed


def _repeated(
    kind: str, outcome: _Outcome, changed: Sequence[Changed], repeat: AbstractSet[int]
) -> list[Changed]:
    """Return the buckets of these streams that were taken and have not changed."""
    told = {(some.stream_id, some.start) for some in changed}
    again = []
    for stream_id, bucket in sorted(outcome.taken):
        rollup = outcome.computed.get((stream_id, bucket))
        start, end = map(to_instant, bucket)
        if stream_id in repeat and rollup and (stream_id, start) not in told:
            again.append(Changed(stream_id, kind, start, end, rollup, same=True))
    return again


def _find_foreign(outcome: _Outcome) -> list[Key]:
    """Return stored buckets that overlap a computed one without being one."""
    own = {(stream_id, to_instant(start)) for stream_id, (start, _) in outcome.computed}
    return sorted(outcome.stored.keys() - own)


def _parents(kind: str, keys: Iterable[Key], series: Mapping[int, Series]) -> list[Key]:
    if kind not in PARENTS:
        return []
    return sorted(
        {
            (stream_id, to_instant(parent_of(kind, to_micros(start), zone_of(known.time_zone))[0]))
            for stream_id, start in keys
            if (known := series.get(stream_id)) is not None
        }
    )
