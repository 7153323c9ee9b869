"""Stale buckets in the real database: nothing lost, nothing done twice."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from wattwire.model import to_instant, to_micros
from wattwire.rollups import recompute
from wattwire.rollups.recompute import Patience, recompute_once, recompute_slice
from wattwire.store import rollups as store

HOUR = 3_600_000_000
MINUTE = 60_000_000
NOON = to_micros(datetime(2018, 6, 1, 12, tzinfo=UTC))
NOTHING = timedelta(0)
AT_ONCE = Patience(NOTHING, NOTHING)


def rows(*items):
    """{NOON + minutes: values} from (minutes, value, …)."""
    return {NOON + int(m * MINUTE): (list(values), None) for m, *values in items}


async def compute(pool, **options):
    return await recompute_once(pool, None, NOTHING, NOTHING, **options)


async def hour(meter, hours=0):
    """The stored rollup of the hour that begins `hours` after noon."""
    return (await meter.rollups("h")).get(to_instant(NOON + hours * HOUR))


async def count_stale(pool):
    return await pool.fetchval("SELECT count(*) FROM stale")


async def test_a_reading_reaches_hour_day_and_month_in_one_pass(make_meter, pool):
    """All three are written, in local time, each reported once, and nothing is left to do."""
    meter = await make_meter("Europe/Berlin", kinds=("interval",), interval_seconds=900)
    await meter.write(rows((0, 1.5), (15, 2.5)))

    changed = await compute(pool)

    day, month = datetime(2018, 5, 31, 22, tzinfo=UTC), datetime(2018, 6, 30, 22, tzinfo=UTC)
    assert [
        ("h", to_instant(NOON), to_instant(NOON + HOUR), 4.0, 0.5),
        ("d", day, day + timedelta(days=1), 4.0, 2 / 96),
        ("M", day, month, 4.0, 2 / (30 * 96)),
    ] == [(c.bucket, c.start, c.end, c.rollup.total[0], c.rollup.completeness) for c in changed]
    assert changed[1].rollup == (await meter.rollups("d"))[day]
    assert 0 == await count_stale(pool)


async def test_only_what_changed_is_reported(make_meter, pool):
    """Marking again without a change writes nothing and reports nothing."""
    meter = await make_meter(kinds=("accumulating", "instantaneous"))
    await meter.write(rows((0, 1.0, 2.0), (30, 5.0, None)))
    await compute(pool)
    before = await pool.fetchval("SELECT max(computed_at) FROM rollup")

    await meter.write(rows((0, 1.0, 2.0), (30, 5.0, None)))

    assert [] == await compute(pool)
    assert before == await pool.fetchval("SELECT max(computed_at) FROM rollup")
    assert 0 == await count_stale(pool)


async def test_nothing_is_computed_before_it_is_quiet(make_meter, pool):
    """An hour waits for `quiet` after its last mark, at most `quiet_limit` after its first."""
    meter = await make_meter(kinds=("interval",))
    await meter.write(rows((0, 1.0)))
    first = await pool.fetchval(
        "SELECT first_marked_at FROM stale WHERE start = $1", to_instant(NOON)
    )
    second = timedelta(seconds=1)

    assert [] == await recompute_once(pool, first + second / 2, second, 30 * second)
    await pool.execute("UPDATE stale SET marked_at = $1", first + 29 * second)
    assert [] == await recompute_once(pool, first + 29.5 * second, second, 30 * second)
    assert 3 == len(await recompute_once(pool, first + 30 * second, second, 30 * second))


async def test_deleting_everything_deletes_its_rollups(make_meter, pool):
    """Hours, days and months without readings vanish, and that is reported."""
    meter = await make_meter(kinds=("interval",))
    await meter.write(rows((0, 1.0), (70, 1.0)))
    await compute(pool)

    await meter.delete(NOON, NOON + HOUR)
    one = await compute(pool)
    await meter.delete(NOON, NOON + 24 * HOUR)
    rest = await compute(pool)

    assert [("h", None), ("d", 1.0), ("M", 1.0)] == [
        (c.bucket, c.rollup and c.rollup.total[0]) for c in one
    ]
    assert [("h", None), ("d", None), ("M", None)] == [(c.bucket, c.rollup) for c in rest]
    assert 0 == await pool.fetchval("SELECT count(*) FROM rollup")


async def test_a_gap_that_ends_on_the_full_hour(make_meter, pool):
    """The hour that the reading ends is computed, although only a later one holds a reading."""
    meter = await make_meter(kinds=("accumulating",))
    await meter.write(rows((-150, 100.0)))
    await compute(pool)

    await meter.write(rows((0, 130.0)))
    await compute(pool)

    assert 30.0 == (await hour(meter, -1)).difference[0]
    assert 0.0 == (await hour(meter)).difference[0]


async def test_a_late_reading_changes_the_next_hour_that_has_a_value(make_meter, pool):
    """However far off it is, and although readings without a value lie between."""
    meter = await make_meter(kinds=("accumulating", "interval"))
    await meter.write(
        rows((-300, 100.0, 1.0), (60, None, 1.0), (200, None, 1.0), (7000, 200.0, 1.0))
    )
    await compute(pool)
    assert 100.0 == (await hour(meter, 116)).difference[0]

    await meter.write(rows((5, 150.0, 1.0)))
    await compute(pool)

    assert 50.0 == (await hour(meter)).difference[0]
    assert 50.0 == (await hour(meter, 116)).difference[0]


async def test_a_sparse_register_is_shared_with_the_hour_before(make_meter, pool):
    """Its neighbour is not the nearest reading but the nearest reading that has a value."""
    meter = await make_meter(kinds=("accumulating", "interval"))
    await meter.write(rows((-40, 100.0, 1.0), (2, None, 1.0), (5, None, 1.0)))
    await compute(pool)

    await meter.write(rows((10, 150.0, 1.0)))
    await compute(pool)

    assert 40.0 == (await hour(meter, -1)).total[0]
    assert 10.0 == (await hour(meter)).total[0]


async def test_a_register_between_silent_readings_is_shared_too(make_meter, pool):
    """The reading before the hour has no value, the one before that has."""
    meter = await make_meter(kinds=("accumulating", "interval"))
    await meter.write(rows((-80, 1.0, 1.0), (-40, 100.0, 1.0), (-5, None, 1.0)))
    await compute(pool)

    await meter.write(rows((10, 150.0, 1.0)))
    await compute(pool)

    assert 40.0 == (await hour(meter, -1)).total[0] - 99.0 / 2
    assert 10.0 == (await hour(meter)).total[0]


async def test_a_new_run_of_a_register_is_shared_with_the_hour_of_its_reset(make_meter, pool):
    """The reading before is long ago, but the register began again shortly before the hour."""
    meter = await make_meter(kinds=("accumulating",))
    await meter.write(rows((-100, 100.0)))
    await meter.reset(0, NOON - 10 * MINUTE, 140.0, 0.0)
    await compute(pool)
    assert 0.0 == (await hour(meter, -1)).total[0]

    await meter.write(rows((20, 30.0)))
    await compute(pool)

    assert (10.0, 40.0) == ((await hour(meter, -1)).total[0], (await hour(meter, -1)).difference[0])
    assert (20.0, 30.0) == ((await hour(meter)).total[0], (await hour(meter)).difference[0])


async def test_a_changed_reading_before_a_reset_changes_the_hour_of_the_reset(make_meter, pool):
    """The register's last run is counted from the changed value, hours later."""
    meter = await make_meter(kinds=("accumulating",))
    await meter.write(rows((0, 100.0), (30, 110.0), (600, 7.0)))
    await meter.reset(0, NOON + 200 * MINUTE, 150.0, 0.0)
    await compute(pool)
    assert 40.0 == (await hour(meter, 3)).difference[0]

    await meter.write(rows((30, 120.0)))
    await compute(pool)

    assert 30.0 == (await hour(meter, 3)).difference[0]


