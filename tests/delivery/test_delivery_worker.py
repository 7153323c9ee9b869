"""What the engine does with messages, on the real database."""

from wattwire.integrations.contract import Rejected


async def test_what_is_queued_is_delivered_and_counted(story):
    """Each event reaches the integration once, and the ledger says so."""
    one = await story.integrate()
    async with story.working():
        events = await story.cause(25, one)
        await story.quiet()
    counters = await story.counters(one)

    assert [f"{e.hex}-{one}" for e in events] == story.receivers["one"].taken
    assert (25, 25, 0, 0) == (
        counters.matched, counters.delivered, counters.waiting, counters.in_flight,
    )  # fmt: skip
    assert 25 == len(await story.attempts(one))


async def test_a_rejected_message_is_a_dead_letter(story):
    """What the receiver will never take is kept with the reason, and counted."""
    one = await story.integrate()
    story.receivers["one"].answer = lambda message: Rejected("no such meter")
    async with story.working():
        await story.cause(1, one)
        await story.quiet()
    counters = await story.counters(one)

    assert (1, 1) == (counters.matched, counters.dead)
    assert ["no such meter"] == [letter["reason"] for letter in await story.letters(one)]
