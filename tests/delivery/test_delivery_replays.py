"""Sending again, and giving up on purpose: the counters stay closed."""

from datetime import UTC, datetime, timedelta

import pytest

from wattwire.integrations.contract import Delivered, Rejected
from wattwire.store import ledger, replays

EVERYTHING = lambda topic, device_id, stream: True  # noqa: E731 - a table of one


@pytest.fixture
async def killed(story):
    """An integration with five dead letters, and its receiver, who is friendly by now."""
    one = await story.integrate()
    receiver = story.receivers["one"]
    receiver.answer = lambda message: Rejected("never")
    async with story.working():
        await story.cause(5, one)
        await story.quiet()
    receiver.answer = lambda message: Delivered("taken")
    assert 5 == (await story.counters(one)).dead
    return one


async def deliver(story):
    async with story.working():
        await story.pass_time(1)


async def test_all_dead_letters_go_out_again(story, killed):
    """dead - 5, waiting + 5, then delivered + 5; the ids are the old ones."""
    before = [letter["message_id"] for letter in await story.letters(killed)]

    assert 5 == await replays.replay_dead(story.pool, killed)
    counters = await story.counters(killed)
    assert (5, 0, 5) == (counters.matched, counters.dead, counters.waiting)

    await deliver(story)
    counters = await story.counters(killed)
    assert (5, 5, 0) == (counters.matched, counters.delivered, counters.dead)
    assert before == story.receivers["one"].taken


async def test_one_dead_letter_goes_out_again(story, killed):
    """Only the chosen one leaves the shelf."""
    chosen = (await story.letters(killed))[2]

    assert 1 == await replays.replay_dead(story.pool, killed, ids=[chosen["id"]])
    await deliver(story)
    assert [chosen["message_id"]] == story.receivers["one"].taken
    assert 4 == (await story.counters(killed)).dead


async def test_dead_letters_since_a_moment(story, killed):
    """Those that died before it stay."""
    await story.pool.execute(
        "UPDATE dead_letter SET died_at = died_at - interval '1 day' WHERE id IN"
        " (SELECT id FROM dead_letter ORDER BY id LIMIT 3)"
    )
    since = datetime.now(UTC) - timedelta(hours=1)

    assert 2 == await replays.replay_dead(story.pool, killed, since=since)
    assert 3 == (await story.counters(killed)).dead


async def test_new_ids_when_told_so(story, killed):
    """Receivers that remember ids take the message as a new one."""
    old = {letter["message_id"] for letter in await story.letters(killed)}
    await replays.replay_dead(story.pool, killed, new_id_suffix="r2")
    await deliver(story)
    taken = story.receivers["one"].taken

    assert {f"{message_id}-r2" for message_id in old} == set(taken)
    assert all(len(message_id) <= 80 for message_id in taken)


async def test_a_replay_begins_a_new_life(story, killed):
    """It is not expired because its event is old, and has all its attempts again."""
    await story.pool.execute("UPDATE integration SET max_age_seconds = 3600")
    story.clock.passed = 0.0
    await replays.replay_dead(story.pool, killed)
    row = await story.pool.fetchrow("SELECT * FROM delivery LIMIT 1")

    assert (0, 0, None) == (row["attempts"], row["burnt"], row["due_at"])
    assert (datetime.now(UTC) - row["queued_at"]).total_seconds() < 60


async def test_a_dead_letter_without_its_event_stays(story, killed):
    """What retention dropped cannot be sent again; nothing is lost from the sum."""
    await story.pool.execute("DELETE FROM event")

    assert 0 == await replays.replay_dead(story.pool, killed)
    assert 5 == (await story.counters(killed)).dead


