"""From the log into the store: exactly once, whatever is interrupted or sent again."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

from wattwire.intake.log import ensure_log
from wattwire.intake.writer import LogWriter
from wattwire.model import Channel, ChannelKind, Reading, Shape, StatusChange, to_micros
from wattwire.pipeline import reader
from wattwire.pipeline.effects import Effects, Interests
from wattwire.pipeline.partition import Partition, PositionMovedError

START = to_micros(datetime(2025, 6, 1, 12, 10, tzinfo=UTC))
MINUTE = 60_000_000
POWER = Channel("active_power_w", ChannelKind.INSTANTANEOUS, "W")
ENERGY = Channel("energy_import_wh", ChannelKind.ACCUMULATING, "Wh")
STATE = Channel("state", ChannelKind.STATUS)
BOTH = Shape("meter-1", "/power/1", (POWER, ENERGY))
ONLY_POWER = Shape("meter-1", "/power/1", (POWER,))
ONLY_ENERGY = Shape("meter-1", "/power/1", (ENERGY,))


class Bench:
    """A log, a partition that stores it, and what was told of it."""

    def __init__(self, pool, client, organization_id, log_id):
        self.pool, self.client, self.organization_id = pool, client, organization_id
        self.writer = LogWriter(client)
        self.log_id = log_id
        self.told = []
        self.tasks = []

    def partition(self):
        return Partition(
            self.pool,
            self.client,
            0,
            log_id=self.log_id,
            effects=Effects(Interests()),
            on_stored=self.told.append,
        )

    async def start(self):
        partition = self.partition()
        self.tasks.append(asyncio.create_task(partition.run()))
        return partition

    async def send(self, readings, statuses=(), at=1):
        future = asyncio.get_running_loop().create_future()
        self.writer.submit(self.organization_id, readings, statuses, at, future.set_result)
        assert await asyncio.wait_for(future, 10)

    async def until(self, query, expected, *values):
        """Wait until the query's one value is as expected."""
        async with asyncio.timeout(15):
            while (found := await self.pool.fetchval(query, *values)) != expected:
                for task in self.tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.02)
        return found

    async def rows(self):
        return await self.pool.fetch("SELECT time, values, texts FROM reading ORDER BY time")


@pytest.fixture
async def bench(pool, nats_client, organization_id):
    log_id = await ensure_log(nats_client.jetstream(), max_bytes=64 * 1024**2, replicas=1)
    made = Bench(pool, nats_client, organization_id, log_id)
    made.tasks.append(asyncio.create_task(made.writer.run()))
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


def at(minute, shape, *values, texts=None):
    return Reading(shape, START + minute * MINUTE, values, texts)


COUNT = "SELECT count(*) FROM reading"


async def test_a_new_device_is_registered_with_its_channels(bench):
    """The first reading makes device, stream and channels, in the order of the shape."""
    await bench.start()
    await bench.send([at(0, BOTH, 100.0, 5.0)])
    await bench.until(COUNT, 1)

    device = await bench.pool.fetchrow("SELECT key, status, last_seen_at FROM device")
    channels = await bench.pool.fetch("SELECT name, kind, unit FROM channel ORDER BY position")
    assert ("meter-1", "online") == (device["key"], device["status"])
    assert device["last_seen_at"] is not None
    assert [tuple(map(str, c)) for c in (POWER, ENERGY)] == [tuple(c) for c in channels]
    assert 1 == await bench.pool.fetchval(
        "SELECT count(*) FROM event WHERE topic = 'device.registered'"
    )


async def test_last_write_wins(bench):
    """A reading of the same stream and instant replaces the one before."""
    await bench.start()
    await bench.send([at(0, BOTH, 100.0, 5.0)], at=1)
    await bench.send([at(0, BOTH, 101.0, 6.0)], at=2)
    await bench.until("SELECT values FROM reading", [101.0, 6.0])


async def test_a_batch_that_comes_late_does_not_win(bench):
    """A reading received earlier does not replace one received later."""
    await bench.start()
    await bench.send([at(0, BOTH, 101.0, 6.0)], at=20)
    await bench.send([at(0, BOTH, 100.0, 5.0), at(1, BOTH, 1.0, 1.0)], at=10)
    await bench.until(COUNT, 2)

    assert [101.0, 6.0] == (await bench.rows())[0]["values"]


