"""The worker: computes soon, only with the lease, survives what cannot be computed."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg

from wattwire.model import to_micros
from wattwire.rollups.recompute import Patience
from wattwire.rollups.worker import RollupWorker

NOON = to_micros(datetime(2018, 6, 1, 12, 5, tzinfo=UTC))
SOON = Patience(timedelta(milliseconds=50), timedelta(seconds=1))


@asynccontextmanager
async def running(worker):
    task = asyncio.create_task(worker.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=5)


async def until(condition):
    """Wait until the condition holds; fail after some seconds."""
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_it_computes_what_is_marked_and_says_so_after_the_commit(make_meter, pool):
    """The callback in the transaction comes first, the other one when others can see the rollup."""
    meter = await make_meter(kinds=("interval",))
    order = []

    async def on_changed(_connection, changed):
        order.append([some.bucket for some in changed])

    worker = RollupWorker(
        pool, patience=SOON, on_changed=on_changed, after_commit=lambda: order.append("committed")
    )
    async with running(worker):
        await meter.write({NOON: ([1.0], None)})
        worker.wake.set()

        async def month():
            return await meter.rollups("M")

        await until(month)
        await until(lambda: asyncio.sleep(0, len(order) == 6))

    assert [["h"], "committed", ["d"], "committed", ["M"], "committed"] == order


async def test_it_computes_only_with_the_lease(make_meter, pool):
    """Without the lease nothing is touched; with it, work begins."""
    meter = await make_meter(kinds=("interval",))
    asked, holding = 0, False

    def holds():
        nonlocal asked
        asked += 1
        return holding

    async with running(RollupWorker(pool, patience=SOON, holds=holds, poll_seconds=0.01)):
        await meter.write({NOON: ([1.0], None)})
        await until(lambda: asyncio.sleep(0, asked > 20))
        assert {} == await meter.rollups("h")

        holding = True
        await until(lambda: meter.rollups("M"))


async def test_one_stream_that_cannot_be_computed_harms_no_other(make_meter, pool):
    """It is set aside for a while; the others are computed."""
    sick, well = await make_meter(kinds=("interval",)), await make_meter(kinds=("interval",))
    await sick.write({NOON: ([1.0], None)})
    await well.write({NOON: ([1.0], None)})
    # Nothing the product writes is shaped like this.
    await pool.execute("UPDATE reading SET values = '{{1,2},{3,4}}' WHERE stream_id = $1", sick.id)

    async with running(RollupWorker(pool, patience=SOON, poll_seconds=0.01)):
        await until(lambda: well.rollups("M"))

    assert {} == await sick.rollups("h")
    assert [sick.id] == [
        row["stream_id"] for row in await pool.fetch("SELECT stream_id FROM stale")
    ]


async def test_it_goes_on_after_the_database_cut_it_off(make_meter, pool, database_url):
    """A connection that is lost costs a pause, not the worker."""
    meter = await make_meter(kinds=("interval",))
    outside, cutter = [await asyncpg.connect(database_url) for _ in range(2)]

    async def cut(_connection, _changed):
        if cuts:
            cuts.pop()
            await cutter.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'wattwire-hub' AND datname = current_database()"
            )

    cuts = [1]
    try:
        async with running(RollupWorker(pool, patience=SOON, on_changed=cut, poll_seconds=0.01)):
            await meter.write({NOON: ([1.0], None)})
            await until(lambda: asyncio.sleep(0, not cuts))
            await until(lambda: outside.fetchval("SELECT count(*) = 3 FROM rollup"))
    finally:
        await outside.close()
        await cutter.close()
