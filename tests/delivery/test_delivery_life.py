"""Starting, stopping, dying, taking over."""

import asyncio
import contextlib
from datetime import timedelta

import pytest
from delivery_story import PlainSealer

from wattwire.delivery.clock import SystemClock
from wattwire.delivery.worker import DeliveryWorker, lease_name
from wattwire.engines.leases import Leases


async def test_stopping_waits_for_what_is_under_way(story):
    """Calls that were begun are written down; nothing new is begun."""
    one = await story.integrate(max_concurrent=3)
    receiver = story.receivers["one"]
    receiver.gate = asyncio.Event()
    async with story.working() as worker:
        await story.cause(10, one)
        await story.until(lambda: receiver.now == 3)
        stopping = asyncio.create_task(worker.stop(10))
        await story.until(lambda: worker.stopping)
        receiver.gate.set()
        await stopping
    counters = await story.counters(one)

    assert (3, 7) == (counters.delivered, counters.waiting)
    assert 3 == len(receiver.batches)


async def test_stopping_does_not_wait_for_ever(story):
    """What is not answered in time is left to the next owner, who sends it again."""
    one = await story.integrate(max_concurrent=3)
    receiver = story.receivers["one"]
    receiver.gate = asyncio.Event()
    async with story.working() as worker:
        await story.cause(5, one)
        await story.until(lambda: receiver.now == 3)
        await worker.stop(0.05)
    assert 0 == (await story.counters(one)).delivered

    receiver.gate = None
    async with story.working():
        await story.pass_time(1)
    assert 5 == (await story.counters(one)).delivered


async def test_nothing_is_left_running(story):
    """After the end there are no tasks, and the pool has all its connections back."""
    one = await story.integrate()
    before = asyncio.all_tasks()
    async with story.working():
        await story.cause(5, one)
        await story.quiet()

    assert before == asyncio.all_tasks()
    assert story.pool.get_size() == story.pool.get_idle_size()


async def test_the_death_of_a_part_is_noticed(story):
    """A fault of ours in one part ends run() with an error, for the supervisor to see."""

    class BrokenLeases:
        async def join(self, company):
            raise ZeroDivisionError

        def held(self, name):
            return None

    await story.integrate()
    worker = DeliveryWorker(story.pool, BrokenLeases(), PlainSealer(), {}, emit=story.emit)
    with pytest.raises(ExceptionGroup):
        async with asyncio.timeout(10):
            await worker.run()


async def test_it_can_be_run_again(story):
    """After a failure the supervisor runs it once more: nothing is stuck, nothing is lost."""
    one = await story.integrate(max_concurrent=2)
    receiver = story.receivers["one"]
    receiver.gate = asyncio.Event()
    async with story.working() as worker:
        await story.cause(9, one)
        await story.until(lambda: receiver.now == 2)
        await _end(worker._parts)
        receiver.gate.set()
        again = asyncio.create_task(worker.run())
        await story.until(lambda: len(set(receiver.taken)) == 9)
        await story.quiet()
        figures = worker.figures()
        await _end([again])

    assert 9 == (await story.counters(one)).delivered
    assert 1 == figures["wattwire_delivery_integrations"]
    assert 0 == figures["wattwire_delivery_calls"]
    assert figures["wattwire_delivery_attempts_total"] >= 9


async def test_another_worker_takes_over(story):
    """With the real leases: the owner dies without a word, and soon another goes on."""
    one = await story.integrate()
    workers = []
    async with contextlib.AsyncExitStack() as stack:
        for name in ("first", "second"):
            leases = Leases(story.pool, name, ttl=timedelta(seconds=1))
            worker = DeliveryWorker(
                story.pool, leases, PlainSealer(), {"scripted": story.receivers.kind()},
                emit=story.emit, clock=SystemClock(), poll_seconds=0.1, lease_seconds=0.2,
            )  # fmt: skip
            tasks = [asyncio.create_task(leases.run()), asyncio.create_task(worker.run())]
            workers.append((worker, leases, tasks))
            stack.push_async_callback(_end, tasks)
            await story.until(lambda: worker.ready)  # noqa: B023 - used at once
        (first, _, tasks), (second, leases, _) = workers
        assert (1, 0) == (len(first.lanes), len(second.lanes))

        await _end(tasks)
        await story.cause(3, one, wake=False)
        await story.until(lambda: len(story.receivers["one"].taken) == 3)
        assert 2 == leases.held(lease_name(one))  # a new owner is a new epoch
        await second.stop(1)

    assert 3 == (await story.counters(one)).delivered


async def test_a_new_worker_gets_its_share(story):
    """With the real leases: each has half soon, a call under way ends first, none is made twice."""
    ids = [await story.integrate(f"receiver-{number}") for number in range(4)]
    for number in range(4):
        story.receivers[f"receiver-{number}"].gate = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        first = await _worker(story, stack, "first")
        await story.cause(1, *ids, wake=False)
        await story.until(lambda: sum(lane.calls for lane in first.lanes.values()) == 4)
        second = await _worker(story, stack, "second")
        await story.until(lambda: sum(lane.retired for lane in first.lanes.values()) == 2)
        assert {} == second.lanes  # the calls of the first are not over

        for number in range(4):
            story.receivers[f"receiver-{number}"].gate.set()
        await story.until(lambda: len(first.lanes) == len(second.lanes) == 2)
        await story.cause(3, *ids, wake=False)
        await story.until(
            lambda: all(len(story.receivers[f"receiver-{n}"].taken) == 4 for n in range(4))
        )
        assert set(ids) == first.lanes.keys() | second.lanes.keys()
        await first.stop(1)
        await second.stop(1)

    assert [4] * 4 == [(await story.counters(one)).delivered for one in ids]


async def _worker(story, stack, name):
    """Run one more worker, with leases of its own."""
    leases = Leases(story.pool, name)
    worker = DeliveryWorker(
        story.pool, leases, PlainSealer(), {"scripted": story.receivers.kind()},
        emit=story.emit, clock=SystemClock(), poll_seconds=0.1, lease_seconds=0.2,
    )  # fmt: skip
    stack.push_async_callback(leases.release_all)
    tasks = [asyncio.create_task(leases.run()), asyncio.create_task(worker.run())]
    stack.push_async_callback(_end, tasks)
    await story.until(lambda: worker.ready)
    return worker


async def _end(tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_wakes_for_others_are_ignored(story):
    """Every worker hears of every integration; only the owner acts."""
    async with story.working() as worker:
        worker.wake([1, 2, 3])
        worker.configuration_changed(99)
        worker.lease_lost(lease_name(99))
        await story.quiet()

        assert {} == worker.lanes


async def test_a_lost_lease_that_is_told_closes_the_lane(story):
    """Nothing more is sent from that moment on."""
    one = await story.integrate(rate_per_minute=60)
    async with story.working() as worker:
        await story.cause(30, one)
        await story.pass_time(5)
        worker.lease_lost(lease_name(one))
        sent = len(story.receivers["one"].batches)
        await story.pass_time(30)

        assert sent == len(story.receivers["one"].batches)