async def test_a_channel_silent_for_months_is_found_without_reading_everything(make_meter, pool):
    """Computed hours say where its last value is; a stale hour may hold a newer one."""
    meter = await make_meter(kinds=("accumulating", "interval"))
    await meter.write(rows((0, 100.0, 1.0)))
    await meter.write(rows(*[(60 * i, None, 1.0) for i in range(1, 1500)]))
    await compute(pool)
    await meter.write(rows((60 * 1500 + 5, 160.0, 1.0)))
    await compute(pool)
    assert 60.0 == (await hour(meter, 1500)).difference[0]

    await meter.write(rows((60 * 700, 130.0, 1.0)))
    await compute(pool)

    assert 30.0 == (await hour(meter, 699)).difference[0]
    assert 30.0 == (await hour(meter, 1500)).difference[0]


async def test_marks_across_local_hours_hide_no_value(make_meter, pool):
    """A mark in UTC hours touches local hours that reach beyond it; values there count on."""
    meter = await make_meter("Asia/Kathmandu", kinds=("accumulating", "interval"))
    await meter.write(
        rows(
            (-30, 100.0, 1.0), (65, None, 1.0), (70, None, 1.0), (150, None, 1.0), (210, 160.0, 1.0)
        )
    )
    await compute(pool)

    await meter.delete(NOON + 65 * MINUTE, NOON + 66 * MINUTE)
    await compute(pool)

    last = (await meter.rollups("h"))[to_instant(NOON + 195 * MINUTE)]
    assert (60.0, 100.0, 160.0) == (last.difference[0], last.first_value[0], last.last_value[0])


