"""What slices noted becomes marks: each stream and hour once, and nothing is lost on the way."""

import asyncio
from datetime import UTC, datetime, timedelta

from wattwire.model import to_micros
from wattwire.rollups.recompute import Patience, recompute_once, recompute_slice
from wattwire.rollups.worker import RollupWorker
from wattwire.store import readings, rollups

NOON = datetime(2018, 6, 1, 12, tzinfo=UTC)
ONE = datetime(2018, 6, 1, 13, tzinfo=UTC)
MARKS = "SELECT stream_id, start, first_marked_at, marked_at FROM stale ORDER BY stream_id, start"


async def note(pool, hours):
    async with pool.acquire() as connection:
        await readings.note_stale(connection, hours)


async def test_many_notes_become_one_mark(pool):
    """Three slices noted two streams: two marks for noon, from the first note to the last."""
    for _ in range(3):
        await note(pool, {NOON: [1, 2]})
    await note(pool, {ONE: [2]})
    noted = [row["noted_at"] for row in await pool.fetch("SELECT noted_at FROM stale_note")]
    _, folded = await rollups.fold_notes(pool)
    marks = await pool.fetch(MARKS)

    assert 4 == folded
    assert [(1, NOON), (2, NOON), (2, ONE)] == [(m["stream_id"], m["start"]) for m in marks]
    assert (min(noted), sorted(noted)[2]) == (marks[0]["first_marked_at"], marks[0]["marked_at"])
    assert 0 == await pool.fetchval("SELECT count(*) FROM stale_note")


async def test_a_fold_does_not_wait_for_the_disk(pool):
    """A crash loses marks and deletions together; what is committed next waits as ever."""
    async with pool.acquire() as connection:
        async with connection.transaction():
            await rollups.fold_notes(connection)
            assert "off" == await connection.fetchval("SHOW synchronous_commit")
        assert "on" == await connection.fetchval("SHOW synchronous_commit")


async def test_a_further_note_keeps_the_first_time(pool):
    """The quiet limit counts from the first mark, however often the hour is noted again."""
    await note(pool, {NOON: [1]})
    await rollups.fold_notes(pool)
    before = (await pool.fetch(MARKS))[0]
    await note(pool, {NOON: [1]})
    await rollups.fold_notes(pool)
    after = (await pool.fetch(MARKS))[0]

    assert before["first_marked_at"] == after["first_marked_at"]
    assert before["marked_at"] < after["marked_at"]


async def test_what_waits_is_counted_with_the_notes(pool):
    """Nobody who watches the backlog is told that all is computed while notes are unfolded."""
    await note(pool, {NOON: [1, 2, 3]})

    assert 3 == (await rollups.count_stale(pool))["h"][0]


async def test_nothing_is_quiet_later_than_the_last_fold(make_meter, pool):
    """A mark may look quiet because newer notes are not folded: only the limit counts then."""
    meter = await make_meter(kinds=("interval",))
    await meter.write({to_micros(NOON + timedelta(minutes=5)): ([1.0], None)})
    marked = await pool.fetchval("SELECT max(marked_at) FROM stale")
    quiet = timedelta(milliseconds=20)
    await asyncio.sleep(0.03)

    patience = Patience(quiet, timedelta(hours=1), folded_at=marked + quiet / 2)
    assert 0 == (await recompute_slice(pool, "h", patience)).settled
    folded = patience._replace(folded_at=marked + quiet)
    assert 1 == len((await recompute_slice(pool, "h", folded)).changed)


async def test_a_reading_that_is_only_noted_is_computed(make_meter, pool):
    """From the note to the month's rollup, by the worker alone."""
    meter = await make_meter(kinds=("interval",))
    await meter.write({to_micros(NOON + timedelta(minutes=5)): ([1.0], None)})
    await pool.execute("DELETE FROM stale")
    await note(pool, {NOON: [meter.id]})
    worker = RollupWorker(pool, patience=Patience(timedelta(0), timedelta(seconds=1)))
    task = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(20):
            while not await meter.rollups("M"):
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert 0 == await pool.fetchval("SELECT count(*) FROM stale_note")


async def test_notes_of_a_deleted_stream_disappear(pool):
    """They are folded, found to be of nothing, and forgotten."""
    await note(pool, {NOON: [4711]})
    await recompute_once(pool, quiet=timedelta(0))

    assert {} == await rollups.count_stale(pool)
