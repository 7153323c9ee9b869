"""A receiver that is down: nothing is lost, nothing is burnt, nobody else suffers."""

from datetime import timedelta

from wattwire.delivery.breaker import Rule
from wattwire.delivery.worker import lease_name
from wattwire.integrations.contract import UNREACHABLE, Delivered, Retry, UnreachableError


def down(message):
    return UnreachableError("cannot connect to example.com:443: Connection refused")


def up(message):
    return Delivered("HTTP 200", 200)


def by_turns(answers):
    """Answer as each of these in turn, then as one that is up."""

    def answer(message):
        return next(answers, up)(message)

    return answer


async def test_an_hour_of_outage_then_flapping(story):
    """Down for an hour, then flapping: all arrives, no attempt is burnt, the others go on."""
    sick, well = await story.integrate("sick"), await story.integrate("well")
    story.receivers["sick"].answer = down
    sent = []
    async with story.working():
        for _ in range(60):  # a message a minute to both
            sent += await story.cause(1, sick, well)
            await story.pass_time(60)
        assert 60 == (await story.counters(well)).delivered
        assert 60 == (await story.counters(sick)).waiting
        assert "error" == (await story.state(sick))["status"]
        burnt = await story.pool.fetchval("SELECT max(burnt) FROM delivery")
        assert 0 == burnt

        flaps = iter([up, up, down, up, up, up, down, down, up])
        story.receivers["sick"].answer = by_turns(flaps)
        sent += await story.cause(200, sick, well)
        await story.pass_time(3600)
        counters = await story.counters(sick)

    assert (260, 260, 0) == (counters.matched, counters.delivered, counters.dead)
    assert sorted(f"{e.hex}-{sick}" for e in sent) == sorted(story.receivers["sick"].taken)
    assert sorted(f"{e.hex}-{well}" for e in sent) == sorted(story.receivers["well"].taken)


async def test_probing_is_sparse(story):
    """An hour of outage costs the receiver a probe every five minutes, not one per message."""
    sick = await story.integrate(max_concurrent=4)
    receiver = story.receivers["one"]
    receiver.answer = down
    async with story.working():
        await story.cause(1000, sick)
        await story.pass_time(3600)

    # at most eight calls before it opened, then 5 s, 10 s … 300 s
    assert len(receiver.batches) <= 8 + 6 + 3600 / 300
    assert all(row["outcome"] == "retry" for row in await story.attempts(sick))
    assert len(receiver.batches) == len(await story.attempts(sick))


async def test_the_first_probe_is_the_oldest_message(story):
    """Then its neighbours take turns, in case it was the message's fault."""
    sick = await story.integrate(max_concurrent=1)
    receiver = story.receivers["one"]
    receiver.answer = down
    async with story.working():
        events = await story.cause(7, sick)
        await story.pass_time(0)
        before = len(receiver.batches)
        await story.pass_time(400)
    ids = [f"{event.hex}-{sick}" for event in events]
    probed = [batch[0] for batch in receiver.batches[before:]]

    assert ids[:5] == probed[:5]
    assert probed[0] == probed[5]
    rows = await story.attempts(sick)
    assert len(probed) == sum(row["probe"] for row in rows)


async def test_probes_keep_the_order_of_each_device(story):
    """Where order is kept, no device's later message is a probe; the oldest of each take turns."""
    kinds = {"scripted": story.receivers.kind(ordered=lambda settings: True)}
    sick = await story.integrate()
    receiver = story.receivers["one"]
    receiver.answer = down
    events = [(await story.cause(1, sick, device_key=key))[0] for key in "aababc"]
    async with story.working(types=kinds):
        await story.pass_time(0)
        before = len(receiver.batches)
        await story.pass_time(400)
    probed = [batch[0] for batch in receiver.batches[before:]]
    a, b = (f"{events[n].hex}-{sick}" for n in (0, 2))

    assert [a, b, a, b] == probed[:4]
    assert {a, b} == set(probed)


async def test_an_outage_is_told_once_and_so_is_its_end(story):
    """However long it lasts and flaps: one integration.error, one integration.recovered."""
    sick = await story.integrate("sick")
    receiver = story.receivers["sick"]
    async with story.working():
        receiver.answer = down
        await story.cause(50, sick)
        await story.pass_time(1800)
        flaps = iter([up, up, down, up, down])
        receiver.answer = by_turns(flaps)
        await story.pass_time(3600)

    assert ["integration.error", "integration.recovered"] == [e.topic for e in story.emitted]
    first = story.emitted[0]
    assert ("sick", "scripted", sick) == (
        first.data["name"], first.data["type"], first.data["integration_id"],
    )  # fmt: skip
    assert "Connection refused" in first.data["reason"]
    state = await story.state(sick)
    assert ("active", "") == (state["status"], state["reason"])


