"""The ledger closes, whatever happens: random outcomes, random deaths, two owners."""

import asyncio
import random

import asyncpg
import pytest
from delivery_story import LocalLeases

from wattwire.integrations.contract import Delivered, Limits, Rejected, Retry, UnreachableError
from wattwire.store import ledger

ANSWERS = (
    Delivered("taken"), Delivered("taken"), Delivered("taken"), Delivered("taken"),
    Rejected("never"), Retry("busy", status=409), Retry("HTTP 500", status=500),
    Retry("HTTP 503", status=503), Retry("HTTP 429", status=429), None,
    UnreachableError("gone"), RuntimeError("odd"),
)  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
async def test_random_outcomes_and_deaths(story, seed):
    """Workers die at any moment, receivers say anything: each event ends in exactly one place."""
    luck = random.Random(seed)
    kinds = {"scripted": story.receivers.kind(limits=Limits(4, 10_000))}
    lanes = [
        await story.integrate(name, max_concurrent=luck.choice([1, 3, None])) for name in "abc"
    ]
    for name in "abc":
        story.receivers[name].answer = lambda message: luck.choice(ANSWERS)
    made = dict.fromkeys(lanes, 0)
    for _ in range(6):
        async with dying_worker(story, kinds) as worker:
            for _ in range(luck.randrange(1, 5)):
                asked = luck.sample(lanes, luck.randrange(1, 4))
                count = luck.randrange(1, 20)
                await story.cause(count, *asked)
                made.update({lane: made[lane] + count for lane in asked})
                await story.clock.advance(luck.choice([0, 1, 6, 40]), story.quiet)
            worker.wake(lanes)
            for _ in range(luck.randrange(60)):  # die somewhere on the way
                await asyncio.sleep(0)
        for lane in lanes:
            assert made[lane] == (await story.counters(lane)).matched
    for name in "abc":
        story.receivers[name].answer = lambda message: Delivered("taken")
    async with story.working(types=kinds):
        await story.pass_time(7200)
    for name, lane in zip("abc", lanes, strict=True):
        counters = await story.counters(lane)
        assert (made[lane], 0) == (counters.delivered + counters.dead, counters.waiting)
        assert counters.dead == len(await story.letters(lane))
        taken = set(story.receivers[name].taken)
        dead = {letter["message_id"] for letter in await story.letters(lane)}
        assert made[lane] == len(taken | dead)
        assert counters.delivered <= len(taken)


def dying_worker(story, kinds):
    """Run a worker that is cut off in the middle of everything."""

    class Dying:
        async def __aenter__(self):
            self.context = story.working(types=kinds)
            return await self.context.__aenter__()

        async def __aexit__(self, *_):
            worker = story.worker
            for task in [*worker._parts, *worker._work]:
                task.cancel()
            await asyncio.gather(*worker._parts, *worker._work, return_exceptions=True)
            await self.context.__aexit__(None, None, None)

    return Dying()


async def test_a_crash_repeats_at_most_one_batch_for_each_call(story):
    """Killed with ten calls of five under way: at most fifty messages come twice, ids unchanged."""
    one = await story.integrate(max_concurrent=10)
    receiver = story.receivers["one"]
    kinds = {"scripted": story.receivers.kind(limits=Limits(5, 10_000))}
    receiver.gate = asyncio.Event()
    events = await story.cause(200, one)
    async with dying_worker(story, kinds):
        await story.until(lambda: receiver.now == 10)
    assert 0 == (await story.counters(one)).delivered
    receiver.gate = None
    async with story.working(types=kinds):
        await story.pass_time(60)
    sent = [message for batch in receiver.batches for message in batch]

    assert {f"{e.hex}-{one}" for e in events} == set(sent)
    assert len(sent) - len(set(sent)) <= 10 * 5
    assert 200 == (await story.counters(one)).delivered


async def test_two_owners_at_once_count_once(story):
    """A worker that does not know yet that it lost its lease sends too; the sum stays right."""
    one = await story.integrate(max_concurrent=5)
    receiver = story.receivers["one"]
    receiver.gate = asyncio.Event()
    leases = LocalLeases(story.pool, "slow")
    await story.cause(20, one)
    async with story.working(leases=leases):
        await story.until(lambda: receiver.now == 5)
        slow = story.worker
        await leases.lose(f"delivery-{one}")
        quick = LocalLeases(story.pool, "other")
        async with story.working(leases=quick):
            await story.until(lambda: receiver.now == 10)
            receiver.gate.set()
            await story.quiet()
        story.worker = slow
        await story.quiet()
    counters = await story.counters(one)

    assert (20, 20, 0) == (counters.matched, counters.delivered, counters.waiting)
    assert 25 <= len(await story.attempts(one))
    assert 20 == len(set(receiver.taken))


async def test_whoever_lost_its_lease_gives_no_verdicts(story):
    """It may say that something was delivered; what failed there is for the new owner to judge."""
    one = await story.integrate(max_concurrent=2)
    receiver = story.receivers["one"]
    receiver.gate = asyncio.Event()
    answers = iter([Rejected("never"), Delivered("taken")])
    receiver.answer = lambda message: next(answers)
    leases = LocalLeases(story.pool, "slow")
    await story.cause(2, one)
    async with story.working(leases=leases):
        await story.until(lambda: receiver.now == 2)
        await leases.lose(f"delivery-{one}")
        leases.mine.clear()  # now it knows
        receiver.gate.set()
        await story.quiet()
    counters = await story.counters(one)

    assert (1, 0, 1) == (counters.delivered, counters.dead, counters.waiting)


async def test_a_lease_that_was_lost_stops_the_sending(story):
    """From the moment the lease is gone nothing new is sent, however much waits."""
    one = await story.integrate(max_concurrent=1)
    receiver = story.receivers["one"]
    leases = LocalLeases(story.pool)

    def lose_at_the_third(message):
        if len(receiver.batches) == 3:
            leases.mine.clear()
        return Delivered("taken")

    receiver.answer = lose_at_the_third
    await story.cause(10, one)
    async with story.working(leases=leases):
        await story.quiet()
        assert 3 == len(receiver.batches)


async def test_the_database_goes_away_for_a_moment(story, database_url):
    """Connections die under the engine: it takes new ones, and nothing is lost or counted twice."""
    one = await story.integrate(max_concurrent=3)
    receiver = story.receivers["one"]
    knife = await asyncpg.connect(database_url)
    cut = asyncio.Event()

    def answer(message):
        if len(receiver.taken) in {5, 20}:
            cut.set()
        return Delivered("taken")

    receiver.answer = answer
    async with story.working():
        await story.cause(60, one)

        async def done():
            if cut.is_set():
                cut.clear()
                await knife.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    " AND backend_type = 'client backend'"
                )
            story.clock.passed += 1.0
            story.worker.wake([one])
            return await knife.fetchval("SELECT count(*) FROM delivery") == 0

        await story.until(done)
    await knife.close()

    assert 60 == (await story.counters(one)).delivered


async def test_folding_changes_no_sum(story):
    """Many rows of changes become one, while others are being written; the sums are the same."""
    one, two = await story.integrate("one"), await story.integrate("two")
    async with story.working():
        for _ in range(30):
            await story.cause(3, one, two)
            await story.quiet()
            await ledger.fold_ledger(story.pool, above=5)
            await story.counters(one)
    before = [await story.counters(i) for i in (one, two)]
    await ledger.fold_ledger(story.pool, above=1)

    assert before == [await story.counters(i) for i in (one, two)]
    assert 2 == await story.pool.fetchval("SELECT count(*) FROM ledger")
    assert 90 == before[0].delivered
