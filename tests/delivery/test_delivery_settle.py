"""What an answered call does to its messages: decisions without a database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from wattwire.delivery.backoff import Policy
from wattwire.delivery.breaker import Breaker, Phase, Rule, opened
from wattwire.delivery.items import Item
from wattwire.delivery.plan import Plan
from wattwire.delivery.rendering import find_format
from wattwire.delivery.settle import CALM, Call, Standing, conclude
from wattwire.delivery.verdicts import merged
from wattwire.integrations import webhook
from wattwire.integrations.contract import (
    HTTP_VERDICTS,
    UNREACHABLE,
    Delivered,
    Limits,
    Rejected,
    Retry,
    Verdict,
)
from wattwire.model import Message
from wattwire.store.deliveries import Again, Dead, Queued

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RULE = Rule()
PLAN = Plan(
    id=7,
    organization_id=UUID(int=1),
    name="seven",
    kind=webhook.TYPE,
    settings=webhook.Settings(url="https://example.com/"),
    address="https://example.com/",
    form=find_format("wattwire"),
    limits=Limits(10, 1000),
    max_payload_bytes=1000,
    rate_per_minute=None,
    width=4,
    verdicts=merged(HTTP_VERDICTS, {}),
    policy=Policy((0.0, 5.0, 10.0)),
    max_age=timedelta(days=7),
    linger_seconds=0.0,
    timeout_seconds=30,
    updated_at=NOW,
)
GONE = Retry("cannot connect", code=UNREACHABLE)


def item(sequence, *, attempts=0, burnt=0):
    row = Queued(
        7, sequence, attempts, burnt, NOW, None, f"m-{sequence}", UUID(int=sequence), NOW, None
    )
    return Item(row, Message(f"m-{sequence}", b"{}", topic="t", device="d"))


def settle(outcomes, *, items=None, before=CALM, plan=PLAN, probe=False, now=NOW):
    items = items or [item(n) for n in range(1, len(outcomes) + 1)]
    said = {i.message.id: o for i, o in zip(items, outcomes, strict=True) if o is not None}
    call = Call(items, said, NOW, 12.5, probe)
    return conclude(plan, call, before, RULE, now, lambda: 0.5)


def after(seconds):
    return NOW + timedelta(seconds=seconds)


def test_each_message_has_its_own_fate():
    """One delivered, one rejected, one to be tried again, one not mentioned: all in one answer."""
    done = settle([Delivered("r"), Rejected("bad"), Retry("busy"), None])

    assert [1] == done.delivered
    assert [Dead(2, 1, "bad")] == done.dead
    assert [Again(3, 1, 1, after(5)), Again(4, 1, 1, after(5))] == done.again
    assert ["delivered", "rejected", "retry", "retry"] == [a.outcome for a in done.attempts]
    assert "did not mention" in done.attempts[3].reason


def test_the_ledger_row_says_everything():
    """Receipt, address, number, duration: what a person needs to find it at the provider."""
    row = settle([Delivered("HTTP 200", 200)], items=[item(1, attempts=3)]).attempts[0]

    assert ("HTTP 200", "https://example.com/", 4, 12.5, "t", "d", "m-1") == (
        row.receipt, row.address, row.number, row.duration_ms, row.topic, row.device_key,
        row.message_id,
    )  # fmt: skip


def test_what_used_up_its_attempts_is_given_up():
    """The third failure of three is the last; the reason says so."""
    done = settle([Retry("HTTP 404", status=404)], items=[item(1, attempts=2, burnt=2)])

    assert [Dead(1, 3, "given up after 3 attempts: HTTP 404")] == done.dead


def test_an_outage_gives_nothing_up():
    """Nobody is there, and it is the message's last attempt: the breaker opens instead."""
    before = Standing(run={1: 0})
    done = settle([GONE], items=[item(1, attempts=2, burnt=2)], before=before)

    assert [] == done.dead
    assert [Again(1, 3, 0, None)] == done.again
    assert Phase.OPEN is done.standing.breaker.phase
    assert ("error", "cannot connect") == (done.state.status, done.state.reason)


def test_the_fifth_failure_refunds_the_four_before():
    """None of the messages that found the receiver down has an attempt less."""
    standing = CALM
    for n in range(1, 5):
        done = settle([Retry("HTTP 500", status=500)], items=[item(n)], before=standing)
        standing = done.standing
        assert [Again(n, 1, 1, after(5))] == done.again
        assert done.state is None
    done = settle([Retry("HTTP 500", status=500)], items=[item(5)], before=standing)

    assert [Again(5, 1, 0, None)] == done.again
    assert [(n, 0) for n in range(1, 5)] == sorted(done.refunds)
    assert after(5) == done.state.probe_at


def test_a_failed_probe_burns_nothing():
    """However often a probe fails, its message has lost nothing but time."""
    standing = Standing(opened(NOW, RULE))
    done = settle([GONE], items=[item(1, attempts=9, burnt=1)], before=standing, probe=True)

    assert [Again(1, 10, 1, None)] == done.again
    assert after(10) == done.state.probe_at
    assert done.attempts[0].probe


