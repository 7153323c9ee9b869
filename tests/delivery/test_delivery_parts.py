"""A reading as one message for each channel: ids that stay, a ledger that closes."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from wattwire.api.replaying import replay_events
from wattwire.formats.object_patterns import compile_objects
from wattwire.integrations.contract import Delivered, Limits, Rejected, Retry
from wattwire.store import integrations, replays
from wattwire.store.events import record_events

VALUES = {"adc_va": 1.5, "adc_vb": 2.5, "T_hs": 30.0, "state": "run"}
PARTS = (1, 2, 4)


async def cause(story, one, count=1, parts=PARTS):
    """Make readings of which an integration gets these parts; return their ids."""
    events = story.events(count)
    for event in events:
        object.__setattr__(event, "data", {"stream": "/1", "values": VALUES})
    rows = [(n, one, part) for n in range(count) for part in parts]
    async with story.pool.acquire() as connection, connection.transaction():
        await record_events(connection, events, [], rows)
    if story.worker is not None:
        story.worker.wake([one])
    return [event.id for event in events]


def ids_of(event_ids, one, parts=PARTS):
    return [f"{event_id.hex}-{one}-{part}" for event_id in event_ids for part in parts]


@pytest.fixture
def bodies(story):
    """What the receiver got, by message id."""
    got = {}

    def answer(message):
        got[message.id] = json.loads(message.body)
        return Delivered("taken")

    story.receivers["one"].answer = answer
    return got


async def test_each_part_is_a_message_with_its_channel(story, bodies):
    """The body has that value alone, and its name; the ids tell the parts; all are counted."""
    one = await story.integrate()
    async with story.working():
        events = await cause(story, one)
        await story.quiet()
    counters = await story.counters(one)

    assert ids_of(events, one) == story.receivers["one"].taken
    data = [bodies[message_id]["data"] for message_id in ids_of(events, one)]
    assert [{"adc_va": 1.5}, {"adc_vb": 2.5}, {"state": "run"}] == [d["values"] for d in data]
    assert ["adc_va", "adc_vb", "state"] == [d["object"] for d in data]
    assert (3, 3) == (counters.matched, counters.delivered)


async def test_the_ledger_closes_while_parts_have_different_fates(story):
    """Delivered, rejected and waiting parts of one event add up to what was matched."""
    one = await story.integrate()
    fates = {"1": Delivered("r"), "2": Rejected("never"), "4": Retry("later")}
    story.receivers["one"].answer = lambda message: fates[message.id.rpartition("-")[2]]
    kinds = {"scripted": story.receivers.kind(limits=Limits(10, 100_000))}
    async with story.working(types=kinds):
        await cause(story, one, count=20)
        await story.quiet()
        counters = await story.counters(one)  # it closes: the story's counters look
        assert (60, 20, 20) == (counters.matched, counters.delivered, counters.dead)
        assert 20 == counters.waiting + counters.in_flight

    async with story.working(types=kinds):
        await story.pass_time(60)
    counters = await story.counters(one)
    assert (60, 20, 40) == (counters.matched, counters.delivered, counters.dead)


async def test_a_dead_part_goes_out_again_as_itself(story, bodies):
    """It keeps its id and its channel, with a new id on demand, too."""
    one = await story.integrate()
    friendly = story.receivers["one"].answer
    story.receivers["one"].answer = lambda message: Rejected("never")
    async with story.working():
        events = await cause(story, one)
        await story.quiet()
    letters = await story.letters(one)
    assert ids_of(events, one) == [letter["message_id"] for letter in letters]
    assert list(PARTS) == [letter["part"] for letter in letters]

    story.receivers["one"].answer = friendly
    assert 1 == await replays.replay_dead(story.pool, one, ids=[letters[1]["id"]])
    assert 1 == await replays.replay_dead(
        story.pool, one, ids=[letters[2]["id"]], new_id_suffix="r2"
    )
    async with story.working():
        await story.pass_time(1)
    counters = await story.counters(one)

    base = f"{events[0].hex}-{one}"
    assert [f"{base}-2", f"{base}-4-r2"] == story.receivers["one"].taken
    assert {"adc_vb": 2.5} == bodies[f"{base}-2"]["data"]["values"]
    assert {"state": "run"} == bodies[f"{base}-4-r2"]["data"]["values"]
    assert (3, 2, 1) == (counters.matched, counters.delivered, counters.dead)


async def test_a_part_that_dies_again_keeps_its_id(story):
    """Dead, replayed, dead: the letter is the same but for its number."""
    one = await story.integrate()
    story.receivers["one"].answer = lambda message: Rejected("never")
    async with story.working():
        events = await cause(story, one)
        await story.quiet()
    await replays.replay_dead(story.pool, one)
    async with story.working():
        await story.pass_time(1)
    letters = await story.letters(one)

    assert sorted(ids_of(events, one)) == sorted(letter["message_id"] for letter in letters)
    assert sorted(PARTS) == sorted(letter["part"] for letter in letters)


async def test_a_range_is_parted_as_the_events_were(story, bodies):
    """The same channels, with the ids of the first time; other topics stay whole."""
    one = await story.integrate(objects=["adc_*", "state"], topics=["device.telemetry", "x"])
    events = await cause(story, one, count=3)
    (alert,) = await story.cause(1, one, topic="x")
    async with story.working():
        await story.quiet()
    first = list(story.receivers["one"].taken)
    story.receivers["one"].taken.clear()
    row = await integrations.find(story.pool, story.organization, one)
    start, end = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC)
    async with story.working():
        assert 10 == await replay_events(story.pool, row, start, end)
        story.worker.wake([one])
        await story.quiet()
    counters = await story.counters(one)

    assert [*ids_of(events, one), f"{alert.hex}-{one}"] == first
    assert sorted(first) == sorted(story.receivers["one"].taken)
    assert (20, 20) == (counters.matched, counters.delivered)


async def test_a_range_of_more_than_a_slice(story):
    """A thousand readings are parted slice by slice, none twice and none left out."""
    one = await story.integrate()
    await cause(story, one, count=1100, parts=())
    start, end = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC)
    count = await replays.replay_events(
        story.pool, one, story.organization, start, end, lambda *_: True,
        objects=compile_objects(["adc_*"]),
    )  # fmt: skip
    kept = await story.pool.fetchval("SELECT count(DISTINCT (event_id, part)) FROM delivery")

    assert 2200 == count == kept == (await story.counters(one)).waiting


async def test_a_part_that_is_not_there_is_a_dead_letter(story):
    """An event without so many values is given up with its reason, and stops nothing."""
    one = await story.integrate()
    async with story.working():
        await cause(story, one, parts=(9, 1))
        await story.quiet()
    (letter,) = await story.letters(one)

    assert "no value number 9" in letter["reason"]
    assert 1 == (await story.counters(one)).delivered


async def test_latecomers_and_the_lookout_find_parts(story):
    """Rows of which nobody told are found, with their part."""
    one = await story.integrate()
    async with story.working():
        await story.quiet()
        worker, story.worker = story.worker, None  # nobody is woken
        events = await cause(story, one)
        story.worker = worker
        await story.pass_time(60)

    assert ids_of(events, one) == story.receivers["one"].taken
