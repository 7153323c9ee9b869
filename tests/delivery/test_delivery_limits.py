"""Limits hold: rate, calls at a time, size, batches; and one integration does not slow another."""

import asyncio

import pytest
from delivery_story import LocalLeases

from wattwire.integrations.contract import Delivered, Limits


@pytest.mark.parametrize("rate", [50, 600])
async def test_the_rate_is_exact_over_a_minute(story, rate):
    """With more waiting than may leave, a simulated minute sends the rate, within a hundredth."""
    one = await story.integrate(rate_per_minute=rate)
    receiver = story.receivers["one"]
    times = []
    receiver.answer = lambda message: times.append(story.clock.passed) or Delivered("taken")
    async with story.working():
        await story.cause(3 * rate, one)
        await story.pass_time(150)
    minutes = [sum(60 * n <= t < 60 * (n + 1) for t in times) for n in range(2)]

    assert all(abs(count - rate) <= max(1, rate / 100) for count in minutes), minutes


async def test_a_new_owner_keeps_the_rate(story):
    """The lease changes hands every few seconds: together the owners keep the limit."""
    rate = 120
    one = await story.integrate(rate_per_minute=rate)
    times = []
    story.receivers["one"].answer = lambda m: times.append(story.clock.passed) or Delivered("x")
    await story.cause(400, one)
    for owner in range(12):
        leases = LocalLeases(story.pool, f"owner-{owner}")
        await story.pool.execute("UPDATE lease SET expires_at = '-infinity'")
        async with story.working(leases=leases):
            await story.pass_time(10)

    for start in times:
        assert sum(start <= t < start + 60 for t in times) <= rate * 1.01
    assert len(times) >= 12 * (10 / 60 * rate - 1)


async def test_no_more_calls_than_allowed(story):
    """Three at a time are three at a time, however many wait."""
    one = await story.integrate(max_concurrent=3)
    receiver = story.receivers["one"]
    receiver.gate = asyncio.Event()
    async with story.working():
        await story.cause(50, one)
        await story.until(lambda: receiver.now == 3)
        receiver.gate.set()
        await story.quiet()

    assert 3 == receiver.most
    assert 50 == (await story.counters(one)).delivered


async def test_what_is_in_flight_is_shown(story):
    """While three are on their way the counters say so, and add up."""
    one = await story.integrate(max_concurrent=3)
    receiver = story.receivers["one"]
    receiver.gate = asyncio.Event()
    async with story.working(poll_seconds=1.0):
        await story.cause(10, one)
        await story.until(lambda: receiver.now == 3)

        async def shown():
            for at, _, timer in list(story.clock._timers):
                if at <= story.clock.passed + 1.0 and timer.call is not None:
                    timer.call()
            return (await story.counters(one)).in_flight == 3

        await story.until(shown)
        counters = await story.counters(one)
        receiver.gate.set()
        await story.quiet()

    assert (10, 7, 3) == (counters.matched, counters.waiting, counters.in_flight)


async def test_a_payload_over_the_limit_is_a_dead_letter(story):
    """It is not sent at all, and the reason tells both sizes."""
    one = await story.integrate(max_payload_bytes=300)
    async with story.working():
        await story.cause(1, one, device_name="x" * 400)
        await story.cause(1, one)
        await story.quiet()
    letter = (await story.letters(one))[0]

    assert 1 == len(story.receivers["one"].taken)
    assert "over the limit of 300 bytes" in letter["reason"]
    assert 0 == letter["attempts"]
    counters = await story.counters(one)
    assert (1, 1) == (counters.delivered, counters.dead)
    rejected = [row for row in await story.attempts(one) if row["outcome"] == "rejected"]
    assert [letter["reason"]] == [row["reason"] for row in rejected]


async def test_batches_are_as_large_as_the_type_allows(story):
    """Twenty-five messages, ten to a call: three calls."""
    one = await story.integrate()
    kinds = {"scripted": story.receivers.kind(limits=Limits(10, 100_000))}
    await story.cause(25, one)
    async with story.working(types=kinds):
        await story.quiet()

    assert [5, 10, 10] == sorted(len(batch) for batch in story.receivers["one"].batches)


async def test_messages_leave_in_their_order(story):
    """One call at a time: the receiver sees the events as they happened."""
    one = await story.integrate(max_concurrent=1)
    async with story.working():
        events = await story.cause(120, one)
        await story.quiet()

    assert [f"{e.hex}-{one}" for e in events] == story.receivers["one"].taken


async def test_a_stuck_receiver_holds_nobody_up(story):
    """One integration whose calls never end, another that is quick: the quick one is done."""
    stuck, quick = await story.integrate("stuck"), await story.integrate("quick")
    story.receivers["stuck"].gate = asyncio.Event()
    async with story.working():
        await story.cause(300, stuck, quick)
        await story.until(lambda: len(story.receivers["quick"].taken) == 300)
        assert [] == story.receivers["stuck"].taken
        story.receivers["stuck"].gate.set()
        await story.quiet()


async def test_a_thousand_integrations_cost_nothing_while_idle(story):
    """No tasks for the idle; all are served when something comes."""
    ids = [await story.integrate(f"i{n}") for n in range(300)]
    async with story.working():
        await story.pass_time(60)
        tasks = len(asyncio.all_tasks())
        await story.cause(2, *ids)
        await story.quiet()
    counted = [await story.counters(i) for i in ids]

    assert tasks < 20
    assert {2} == {c.delivered for c in counted}
