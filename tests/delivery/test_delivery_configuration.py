"""What people change takes effect at once, and what cannot work is said."""

import asyncio

import pytest
from delivery_story import LocalLeases, PlainSealer

from wattwire.delivery.trial import send_test
from wattwire.integrations.contract import Delivered, Retry


def denied(message):
    return Retry("HTTP 403 Forbidden: bad key", status=403)


async def change(story, integration, **columns):
    """Edit an integration as the API does, and tell the worker."""
    sets = ", ".join(f"{name} = ${n}" for n, name in enumerate(columns, 2))
    await story.pool.execute(
        f"UPDATE integration SET {sets}, updated_at = now() WHERE id = $1",
        integration,
        *columns.values(),
    )
    story.worker.configuration_changed(integration)
    await story.quiet()


async def test_wrong_credentials_park_until_settings_change(story):
    """403: everything waits without an attempt lost; new settings are tried at once."""
    one = await story.integrate()
    story.receivers["one"].answer = denied
    async with story.working():
        await story.cause(30, one)
        await story.pass_time(3600)
        state = await story.state(one)
        assert ("error", True, "HTTP 403 Forbidden: bad key") == (
            state["status"], state["parked"], state["reason"],
        )  # fmt: skip
        assert 30 == (await story.counters(one)).waiting
        assert 30 >= len(await story.attempts(one))
        assert 0 == await story.pool.fetchval("SELECT max(burnt) FROM delivery")

        await change(story, one, settings={"name": "better"})
        await story.pass_time(0)
        assert 30 == len(story.receivers["better"].taken)

    assert ["integration.error", "integration.recovered"] == [e.topic for e in story.emitted]
    assert "active" == (await story.state(one))["status"]


async def test_a_parked_integration_stays_parked_over_a_restart(story):
    """A new owner does not knock again with credentials that were refused."""
    one = await story.integrate()
    story.receivers["one"].answer = denied
    async with story.working():
        await story.cause(3, one)
        await story.pass_time(10)
    sent = len(story.receivers["one"].batches)
    async with story.working(leases=LocalLeases(story.pool)):
        await story.pass_time(7200)

    assert sent == len(story.receivers["one"].batches)


async def test_a_successful_test_unparks(story):
    """The receiver forgave: Test shows it, and what waited goes out."""
    one = await story.integrate()
    receiver = story.receivers["one"]
    receiver.answer = denied
    async with story.working():
        await story.cause(3, one)
        await story.pass_time(10)
        kinds = {"scripted": story.receivers.kind()}
        failed = await send_test(story.pool, one, PlainSealer(), kinds)
        assert ("retry", "HTTP 403 Forbidden: bad key") == (failed.outcome, failed.reason)
        assert (await story.state(one))["parked"]

        receiver.answer = lambda message: Delivered("HTTP 200", 200)
        result = await send_test(story.pool, one, PlainSealer(), kinds)
        story.worker.configuration_changed(one)  # as the watch on the database tells
        await story.pass_time(1)
    tests = [row for row in await story.attempts(one) if row["test"]]

    assert ("delivered", "HTTP 200") == (result.outcome, result.receipt)
    assert ["retry", "delivered"] == [row["outcome"] for row in tests]
    counters = await story.counters(one)
    assert (3, 3) == (counters.matched, counters.delivered)  # tests are counted nowhere


async def test_410_switches_off_and_resuming_switches_on(story):
    """A receiver that wants no more gets no more until a person says so."""
    one = await story.integrate()
    receiver = story.receivers["one"]
    receiver.answer = lambda message: Retry("HTTP 410 Gone", status=410)
    async with story.working():
        await story.cause(5, one)
        await story.pass_time(60)
        story.worker.configuration_changed(one)
        sent = len(receiver.batches)
        await story.pass_time(3600)
        assert sent == len(receiver.batches)
        assert not await story.pool.fetchval("SELECT enabled FROM integration")
        assert "inactive" == (await story.state(one))["status"]
        assert ["integration.error"] == [e.topic for e in story.emitted]

        receiver.answer = lambda message: Delivered("taken")
        await change(story, one, enabled=True)
        await story.pass_time(1)

    assert 5 == (await story.counters(one)).delivered
    assert "active" == (await story.state(one))["status"]
    assert ["integration.error"] == [e.topic for e in story.emitted]  # a person knows already


async def test_messages_expire_while_paused(story):
    """Also where nothing is sent: the oldest first, with the reason, none before its time."""
    one = await story.integrate(enabled=False, max_age_seconds=600)
    async with story.working(poll_seconds=0.5):
        await story.cause(4, one)
        await story.pass_time(590)
        assert 4 == (await story.counters(one)).waiting
        await story.pass_time(60)

    assert 4 == (await story.counters(one)).dead
    assert {"expired: not delivered within 0:10:00"} == {
        letter["reason"] for letter in await story.letters(one)
    }


async def test_paused_means_waiting(story):
    """While paused nothing leaves; what waited leaves afterwards, in order, once."""
    one = await story.integrate(max_concurrent=1)
    async with story.working():
        await change(story, one, enabled=False)
        events = await story.cause(10, one)
        await story.pass_time(600)
        assert 10 == (await story.counters(one)).waiting
        await change(story, one, enabled=True)
        await story.pass_time(0)

    assert [f"{e.hex}-{one}" for e in events] == story.receivers["one"].taken