async def test_a_reading_stored_while_its_hour_is_computed_is_not_lost(make_meter, pool):
    """It marks the hour again, so that the next pass takes it in."""
    meter = await make_meter(kinds=("interval",))
    await meter.write(rows((0, 1.0)))

    async def meanwhile(_connection, changed):
        if changed[0].bucket == "h":
            await meter.write(rows((1, 2.0)))

    done = await recompute_slice(pool, "h", AT_ONCE, meanwhile)

    assert 1.0 == done.changed[0].rollup.total[0]
    assert 1 == done.settled  # the hour before noon; noon itself waits again
    await compute(pool)
    assert 3.0 == (await hour(meter)).total[0]


async def test_a_mark_at_the_very_same_time_is_not_lost(make_meter, pool):
    """That a row was marked again is told by the row's version, not by a clock."""
    meter = await make_meter(kinds=("interval",))
    await meter.write(rows((5, 1.0)))

    async def meanwhile(_connection, _changed):
        marked_at = await pool.fetchval("SELECT marked_at FROM stale")
        await meter.write(rows((6, 2.0)))
        await pool.execute("UPDATE stale SET marked_at = $1 WHERE bucket = 'h'", marked_at)

    await recompute_slice(pool, "h", AT_ONCE, meanwhile)
    await compute(pool)

    assert 3.0 == (await hour(meter)).total[0]


async def test_an_open_writer_neither_blocks_the_worker_nor_is_lost(make_meter, pool):
    """While a writer holds the mark the hour is computed without it, and again afterwards."""
    meter = await make_meter(kinds=("interval",))
    await meter.write(rows((5, 1.0)))

    async with pool.acquire() as writer, writer.transaction():
        await meter.write(rows((6, 2.0)), connection=writer)
        changed = await compute(pool)
        assert 1.0 == changed[0].rollup.total[0]

    await compute(pool)
    assert 3.0 == (await hour(meter)).total[0]
    assert 3.0 == next(iter((await meter.rollups("M")).values())).total[0]


async def test_two_workers_never_compute_the_same_stream(make_meter, pool):
    """What one is computing the other leaves out; it still computes other streams."""
    meter, other = await make_meter(kinds=("interval",)), await make_meter(kinds=("interval",))
    await meter.write(rows((5, 1.0)))
    seen = []

    async def meanwhile(_connection, _changed):
        await other.write(rows((5, 1.0)))
        done = await recompute_slice(pool, "h", AT_ONCE)
        seen.extend(some.stream_id for some in done.changed)

    await recompute_slice(pool, "h", AT_ONCE, meanwhile)

    assert [other.id] == seen


async def test_what_follows_is_written_in_the_same_transaction(make_meter, pool):
    """When the caller fails to write its events, no rollup is written and the hour stays stale."""
    meter = await make_meter(kinds=("interval",))
    await meter.write(rows((5, 1.0)))

    async def fail(connection, _changed):
        assert 1 == await connection.fetchval("SELECT count(*) FROM rollup")
        raise LookupError("no room for events")

    with pytest.raises(LookupError):
        await compute(pool, on_changed=fail)

    assert 0 == await pool.fetchval("SELECT count(*) FROM rollup")
    assert 1 == await count_stale(pool)


async def test_a_new_time_zone_moves_every_bucket(make_meter, pool):
    """Hours, days and months are those of the new zone; none of the old ones is left."""
    meter = await make_meter("UTC", kinds=("interval",))
    await meter.write({NOON + i * 20 * MINUTE: ([1.0], None) for i in range(300)})
    await compute(pool)

    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("UPDATE device SET time_zone = 'Asia/Kathmandu'")
        await store.rezone(connection, meter.device_id)
    await compute(pool)

    for kind, minutes in (("h", {15}), ("d", {15}), ("M", {15})):
        found = await meter.rollups(kind)
        assert minutes == {start.minute for start in found}
        assert 300.0 == sum(rollup.total[0] for rollup in found.values())