async def test_events_of_a_time_range_again(story):
    """What was delivered is delivered again, with the ids of the first time."""
    one = await story.integrate()
    async with story.working():
        first = await story.cause(3, one)
        start = datetime.now(UTC)
        second = await story.cause(4, one)
        end = datetime.now(UTC)
        await story.cause(2, one)
        await story.quiet()
        story.receivers["one"].taken.clear()
        count = await replays.replay_events(
            story.pool, one, story.organization, start, end, EVERYTHING
        )
        story.worker.wake([one])
        await story.quiet()
    counters = await story.counters(one)

    assert 4 == count
    assert {f"{e.hex}-{one}" for e in second} == set(story.receivers["one"].taken)
    assert (13, 13) == (counters.matched, counters.delivered)
    assert first


async def test_only_wanted_events_are_replayed(story):
    """Whoever asks decides by topic, device and stream; a slice is no limit."""
    one = await story.integrate()
    await story.cause(30, topic="device.alert")
    await story.cause(12_000, topic="device.telemetry")
    start, end = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC)
    count = await replays.replay_events(
        story.pool, one, story.organization, start, end, lambda topic, *_: topic == "device.alert"
    )

    assert 30 == count == (await story.counters(one)).waiting


async def test_another_organizations_events_are_out_of_reach(story, pool):
    """A replay reads the events of one organization only."""
    one = await story.integrate()
    await story.cause(3)
    other = await pool.fetchval("INSERT INTO organization (name) VALUES ('Other') RETURNING id")
    start, end = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC)

    assert 0 == await replays.replay_events(pool, one, other, start, end, EVERYTHING)


async def test_a_replay_of_what_still_waits_does_not_confuse_batches(story):
    """The same id twice in the queue: never twice in one call, and both are counted."""
    from wattwire.integrations.contract import Limits

    one = await story.integrate()
    await story.cause(6, one)
    start, end = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC)
    await replays.replay_events(story.pool, one, story.organization, start, end, EVERYTHING)
    kinds = {"scripted": story.receivers.kind(limits=Limits(10, 100_000))}
    async with story.working(types=kinds):
        await story.quiet()
    batches = story.receivers["one"].batches

    assert all(len(batch) == len(set(batch)) for batch in batches)
    assert 12 == (await story.counters(one)).delivered


async def test_purging_the_queue(story):
    """What waited is discarded, counted under its reason."""
    one = await story.integrate()
    await story.cause(7, one)

    assert 7 == await replays.purge_queue(story.pool, one, "not needed")
    counters = await story.counters(one)
    assert (7, 7, 0) == (counters.matched, counters.discarded, counters.waiting)
    assert {"not needed": 7} == counters.discarded_reasons


async def test_purging_dead_letters(story, killed):
    """From dead to discarded, some or all."""
    first = (await story.letters(killed))[0]["id"]

    assert 1 == await replays.purge_dead(story.pool, killed, "known", ids=[first])
    assert 4 == await replays.purge_dead(story.pool, killed, "enough")
    counters = await story.counters(killed)
    assert (0, 5) == (counters.dead, counters.discarded)
    assert {"known": 1, "enough": 4} == counters.discarded_reasons


async def test_purging_under_way(story):
    """Messages in flight while the queue is purged are counted once: as discarded."""
    import asyncio

    one = await story.integrate(max_concurrent=2)
    receiver = story.receivers["one"]
    receiver.gate = asyncio.Event()
    async with story.working():
        await story.cause(6, one)
        await story.until(lambda: receiver.now == 2)
        await replays.purge_queue(story.pool, one, "stop")
        receiver.gate.set()
        await story.quiet()
    counters = await story.counters(one)

    assert (6, 0, 6) == (counters.matched, counters.delivered, counters.discarded)


async def test_what_is_queued_for_a_deleted_integration_is_discarded(story):
    """The upkeep does it, also for rows that a stale match adds afterwards."""
    one, two = await story.integrate("one"), await story.integrate("two")
    await story.cause(4, one, two)
    await story.pool.execute("UPDATE integration SET deleted_at = now() WHERE id = $1", one)

    assert 4 == await ledger.discard_orphans(story.pool)
    assert {ledger.DELETED: 4} == (await story.counters(one)).discarded_reasons
    assert 4 == (await story.counters(two)).waiting