async def test_pausing_lets_calls_under_way_end(story):
    """What is in flight is not sent again after resuming."""
    one = await story.integrate(max_concurrent=2)
    receiver = story.receivers["one"]
    receiver.gate = asyncio.Event()
    async with story.working():
        await story.cause(6, one)
        await story.until(lambda: receiver.now == 2)
        for enabled in (False, True):
            await story.pool.execute(
                "UPDATE integration SET enabled = $2, updated_at = now() WHERE id = $1",
                one,
                enabled,
            )
            story.worker.configuration_changed(one)
            await story.until(lambda on=enabled: (story.worker.lanes[one].plan is not None) is on)
        receiver.gate.set()
        await story.quiet()

    assert 6 == len(receiver.taken) == len(set(receiver.taken))


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"type": "pigeon"}, "There is no integration type pigeon"),
        ({"format": "runes"}, "There is no format runes"),
        ({"settings": {}}, "name: Field required"),
        ({"settings": {"name": "one", "nmae": "x"}}, "nmae: Extra inputs are not permitted"),
        ({"outcomes": {"404": "perhaps"}}, "'perhaps' is not one of"),
    ],
)
async def test_what_cannot_work_is_not_configured(story, columns, reason):
    """The status says so, with the reason; messages wait, and leave once it is mended."""
    one = await story.integrate(**columns)
    async with story.working():
        await story.cause(2, one)
        await story.pass_time(60)
        state = await story.state(one)
        assert "not_configured" == state["status"]
        assert reason in state["reason"]
        assert 2 == (await story.counters(one)).waiting

        mended = {"type": "scripted", "format": None, "settings": {"name": "one"}, "outcomes": {}}
        await change(story, one, **mended)
        await story.pass_time(1)

    assert 2 == (await story.counters(one)).delivered
    assert "active" == (await story.state(one))["status"]


async def test_new_integrations_are_served_without_a_restart(story):
    """Made while the worker runs, told or not."""
    async with story.working(lease_seconds=2.0):
        one = await story.integrate()
        await story.cause(2, one)
        await story.pass_time(3)

        assert 2 == (await story.counters(one)).delivered


async def test_a_deleted_integration_gets_nothing_more(story):
    """From the moment it is deleted; what was queued is discarded by the upkeep."""
    one = await story.integrate(rate_per_minute=60)
    async with story.working():
        await story.cause(100, one)
        await story.pass_time(10)
        await change(story, one, deleted_at=story.clock.begun)
        sent = len(story.receivers["one"].batches)
        await story.pass_time(600)
        assert sent == len(story.receivers["one"].batches)


async def test_a_new_address_is_used_at_once(story):
    """The connection to the old receiver is closed, the new one opened."""
    one = await story.integrate()
    async with story.working():
        await story.cause(1, one)
        await story.quiet()
        await change(story, one, settings={"name": "moved"})
        await story.cause(1, one)
        await story.quiet()

    assert 1 == len(story.receivers["moved"].taken)


async def test_a_connection_is_not_closed_under_a_call(story):
    """New settings while a call is under way: the old connection ends after the call."""
    one = await story.integrate(max_concurrent=1)
    receiver = story.receivers["one"]
    receiver.gate = asyncio.Event()
    async with story.working() as worker:
        await story.cause(1, one)
        await story.until(lambda: receiver.now == 1)
        await story.pool.execute(
            "UPDATE integration SET settings = $1, updated_at = now()", {"name": "moved"}
        )
        worker.configuration_changed(one)
        await story.until(lambda: worker.lanes[one].plan.address == "scripted:moved")
        assert 1 == receiver.open
        receiver.gate.set()
        await story.quiet()

        assert 0 == receiver.open


async def test_connections_that_rest_are_closed(story):
    """After a minute without use; the next message opens one again."""
    one = await story.integrate()
    async with story.working(poll_seconds=1.0):
        await story.cause(1, one)
        await story.pass_time(90)
        await story.cause(1, one)
        await story.quiet()

    assert 2 == story.receivers["one"].opened


async def test_the_users_table_of_outcomes_holds(story):
    """409 means that the receiver has it already, says the user."""
    one = await story.integrate(outcomes={"409": "ok", "4xx": "reject"})
    answers = iter([Retry("known", status=409), Retry("odd", status=418)])
    story.receivers["one"].answer = lambda message: next(answers)
    async with story.working():
        await story.cause(2, one)
        await story.quiet()
    counters = await story.counters(one)

    assert (1, 1) == (counters.delivered, counters.dead)


async def test_a_schedule_of_ones_own(story):
    """Two attempts, a minute apart, instead of the type's."""
    one = await story.integrate(schedule_seconds=[0.0, 60.0])
    story.receivers["one"].answer = lambda message: Retry("HTTP 404", status=404)
    async with story.working():
        await story.cause(1, one)
        await story.pass_time(59)
        assert 1 == len(story.receivers["one"].batches)
        await story.pass_time(2)

    assert 1 == (await story.counters(one)).dead
    assert 2 == len(story.receivers["one"].batches)


async def test_a_test_of_what_is_not_configured_says_why(story):
    """No network is needed to see that the settings are incomplete."""
    one = await story.integrate(settings={})
    result = await send_test(story.pool, one, PlainSealer(), {"scripted": story.receivers.kind()})

    assert ("rejected", "name: Field required") == (result.outcome, result.reason)
    assert await send_test(story.pool, 999, PlainSealer(), {}) is None
