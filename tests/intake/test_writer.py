"""The log writer: grouped, released only when durable, never stored twice."""

import asyncio
from uuid import uuid4

import pytest

from wattwire.formats import log_batch
from wattwire.intake import writer as writing
from wattwire.intake.log import STREAM, ensure_log
from wattwire.intake.writer import LogWriter
from wattwire.model import Channel, Reading, Shape

SHAPE = Shape("meter-1", "/power/1", (Channel("active_power_w"),))
ORGANIZATION = uuid4()


@pytest.fixture
async def js(nats_client):
    js = nats_client.jetstream()
    await ensure_log(js, max_bytes=64 * 1024**2, replicas=1)
    return js


@pytest.fixture
async def writer(nats_client, js):
    log_writer = LogWriter(nats_client)
    task = asyncio.create_task(log_writer.run())
    yield log_writer
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def released(hand_over):
    future = asyncio.get_running_loop().create_future()
    hand_over(future.set_result)
    return await asyncio.wait_for(future, 30)


def reading(n):
    return Reading(SHAPE, 1_750_000_000_000_000 + n * 1_000_000, (float(n),))


async def stored(js):
    info = await js.stream_info(STREAM)
    bodies = [(await js.get_msg(STREAM, seq)).data for seq in range(1, info.state.messages + 1)]
    return [log_batch.decode(body) for body in bodies]


async def test_what_is_released_is_in_the_log(writer, js):
    """A release with True means that the log holds the readings."""
    assert await released(lambda r: writer.submit(ORGANIZATION, [reading(1), reading(2)], [], 5, r))

    (batch,) = await stored(js)
    assert [(ORGANIZATION, SHAPE)] == batch.shapes
    assert [[1.0], [2.0]] == [list(row[4]) for row in batch.rows]


async def test_messages_of_one_turn_share_a_commit(writer, js):
    """A hundred messages handed over together cost few log messages, not a hundred."""
    await asyncio.gather(
        *(
            released(lambda r, n=n: writer.submit(ORGANIZATION, [reading(n)], [], 5, r))
            for n in range(100)
        )
    )

    batches = await stored(js)
    assert len(batches) <= 3
    assert 100 == sum(len(batch.rows) for batch in batches)


async def test_a_full_log_releases_nothing_as_durable(nats_client, js, monkeypatch):
    """When the log refuses a batch, its senders are told False after the time limit."""
    monkeypatch.setattr(writing, "GIVE_UP_SECONDS", 0.3)
    await ensure_log(js, max_bytes=300, replicas=1)
    log_writer = LogWriter(nats_client)
    task = asyncio.create_task(log_writer.run())
    verdicts = [
        await released(lambda r, n=n: log_writer.submit(ORGANIZATION, [reading(n)] * 9, [], 5, r))
        for n in range(3)
    ]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert verdicts[-1] is False
    assert "bytes" in log_writer.figures.fault


async def test_a_lost_acknowledgement_does_not_store_twice(nats_client, js, monkeypatch):
    """A batch whose acknowledgement got lost is sent again under its id and stored once."""
    monkeypatch.setattr(writing, "ACK_SECONDS", 0.3)
    log_writer = LogWriter(nats_client)
    hear, lost = log_writer._acknowledged, []

    async def deaf_once(message):
        if lost:
            await hear(message)
        else:
            lost.append(message)

    monkeypatch.setattr(log_writer, "_acknowledged", deaf_once)
    task = asyncio.create_task(log_writer.run())
    assert await released(lambda r: log_writer.submit(ORGANIZATION, [reading(1)], [], 5, r))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert 1 == len(lost)
    assert 1 == log_writer.figures.retries
    assert 1 == len(await stored(js))


async def test_stopping_gives_back_what_was_not_committed(nats_client, js):
    """What waits when the writer ends is released with False, not forgotten."""
    log_writer = LogWriter(nats_client)
    verdicts = []
    log_writer.submit(ORGANIZATION, [reading(1)], [], 5, verdicts.append)
    task = asyncio.create_task(log_writer.run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert [False] == verdicts


async def test_partitions_follow_the_device(nats_client, js):
    """A message of several devices is split by partition and released once, when all are kept."""
    log_writer = LogWriter(nats_client, partitions=4)
    task = asyncio.create_task(log_writer.run())
    readings = [
        Reading(Shape(f"meter-{n}", "/p", (Channel("x"),)), 1_750_000_000_000_000, (1.0,))
        for n in range(40)
    ]
    assert await released(lambda r: log_writer.submit(ORGANIZATION, readings, [], 5, r))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    info = await js.stream_info(STREAM, subjects_filter=">")
    assert 4 == len(info.state.subjects)