async def test_partial_readings_of_one_instant_are_laid_over_each_other(bench):
    """Channels that a later message leaves out keep their value."""
    await bench.start()
    await bench.send([at(0, BOTH, 1.0, 2.0)], at=1)
    await bench.send([at(1, ONLY_POWER, 3.0)], at=2)
    await bench.send([at(1, ONLY_ENERGY, 4.0)], at=3)
    await bench.send([at(0, ONLY_ENERGY, 9.0)], at=4)
    await bench.until("SELECT values FROM reading ORDER BY time LIMIT 1", [1.0, 9.0])
    await bench.until("SELECT values FROM reading ORDER BY time DESC LIMIT 1", [3.0, 4.0])


async def test_a_later_channel_is_appended(bench):
    """A channel that appears later gets the next place; earlier readings stay as they are."""
    await bench.start()
    await bench.send([at(0, ONLY_ENERGY, 5.0)])
    await bench.until(COUNT, 1)
    wider = Shape("meter-1", "/power/1", (STATE, POWER, ENERGY))
    await bench.send([at(1, wider, None, 7.0, 8.0, texts=("on", None, None))])
    await bench.until(COUNT, 2)

    first, second = await bench.rows()
    assert [5.0] == first["values"]
    assert [8.0, None, 7.0] == second["values"]
    assert [None, "on", None] == second["texts"]


async def test_a_repeated_message_changes_nothing_further_on(bench):
    """The same readings again mark no bucket and cause no event."""
    integration = await subscribe(bench, "device.telemetry")
    await bench.start()
    readings = [at(n, BOTH, float(n), 5.0) for n in range(3)]
    await bench.send(readings, at=1)
    await bench.until("SELECT count(*) FROM delivery WHERE integration_id = $1", 3, integration)
    await bench.pool.execute("DELETE FROM stale_note")
    await bench.send(readings, at=2)
    await bench.send([at(9, BOTH, 1.0, 1.0)], at=3)
    await bench.until(COUNT, 4)

    assert 4 == await bench.pool.fetchval("SELECT sum(matched) FROM ledger")
    assert 4 == await bench.pool.fetchval("SELECT count(*) FROM delivery")


async def test_stored_exactly_once_across_restarts(bench):
    """Cancelled again and again at random moments, every reading and event is there once."""
    await subscribe(bench, "device.telemetry")
    total = 0
    for turn in range(8):
        task = asyncio.create_task(bench.partition().run())
        for n in range(20):
            await bench.send([at(total + n, BOTH, float(n), 1.0)])
        total += 20
        await asyncio.sleep(0.003 * turn)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await bench.start()
    await bench.until(COUNT, total)

    assert total == await bench.pool.fetchval("SELECT sum(matched) FROM ledger")
    assert total == await bench.pool.fetchval("SELECT count(*) FROM delivery")


