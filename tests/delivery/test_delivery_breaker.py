"""When a receiver counts as down, and how it is taken back."""

from datetime import UTC, datetime, timedelta

from wattwire.delivery.breaker import (
    FRESH,
    Phase,
    Rule,
    emptied,
    failed,
    not_before,
    on_trial,
    opened,
    succeeded,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RULE = Rule()
FULL = 8


def fail(breaker, times, **how):
    for _ in range(times):
        breaker = failed(breaker, NOW, RULE, **how)
    return breaker


def succeed(breaker, times):
    for _ in range(times):
        breaker = succeeded(breaker, RULE, FULL)
    return breaker


def test_it_opens_at_the_fifth_failure_in_a_row():
    """Four failures are bad luck, five are an outage."""
    assert Phase.CLOSED is fail(FRESH, 4).phase
    assert Phase.OPEN is fail(FRESH, 5).phase


def test_a_success_in_between_begins_the_count_anew():
    """In a row means in a row."""
    assert Phase.CLOSED is fail(succeed(fail(FRESH, 4), 1), 4).phase


def test_probes_come_ever_later_up_to_five_minutes():
    """5 s, 10, 20 … 300, 300."""
    breaker, delays = opened(NOW, RULE), []
    for _ in range(9):
        delays.append((breaker.probe_at - NOW).total_seconds())
        breaker = failed(breaker, NOW, RULE, probe=True)

    assert [5, 10, 20, 40, 80, 160, 300, 300, 300] == delays


def test_calls_that_were_under_way_do_not_put_the_probe_off():
    """What was sent before the breaker opened says nothing new when it fails."""
    breaker = opened(NOW, RULE)

    assert breaker == failed(breaker, NOW + timedelta(seconds=3), RULE)


def test_nothing_is_sent_while_it_is_open():
    """No calls at all, but for the probe."""
    assert 0 == opened(NOW, RULE).width(FULL)


def test_the_ramp():
    """As many calls as have succeeded since: 1, then 2, 4 … up to the full width."""
    widths = [succeed(opened(NOW, RULE), n).width(FULL) for n in (1, 2, 4, 7, 8)]

    assert [1, 2, 4, 7, 8] == widths
    assert Phase.RAMPING is succeed(opened(NOW, RULE), 7).phase
    assert FRESH == succeed(opened(NOW, RULE), 8)


def test_one_failure_on_the_ramp_is_enough():
    """A flapping receiver gets no second run of five, and the probes go on where they were."""
    breaker = fail(opened(NOW, RULE), 3, probe=True)  # next delay was 40 s
    breaker = fail(succeed(breaker, 3), 1)

    assert Phase.OPEN is breaker.phase
    assert timedelta(seconds=80) == breaker.probe_at - NOW


def test_an_empty_queue_ends_the_ramp():
    """With nothing left to send there is nothing left to be careful about."""
    assert FRESH == emptied(succeed(opened(NOW, RULE), 1))
    assert opened(NOW, RULE) == emptied(opened(NOW, RULE))


def test_a_trial_begins_with_a_probe_at_once():
    """After its settings changed, a receiver in error is asked at once, then after 5 s."""
    breaker = on_trial(NOW)

    assert NOW == breaker.probe_at
    assert timedelta(seconds=5) == failed(breaker, NOW, RULE, probe=True).probe_at - NOW


def test_a_wish_puts_the_probe_off():
    """Retry-After of a receiver that is down is honoured; an earlier moment changes nothing."""
    breaker = opened(NOW, RULE)

    assert NOW + timedelta(minutes=2) == not_before(breaker, NOW + timedelta(minutes=2)).probe_at
    assert breaker == not_before(breaker, NOW)
