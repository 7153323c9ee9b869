"""Counters, partitions, the statements of the queue."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest

from wattwire.store import deliveries, ledger
from wattwire.store.deliveries import AttemptRow, Dead, Settlement

DAY = date(2026, 3, 1)


async def names(pool, table):
    rows = await pool.fetch(
        "SELECT c.relname FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid"
        " WHERE h.inhparent = $1::regclass ORDER BY 1",
        table,
    )
    return [row[0] for row in rows]


@pytest.fixture
async def pool(pool):
    """Connections to a database without the days around today."""
    days = [name for table in ("event", "attempt") for name in await names(pool, table)]
    await pool.execute(f"DROP TABLE {', '.join(d for d in days if not d.endswith('default'))}")
    return pool


async def test_days_are_made_ahead(pool):
    """From yesterday to three days from now, for events and attempts, once."""
    made = await ledger.ensure_partitions(pool_connection := await pool.acquire(), DAY)
    again = await ledger.ensure_partitions(pool_connection, DAY)
    await pool.release(pool_connection)

    assert 10 == len(made)
    assert [] == again
    assert [
        "attempt_20260228", "attempt_20260301", "attempt_20260302", "attempt_20260303",
        "attempt_20260304", "attempt_default",
    ] == await names(pool, "attempt")  # fmt: skip


async def test_several_hubs_make_the_same_days_at_once(pool):
    """Who comes second finds them made."""

    async def make():
        async with pool.acquire() as connection:
            return await ledger.ensure_partitions(connection, DAY)

    await asyncio.gather(*[make() for _ in range(4)])

    assert 6 == len(await names(pool, "event"))


async def test_rows_of_a_missing_day_are_kept_and_moved(pool, organization_id):
    """A hub whose upkeep lagged still wrote them; their day takes them over when it is made."""
    await pool.execute(
        "INSERT INTO event (id, created_at, organization_id, topic, time, data)"
        " VALUES (gen_random_uuid(), $1, $2, 't', now(), '{}')",
        datetime(2026, 3, 2, 12, tzinfo=UTC),
        organization_id,
    )
    async with pool.acquire() as connection:
        await ledger.ensure_partitions(connection, DAY)

    assert 0 == await pool.fetchval("SELECT count(*) FROM event_default")
    assert 1 == await pool.fetchval("SELECT count(*) FROM event_20260302")


async def test_attempts_of_a_missing_day_keep_their_ids(pool, organization_id):
    """Pages of a listing that was begun before go on where they were."""
    row = AttemptRow(
        1, organization_id, "m", None, None, "", "", 1, datetime(2026, 3, 2, tzinfo=UTC), 1.0,
        "delivered",
    )  # fmt: skip
    async with pool.acquire() as connection:
        await deliveries.write_attempt(connection, row)
        before = await pool.fetchval("SELECT id FROM attempt")
        await ledger.ensure_partitions(connection, DAY)
        await deliveries.write_attempt(connection, row)

    ids = [r["id"] for r in await pool.fetch("SELECT id FROM attempt_20260302 ORDER BY id")]
    assert [before, before + 1] == ids


async def test_old_days_are_dropped(pool):
    """Those that ended before the date; the default stays."""
    async with pool.acquire() as connection:
        await ledger.ensure_partitions(connection, DAY)
        dropped = await ledger.drop_partitions(connection, "attempt", date(2026, 3, 2))

    assert ["attempt_20260228", "attempt_20260301"] == dropped
    assert "attempt_default" in await names(pool, "attempt")


async def test_counters_of_many_at_once(story):
    """One statement, one snapshot, in the order of the ids; the unknown have zeros."""
    one, two = await story.integrate("one"), await story.integrate("two")
    await story.cause(3, one)
    await story.cause(2, one, two)
    found = await ledger.counters_of(story.pool, [one, two, 999])

    assert [(5, 5), (2, 2), (0, 0)] == [(c.matched, c.waiting) for c in found.values()]
    assert all(c.closes for c in found.values())


@pytest.mark.parametrize(("claimed", "shown"), [(0, 0), (2, 2), (50, 3), (-1, 0)])
async def test_in_flight_never_breaks_the_sum(story, claimed, shown):
    """A stale figure of in flight is cut to what is there."""
    one = await story.integrate()
    await story.cause(3, one)
    await story.pool.execute("INSERT INTO integration_state VALUES ($1)", one)
    await story.pool.execute("UPDATE integration_state SET in_flight = $1", claimed)
    counters = await story.counters(one)

    assert (shown, 3 - shown) == (counters.in_flight, counters.waiting)


async def test_a_settlement_written_twice_counts_once(story):
    """The answer to a commit was lost, so it is written again: the rows are gone already."""
    one = await story.integrate()
    await story.cause(3, one)
    rows = await story.pool.fetch("SELECT sequence FROM delivery ORDER BY sequence")
    await story.pool.execute("INSERT INTO lease VALUES ('l', 'me', 1, now())")
    first, second, _ = [row["sequence"] for row in rows]
    done = Settlement(
        one, "l", 1, datetime.now(UTC), delivered=[first], dead=[Dead(second, 1, "no")]
    )
    async with story.pool.acquire() as connection:
        for _ in range(2):
            await deliveries.settle_delivered(connection, [done])
            await deliveries.settle_others(connection, [done])
    counters = await story.counters(one)

    assert (1, 1, 1) == (counters.delivered, counters.dead, counters.waiting)
    assert 1 == len(await story.letters(one))


async def test_what_cannot_be_stored_does_not_stop_the_rest(story):
    """One attempt row that PostgreSQL refuses: its message is counted, the others are complete."""
    one, two = await story.integrate("one"), await story.integrate("two")
    async with story.working():
        lane = story.worker.lanes[one]
        await story.cause(1, one)
        await story.quiet()
        odd = AttemptRow(
            one, story.organization, "m", None, None, "", "", 1, datetime.now(UTC), 1.0, "odd",
        )  # fmt: skip
        story.worker.put(
            Settlement(one, lane.lease, lane.epoch, datetime.now(UTC), attempts=[odd]),
            lambda: None,
        )
        await story.cause(4, one, two)
        await story.quiet()

    assert 5 == (await story.counters(one)).delivered
    assert 4 == (await story.counters(two)).delivered
    assert 5 == len(await story.attempts(one))


async def test_the_age_of_a_message_is_that_of_its_row(story):
    """Rows of integrations that were told to give up early are found by their front."""
    one = await story.integrate()
    await story.cause(5, one)
    now = datetime.now(UTC)
    early = await deliveries.find_expired(story.pool, [(one, now - timedelta(hours=1))], 10)
    late = await deliveries.find_expired(story.pool, [(one, now + timedelta(hours=1))], 3)

    assert ([], 3) == (early, len(late))