async def test_a_second_owner_is_noticed(bench):
    """Two owners of one partition: one of them stops, and nothing is stored twice."""
    await subscribe(bench, "device.telemetry")
    tasks = [asyncio.create_task(bench.partition().run()) for _ in range(2)]
    for n in range(30):
        await bench.send([at(n, BOTH, float(n), 1.0)])
    await bench.until(COUNT, 30)
    done, pending = await asyncio.wait(tasks, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert 30 == await bench.pool.fetchval("SELECT count(*) FROM delivery")
    assert done
    assert any("PositionMoved" in repr(result) for result in results)
    assert PositionMovedError


async def test_buckets_around_a_reading_are_marked(bench):
    """The hour of a reading is stale, and the hour before when the reading before lies in it."""
    await bench.start()
    await bench.send([at(0, BOTH, 1.0, 1.0), at(49, BOTH, 1.0, 2.0)])
    await bench.send([at(51, BOTH, 1.0, 3.0)])
    await bench.until("SELECT count(DISTINCT start) FROM stale_note", 2)

    starts = await bench.pool.fetch("SELECT DISTINCT start FROM stale_note ORDER BY start")
    assert [12, 13] == [row["start"].hour for row in starts]


async def test_an_edge_nodes_death_takes_its_device_offline(bench):
    """A status change in the log changes the device and is told as an event."""
    await bench.start()
    await bench.send([at(0, BOTH, 1.0, 1.0)])
    await bench.until("SELECT status FROM device", "online")
    await bench.send([], [StatusChange("meter-1", "offline", START)])
    await bench.until("SELECT status FROM device", "offline")

    assert 1 == await bench.pool.fetchval(
        "SELECT count(*) FROM event WHERE topic = 'device.status'"
    )


async def test_what_the_database_refuses_is_kept(bench):
    """A batch with text that PostgreSQL cannot hold goes to quarantine; others are stored."""
    await bench.start()
    bad = Shape("meter-2", "/power/1", (STATE,))
    await bench.send([at(0, bad, None, texts=("nul \x00 inside",))])
    await bench.send([at(0, BOTH, 1.0, 1.0)])
    await bench.until(COUNT, 1)
    await bench.until("SELECT count(*) FROM quarantine", 1)

    entry = await bench.pool.fetchrow("SELECT organization_id, source, reason FROM quarantine")
    assert bench.organization_id == entry["organization_id"]
    assert "refused" in entry["reason"]


async def test_a_new_log_is_read_from_its_beginning(bench, nats_client):
    """A log made anew counts from one again; the position of the old one does not hide it."""
    partition = await bench.start()
    for n in range(3):
        await bench.send([at(n, BOTH, 1.0, 1.0)])
    await bench.until(COUNT, 3)
    bench.tasks.pop().cancel()
    assert partition.figures.position >= 1
    await nats_client.jetstream().delete_stream("INTAKE")
    bench.log_id = await ensure_log(nats_client.jetstream(), max_bytes=64 * 1024**2, replicas=1)
    await bench.send([at(9, BOTH, 1.0, 1.0)])
    await bench.start()
    await bench.until(COUNT, 4)


async def subscribe(bench, topic):
    return await bench.pool.fetchval(
        "INSERT INTO integration (organization_id, type, name, topics) "
        "VALUES ($1, 'webhook', 'w', ARRAY[$2]) RETURNING id",
        bench.organization_id,
        topic,
    )


async def test_an_integration_made_now_gets_the_next_reading(bench):
    """What is asked for takes effect with the next transaction, not some time later."""
    await bench.start()
    await bench.send([at(0, BOTH, 1.0, 1.0)])
    await bench.until(COUNT, 1)
    for n in range(1, 6):
        await subscribe(bench, "device.telemetry")
        await bench.send([at(n, BOTH, 1.0, 1.0)])
        await bench.until("SELECT count(*) FROM delivery", n * (n + 1) // 2)


async def test_the_trial_column_types_hold(bench):
    """Data errors are what the pipeline takes for refusals: NUL in text is one of them."""
    with pytest.raises((asyncpg.DataError, asyncpg.CharacterNotInRepertoireError)):
        await bench.pool.execute("SELECT $1::text", "a\x00b")


async def test_an_idle_log_is_not_taken_for_a_lost_one(bench, monkeypatch):
    """Requests that run out without messages are made again; the partition goes on."""
    monkeypatch.setattr(reader, "EXPIRES_SECONDS", 0.3)
    await bench.start()
    for n in range(3):
        for m in range(100):
            await bench.send([at(100 * n + m, BOTH, 1.0, 1.0)])
        await asyncio.sleep(0.8)
    await bench.until(COUNT, 300)

    assert not bench.tasks[-1].done()


async def test_a_request_that_ran_out_is_followed_by_another_at_once(bench, monkeypatch):
    """What comes now and then is stored when it comes, not when the log would count as gone."""
    monkeypatch.setattr(reader, "EXPIRES_SECONDS", 0.2)
    monkeypatch.setattr(reader, "SILENCE_SECONDS", 60.0)
    await bench.start()
    for n in range(3):
        await asyncio.sleep(0.5)  # every request runs out meanwhile
        await bench.send([at(n, BOTH, 1.0, 1.0)])
        await bench.until(COUNT, n + 1)


async def test_a_failure_of_the_last_slice_is_noticed_at_once(bench):
    """Nobody waits for the next message to find that the one before could not be stored."""
    await bench.start()
    await bench.send([at(0, BOTH, 1.0, 1.0)])
    await bench.until(COUNT, 1)
    owner = bench.tasks.pop()
    await bench.pool.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'"
    )
    await bench.send([at(1, BOTH, 1.0, 1.0)])

    done, _ = await asyncio.wait({owner}, timeout=10)
    assert done, "the partition still waits"
    assert isinstance(owner.exception(), BaseException)
    await bench.start()
    await bench.until(COUNT, 2)
