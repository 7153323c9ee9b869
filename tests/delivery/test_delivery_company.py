"""Messages that travel together: they wait for each other, fail together and go again together."""

import pytest
from delivery_story import Receiver

from wattwire.integrations.contract import Delivered, Limits, Rejected, Retry

LINGER = 3600.0


@pytest.fixture
def kinds(story):
    """A type that writes many messages as one thing, an hour's worth at a time."""
    return {"scripted": story.receivers.kind(limits=Limits(100, 1_000_000), linger=LINGER)}


def batches(story):
    return [len(batch) for batch in story.receivers["one"].batches]


async def seconds_left(story):
    return LINGER - story.clock.now().timestamp() % LINGER


async def test_messages_wait_until_their_period_is_over(story, kinds):
    """Three arrive one by one; nothing leaves before the hour is over, then all in one call."""
    one = await story.integrate()
    async with story.working(types=kinds):
        for _ in range(3):
            await story.cause(1, one)
            await story.quiet()
        left = await seconds_left(story)
        await story.pass_time(left - 0.5)
        assert [] == batches(story)
        await story.pass_time(1.0)

    assert [3] == batches(story)
    assert 3 == (await story.counters(one)).delivered


async def test_a_full_batch_leaves_at_once(story, kinds):
    """Two hundred and thirty wait: two calls of a hundred now, the rest when the hour is over."""
    one = await story.integrate(max_concurrent=1)
    async with story.working(types=kinds):
        await story.cause(230, one)
        await story.quiet()
        assert [100, 100] == batches(story)
        await story.pass_time(await seconds_left(story) + 0.5)

    assert [100, 100, 30] == batches(story)


async def test_what_failed_together_goes_again_together(story, kinds):
    """The second call of a batch holds the same messages in the same order as the first."""
    one = await story.integrate()
    answers = iter([Retry("oops", status=500)] * 20)
    story.receivers["one"].answer = lambda message: next(answers, Delivered("taken"))
    async with story.working(types=kinds, luck=iter([x / 40 for x in range(40)]).__next__):
        await story.cause(20, one)
        await story.pass_time(await seconds_left(story) + 30)
    first, second = story.receivers["one"].batches

    assert 20 == len(first)
    assert first == second
    assert 20 == (await story.counters(one)).delivered


async def test_a_new_owner_cuts_the_same_batches(story, kinds):
    """Killed between the call and its settlement: the next owner sends the very same batch."""
    one = await story.integrate(max_concurrent=1)
    await story.cause(130, one)
    story.receivers["one"].answer = lambda message: Retry("away", code="unreachable")
    async with story.working(types=kinds):
        await story.quiet()
    before = list(story.receivers["one"].batches)
    story.receivers["one"].answer = lambda message: Delivered("taken")
    async with story.working(types=kinds):
        await story.pass_time(LINGER + 600)

    assert 100 == len(before[0])
    assert before[0] in story.receivers["one"].batches[1:]
    assert 130 == (await story.counters(one)).delivered


async def test_a_digest_counts_as_one_call(story):
    """Sixty a minute of what becomes one: a minute takes sixty calls, however many messages."""
    one = await story.integrate(rate_per_minute=60, max_concurrent=1)
    kinds = {"scripted": story.receivers.kind(limits=Limits(50, 1_000_000), folds=True)}
    async with story.working(types=kinds):
        await story.cause(300, one)
        await story.pass_time(8)

    assert 300 == (await story.counters(one)).delivered
    assert max(batches(story)) == 50
    assert len(batches(story)) <= 9


class Digests(Receiver):
    """Takes a batch as one thing: it is refused whole when one of `bad` is in it."""

    bad = None  #: the eighth and the thirty-fourth of the first batch

    async def deliver(self, batch):
        self.batches.append([message.id for message in batch])
        self.bad = self.bad or {batch[7].id, batch[33].id}
        if self.bad & {message.id for message in batch}:
            return dict.fromkeys((m.id for m in batch), Rejected("too odd", status=552))
        self.taken += [message.id for message in batch]
        return {message.id: Delivered("taken") for message in batch}


async def test_one_that_is_refused_does_not_take_its_digest_with_it(story):
    """Of fifty sent as one, two are to blame: parts are halved until only these are left."""
    one = await story.integrate(rate_per_minute=6000, max_concurrent=1)
    receiver = story.receivers["one"] = Digests()
    kinds = {
        "scripted": story.receivers.kind(limits=Limits(50, 1_000_000), folds=True, schedule=(0.0,))
    }
    await story.cause(50, one)
    async with story.working(types=kinds):
        await story.pass_time(30)
        await story.cause(3, one)  # later ones travel as one again
        await story.pass_time(5)

    counters = await story.counters(one)
    assert (51, 2) == (counters.delivered, counters.dead)
    assert receiver.bad == {letter["message_id"] for letter in await story.letters(one)}
    assert 50 == len(receiver.batches[0])
    assert len(receiver.batches) <= 1 + 2 * 2 * 6 + 1
    assert 3 == len(receiver.batches[-1])
    reasons = {row["reason"] for row in await story.attempts(one) if row["number"] == 1}
    assert "refused as one of 50: too odd" in reasons