async def test_a_lone_message_does_not_die_of_an_outage(story):
    """Three attempts are all it has, and the receiver is away for an hour: it waits."""
    sick = await story.integrate()
    story.receivers["one"].answer = down
    async with story.working():
        await story.cause(1, sick)
        await story.pass_time(3600)
        assert 0 == (await story.counters(sick)).dead
        assert "error" == (await story.state(sick))["status"]
        story.receivers["one"].answer = up
        await story.pass_time(301)

    assert 1 == (await story.counters(sick)).delivered


async def test_a_lone_bad_message_does_die(story):
    """A receiver that works, and answers 500 to one message only, gets it three times."""
    one = await story.integrate()
    receiver = story.receivers["one"]
    async with story.working():
        bad = f"{(await story.cause(1, one, wake=False))[0].hex}-{one}"
        receiver.answer = lambda m: Retry("HTTP 500", status=500) if m.id == bad else up(m)
        story.worker.wake([one])
        for _ in range(20):
            await story.cause(1, one)
            await story.pass_time(2)
    counters = await story.counters(one)

    assert (20, 1, 0) == (counters.delivered, counters.dead, counters.waiting)
    assert [1, 2, 3] == [r["number"] for r in await story.attempts(one) if r["message_id"] == bad]
    assert "given up after 3 attempts" in (await story.letters(one))[0]["reason"]


async def test_a_bad_message_does_not_take_its_batch_along(story):
    """One message makes the whole call fail: it ends alone, its neighbours are delivered."""
    from wattwire.integrations.contract import Limits

    one = await story.integrate()
    receiver = story.receivers["one"]
    kinds = {"scripted": story.receivers.kind(limits=Limits(10, 10_000))}
    async with story.working(types=kinds):
        events = await story.cause(10, one, wake=False)
        bad = f"{events[4].hex}-{one}"
        receiver.answer = lambda m: RuntimeError("odd answer") if m.id == bad else up(m)
        story.worker.wake([one])
        await story.pass_time(60)
    counters = await story.counters(one)

    assert (9, 1) == (counters.delivered, counters.dead)
    assert [10, *[1] * 11] == [len(batch) for batch in receiver.batches]


async def test_messages_expire_while_they_wait(story):
    """After the longest age they become dead letters with that reason, also in an outage."""
    sick = await story.integrate(max_age_seconds=600)
    story.receivers["one"].answer = down
    async with story.working():
        await story.cause(3, sick)
        await story.pass_time(500)
        assert 3 == (await story.counters(sick)).waiting
        await story.pass_time(200)

    assert 3 == (await story.counters(sick)).dead
    assert {"expired: not delivered within 0:10:00"} == {
        letter["reason"] for letter in await story.letters(sick)
    }


async def test_an_outage_outlives_the_process(story):
    """A worker that takes over goes on probing where the other stopped, and tells nothing twice."""
    sick = await story.integrate()
    receiver = story.receivers["one"]
    receiver.answer = down
    async with story.working():
        await story.cause(20, sick)
        await story.pass_time(600)
    sent = len(receiver.batches)
    async with story.working():
        await story.pass_time(0)
        assert len(receiver.batches) <= sent + 1  # no second run of five
        receiver.answer = up
        await story.pass_time(600)

    assert 20 == (await story.counters(sick)).delivered
    assert ["integration.error", "integration.recovered"] == [e.topic for e in story.emitted]


async def test_too_fast_is_no_outage(story):
    """429 slows everything down; nothing is burnt, nothing is told, all arrives."""
    one = await story.integrate(max_concurrent=10)
    receiver = story.receivers["one"]
    answers = iter([Retry("HTTP 429", status=429, after=timedelta(seconds=30))] * 10)
    receiver.answer = lambda message: next(answers, None) or up(message)
    async with story.working():
        await story.cause(30, one)
        await story.pass_time(29)
        refused = len(receiver.batches)
        assert refused == 10
        await story.pass_time(2)
        counters = await story.counters(one)

    assert (30, 0) == (counters.delivered, counters.dead)
    assert [] == story.emitted


async def test_the_rule_can_be_changed(story):
    """Whoever wants to notice an outage earlier may."""
    sick = await story.integrate(max_concurrent=1)
    story.receivers["one"].answer = down
    async with story.working(rule=Rule(threshold=2, first_probe=timedelta(seconds=60))):
        await story.cause(5, sick)
        await story.pass_time(59)

    assert 2 == len(story.receivers["one"].batches)
    assert UNREACHABLE == "unreachable"
    assert lease_name(sick) == f"delivery-{sick}"
