"""Recomputations that change nothing: told only to those who want SolarNetwork's repeats."""

from datetime import timedelta

import pytest

from wattwire.app.rollup_events import RollupEvents
from wattwire.pipeline.effects import Interests
from wattwire.rollups.recompute import Patience
from wattwire.rollups.worker import RollupWorker

NOON = 1_530_446_400_000_000  # 2018-07-01 12:00 UTC
AT_ONCE = Patience(quiet=timedelta(0), quiet_limit=timedelta(0))


class Wakes:
    """Nobody is to be woken here."""

    def wake(self, integrations):
        self.woken = set(integrations)


@pytest.fixture
def worker(pool):
    told = RollupEvents(Interests(), Wakes())
    return RollupWorker(
        pool,
        patience=AT_ONCE,
        on_changed=told.record,
        repeating=told.repeating,
        after_commit=told.committed,
    )


async def hook(pool, organization_id, name, settings, written="solarnetwork", patterns=None):
    return await pool.fetchval(
        "INSERT INTO integration (organization_id, type, name, topics, format, format_settings,"
        " stream_patterns) VALUES ($1, 'aws_sqs', $2, '{datum/agg/update}', $3, $4, $5)"
        " RETURNING id",
        organization_id, name, written, settings, patterns,
    )  # fmt: skip


async def taken(pool, integration):
    """Take what is queued for an integration; return its (aggregation, start)s."""
    rows = await pool.fetch(
        "DELETE FROM delivery d USING event e WHERE d.integration_id = $1 AND e.id = d.event_id"
        " RETURNING d.sequence, convert_from(e.data, 'UTF8')::jsonb AS said",
        integration,
    )
    said = [row["said"]["data"] for row in sorted(rows)]
    return [(one["aggregation"], one["timestamp"]) for one in said]


async def work(worker):
    while await worker.work_through():
        pass


async def test_repeats_are_for_those_who_want_them(make_meter, pool, organization_id, worker):
    """After a mark without a change, hour, day and month come again to the hook that asked."""
    once = await hook(pool, organization_id, "once", {"user_id": 1})
    again = await hook(pool, organization_id, "again", {"user_id": 1, "repeats": True})
    elsewhere = await hook(
        pool, organization_id, "elsewhere", {"repeats": True}, patterns=["/no/such"]
    )
    other = await hook(pool, organization_id, "other", {"repeats": True}, written="wattwire")
    meter = await make_meter("Europe/Berlin", kinds=("interval",))
    await meter.write({NOON: ([1.0], None), NOON + 60_000_000: ([2.0], None)})
    await work(worker)
    first = await taken(pool, once)
    assert ["h", "d", "M"] == [aggregation for aggregation, _ in first]
    assert first == await taken(pool, again) == await taken(pool, other)

    async with pool.acquire() as connection:
        await meter.mark([NOON], connection=connection)
    await work(worker)

    assert first == await taken(pool, again)
    assert [] == [*await taken(pool, once), *await taken(pool, other)]
    assert [] == await taken(pool, elsewhere)


async def test_a_change_is_told_once_also_to_those_who_want_repeats(
    make_meter, pool, organization_id, worker
):
    """What has changed is no repeat: one event for each bucket, and one for its unchanged day."""
    again = await hook(pool, organization_id, "again", {"repeats": True})
    meter = await make_meter(kinds=("instantaneous",))
    await meter.write({NOON: ([1.0], None)})
    await work(worker)
    await taken(pool, again)
    await meter.write({NOON: ([3.0], None)})
    await work(worker)

    assert ["h", "d", "M"] == [aggregation for aggregation, _ in await taken(pool, again)]


async def test_nobody_wants_repeats_any_more(make_meter, pool, organization_id, worker):
    """A hook that is changed is heeded at once, in the transaction that computes."""
    again = await hook(pool, organization_id, "again", {"repeats": True})
    meter = await make_meter(kinds=("interval",))
    await meter.write({NOON: ([1.0], None)})
    await work(worker)
    await taken(pool, again)
    await pool.execute("UPDATE integration SET format_settings = '{}'")
    async with pool.acquire() as connection:
        await meter.mark([NOON], connection=connection)
    await work(worker)

    assert [] == await taken(pool, again)
    assert 0 == await pool.fetchval("SELECT count(*) FROM stale")