async def test_buckets_of_another_zone_are_healed(make_meter, pool):
    """A rollup that overlaps a computed one gives way, and what it held is computed anew."""
    meter = await make_meter("UTC", kinds=("interval",))
    await meter.write({NOON + i * 20 * MINUTE: ([1.0], None) for i in range(300)})
    await compute(pool)
    await pool.execute("UPDATE device SET time_zone = 'Asia/Kathmandu'")

    await meter.write({NOON + 301 * 20 * MINUTE: ([1.0], None), NOON: ([1.0], None)})
    await compute(pool)

    assert 0 == await count_stale(pool)
    stored = sorted((r.start, r.end) for r in (await meter.rollups("h")).values())
    assert all(one[1] <= two[0] for one, two in pairwise(stored))
    assert 301.0 == sum(r.total[0] for r in (await meter.rollups("h")).values())


async def test_rollups_outlive_the_readings_they_were_made_of(make_meter, pool):
    """When old months of readings are dropped a new time zone moves only what can be computed."""
    meter = await make_meter("UTC", kinds=("interval",))
    may = to_micros(datetime(2018, 5, 5, tzinfo=UTC))
    await meter.write({may: ([1.0], None), NOON: ([2.0], None)})
    await compute(pool)
    await pool.execute("DROP TABLE reading_201805")

    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("UPDATE device SET time_zone = 'America/New_York'")
        await store.rezone(connection, meter.device_id)
    await compute(pool)

    assert [1.0, 2.0] == [r.total[0] for r in (await meter.rollups("M")).values()]


async def test_slices_are_bounded_and_all_is_computed(make_meter, pool, monkeypatch):
    """With room for few values and buckets each pass takes several slices and leaves nothing."""
    monkeypatch.setattr(recompute, "SLICE_VALUES", 7)
    meter = await make_meter(kinds=("interval",))
    await meter.write({NOON + i * 10 * MINUTE: ([1.0], None) for i in range(60)})

    one = await recompute_slice(pool, "h", AT_ONCE)
    await compute(pool)

    assert 0 < len(one.changed) <= 2
    assert 60.0 == sum(r.total[0] for r in (await meter.rollups("h")).values())
    assert 0 == await count_stale(pool)


async def test_a_deleted_stream_leaves_nothing_behind(make_meter, pool):
    """Marks of a stream that is gone are forgotten."""
    meter = await make_meter(kinds=("interval",))
    await meter.write(rows((5, 1.0)))
    await pool.execute("DELETE FROM device WHERE id = $1", meter.device_id)

    assert [] == await compute(pool)
    assert 0 == await count_stale(pool)


async def test_a_channel_that_is_added_later(make_meter, pool):
    """Older readings have no value for it; what they add up to has not changed."""
    meter = await make_meter(kinds=("instantaneous",))
    await meter.write(rows((5, 1.0), (60, 2.0)))
    await compute(pool)
    await pool.execute(
        "INSERT INTO channel (stream_id, position, name, kind) "
        "VALUES ($1, 3, 'new', 'accumulating')",
        meter.id,
    )

    await meter.write(rows((5, 1.0)))
    assert [] == await compute(pool)

    await meter.write(rows((65, 3.0, None, 40.0), (70, 4.0, None, 42.0)))
    changed = await compute(pool)
    assert (3, 0, 2) == changed[0].rollup.count
    assert (None, None, 2.0) == changed[0].rollup.difference
    assert 2.0 == next(c for c in changed if c.bucket == "M").rollup.difference[2]


async def test_pages_of_rollups(make_meter, pool):
    """By stream and time, half-open, without a gap or a repeat between pages."""
    meter, other = await make_meter(kinds=("interval",)), await make_meter(kinds=("interval",))
    for some in (meter, other):
        await some.write({NOON + i * HOUR + MINUTE: ([1.0], None) for i in range(10)})
    await compute(pool)
    span = to_instant(NOON + HOUR), to_instant(NOON + 9 * HOUR)

    pages, cursor = [], None
    for _ in range(6):
        page = await store.read_rollups(
            pool, [meter.id, other.id], "h", *span, limit=3, cursor=cursor
        )
        pages += page
        cursor = (page[-1].stream_id, page[-1].start)

    assert [
        (some.id, to_instant(NOON + i * HOUR)) for some in (meter, other) for i in range(1, 9)
    ] == [(r.stream_id, r.start) for r in pages]