def test_a_call_from_before_the_outage_says_nothing_new():
    """It fails like the others, its message waits like theirs, the probe stays where it is."""
    standing = Standing(opened(NOW, RULE))
    done = settle([GONE], before=standing)

    assert [Again(1, 1, 0, None)] == done.again
    assert standing.breaker == done.standing.breaker
    assert done.state is None


def test_retry_after_of_a_receiver_that_is_down_puts_the_probe_off():
    """503 with Retry-After: 120 is probed in two minutes, not in five seconds."""
    standing = Standing(replace(Breaker(), failures=4))
    busy = Retry("HTTP 503", status=503, after=timedelta(seconds=120))

    assert after(120) == settle([busy], before=standing).state.probe_at


@pytest.mark.parametrize("status", [401, 403])
def test_wrong_credentials_park(status):
    """Everything waits, nothing is burnt, and the status tells the owner why."""
    done = settle([Retry(f"HTTP {status}", status=status)], items=[item(1, burnt=2)])

    assert [Again(1, 1, 2, None)] == done.again
    assert done.standing.stopped
    assert ("error", True, f"HTTP {status}") == (
        done.state.status, done.state.parked, done.state.reason,
    )  # fmt: skip


def test_410_switches_off():
    """A receiver that is gone for good gets nothing more."""
    done = settle([Retry("HTTP 410 Gone", status=410)])

    assert done.standing.stopped
    assert ("inactive", True) == (done.state.status, done.state.disable)
    assert [Again(1, 1, 0, None)] == done.again


def test_one_success_outweighs_a_refusal_in_the_same_batch():
    """Credentials that worked for the neighbour are not wrong: only the message is tried again."""
    done = settle([Delivered("r"), Retry("denied", code="x", status=403)])

    assert not done.standing.stopped
    assert [Again(2, 1, 1, after(5))] == done.again


def test_too_fast_waits_longer_each_time_and_burns_nothing():
    """429 without Retry-After: 1 s, 2 s, 4 s … up to five minutes."""
    standing, pauses, now = CALM, [], NOW
    for _ in range(11):
        done = settle(
            [Retry("HTTP 429", status=429)], items=[item(1, burnt=2)], before=standing, now=now
        )
        standing = done.standing
        pauses.append((standing.pause_until - now).total_seconds())
        assert [Again(1, 1, 2, standing.pause_until)] == done.again
        now = standing.pause_until

    assert [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] == pauses
    assert Phase.CLOSED is standing.breaker.phase


def test_ten_refusals_at_once_are_one():
    """Calls that were under way together do not make the pause longer."""
    standing = CALM
    for n in range(10):
        standing = settle([Retry("x", status=429)], items=[item(n)], before=standing).standing

    assert after(1) == standing.pause_until


def test_too_fast_waits_as_long_as_it_is_told():
    """Retry-After counts when it asks for more."""
    wish = Retry("HTTP 429", status=429, after=timedelta(seconds=40))

    assert after(40) == settle([wish]).standing.pause_until


def test_only_the_throttled_part_of_a_batch_waits():
    """The others got through: the integration as a whole is not slowed."""
    done = settle([Delivered("r"), Retry("slow", status=429)])

    assert done.standing.pause_until is None
    assert [Again(2, 1, 0, after(1))] == done.again


def test_a_gateway_that_says_502_is_slowed_and_watched():
    """It is a sign of an outage as well: the fifth in a row opens the breaker."""
    standing = CALM
    for _ in range(5):
        done = settle([Retry("HTTP 502", status=502)], before=standing)
        standing = done.standing

    assert Phase.OPEN is standing.breaker.phase
    assert standing.breaker.probe_at >= standing.pause_until


def test_a_receiver_that_refuses_is_not_down():
    """404 in between: whoever answers so is there, and the count begins anew."""
    standing = settle([Retry("x", status=500)]).standing
    assert 1 == standing.breaker.failures

    assert settle([Retry("x", status=404)], before=standing).standing is CALM


def test_recovery_is_told_when_the_ramp_has_ended():
    """Not at the first success, which may be luck."""
    done = settle([Delivered("r")], before=Standing(opened(NOW, RULE)), probe=True)
    assert Phase.RAMPING is done.standing.breaker.phase
    assert done.state is None

    ramped = Standing(Breaker(Phase.RAMPING, successes=4))
    assert "active" == settle([Delivered("r")], before=ramped).state.status


def test_the_user_decides_what_an_answer_means():
    """409 as success, 404 as refusal, 200 as failure, if somebody says so."""
    table = merged(HTTP_VERDICTS, {"409": "ok", "404": "reject", "200": "retry"})
    plan = replace(PLAN, verdicts=table)
    outcomes = [Retry("known", status=409), Retry("no", status=404), Delivered("HTTP 200", 200)]
    done = settle(outcomes, plan=plan)

    assert ([1], [2], [3]) == (
        done.delivered, [d.sequence for d in done.dead], [a.sequence for a in done.again],
    )  # fmt: skip
    assert Verdict.OK == "ok"


def test_texts_from_outside_can_be_stored():
    """A zero byte or half a character in a service's words must not stop the ledger."""
    row = settle([Rejected("a\x00b\ud800c")]).attempts[0]

    assert "a b?c" == row.reason
