"""How fast messages leave: a minute of simulated time."""

import random

import pytest

from wattwire.delivery.pace import MINUTE, Pace


def sent_times(pace, *, seconds, batch=1, late=lambda: 0.0):
    """Send as fast as the pace allows; return when each message left."""
    now, times = 0.0, []
    while now < seconds:
        wait = pace.wait(now)
        if wait > 0:
            now += wait + late()
            continue
        count = min(batch, pace.largest)
        times += [now] * count
        pace = pace.take(count, now)
    return times


def most_in_a_minute(times):
    """Return the largest number of messages in any window of one minute."""
    most, start = 0, 0
    for end, time in enumerate(times):
        while times[start] <= time - MINUTE + 1e-6:
            start += 1
        most = max(most, end - start + 1)
    return most


@pytest.mark.parametrize("rate", [1, 50, 60, 100, 600, 6000, 18000, 60000])
def test_no_minute_holds_more_than_the_rate(rate):
    """Within one per cent in any minute, and as many as allowed in each."""
    times = sent_times(Pace.of(rate, 0.0, wait=False), seconds=3 * MINUTE)

    assert most_in_a_minute(times) <= max(rate * 1.01, rate + 0.5)
    assert abs(len([t for t in times if t < MINUTE]) - rate) <= max(1, rate * 0.01)


@pytest.mark.parametrize("rate", [600, 6000, 60000])
def test_a_late_timer_costs_nothing(rate):
    """A process that wakes up to 50 ms late still reaches the rate, and does not exceed it."""
    luck = random.Random(7)
    times = sent_times(
        Pace.of(rate, 0.0, wait=False), seconds=3 * MINUTE, late=lambda: luck.random() / 20
    )

    assert most_in_a_minute(times) <= rate * 1.01
    assert len([t for t in times if MINUTE <= t < 2 * MINUTE]) >= rate * 0.99


def test_batches_are_kept_small_enough():
    """Five hundred at once would blur a limit of six thousand a minute."""
    pace = Pace.of(6000, 0.0, wait=False)
    times = sent_times(pace, seconds=2 * MINUTE, batch=500)

    assert 60 == pace.largest
    assert most_in_a_minute(times) <= 6000 * 1.01


def test_rest_gives_no_credit():
    """After an hour of silence messages leave one by one, not in a burst."""
    pace = Pace.of(60, 0.0, wait=False).take(1, 3600.0)

    assert 0.85 < pace.wait(3600.0) <= 1.0


def test_whoever_takes_over_waits_for_one_slot():
    """The process before may have sent a moment ago: two processes together keep the limit."""
    assert 1.2 == Pace.of(50, 0.0, wait=True).wait(0.0)


def test_no_limit_is_no_wait():
    """Without a rate nothing is ever held back."""
    pace = Pace.of(None, 0.0, wait=True).take(1000, 0.0)

    assert 0 == pace.wait(0.0)
    assert pace.largest is None
