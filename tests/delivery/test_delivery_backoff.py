"""When a message is tried again: a table of decisions."""

from datetime import UTC, datetime, timedelta

import pytest

from wattwire.delivery.backoff import Policy, next_attempt
from wattwire.integrations.contract import STANDARD_SCHEDULE, Rejected, Retry

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STANDARD = Policy(STANDARD_SCHEDULE)
MIDDLE = 0.5  # no jitter


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [(1, 5), (2, 300), (3, 1800), (4, 7200), (5, 18000), (6, 36000), (7, 36000)],
)
def test_the_standard_schedule(attempt, seconds):
    """After attempt n the next one follows as the design's table says."""
    assert timedelta(seconds=seconds) == (
        next_attempt(STANDARD, attempt, Retry("no"), NOW, lambda: MIDDLE) - NOW
    )


def test_after_the_last_attempt_there_is_none():
    """Eight attempts are all that the standard schedule has."""
    assert 8 == STANDARD.attempts
    assert next_attempt(STANDARD, 8, Retry("no"), NOW, lambda: MIDDLE) is None


@pytest.mark.parametrize(("luck", "seconds"), [(0.0, 240), (0.5, 300), (0.999999, 360)])
def test_jitter_is_a_fifth_either_way(luck, seconds):
    """300 s become anything between 240 and 360."""
    due = next_attempt(STANDARD, 2, Retry("no"), NOW, lambda: luck)

    assert abs((due - NOW).total_seconds() - seconds) < 0.01


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (timedelta(seconds=1), timedelta(seconds=5)),  # less than the delay: the delay
        (timedelta(seconds=60), timedelta(seconds=60)),  # more: as wished
        (timedelta(days=30), timedelta(days=2)),  # but no longer than two days
        (timedelta(seconds=-5), timedelta(seconds=5)),
        (None, timedelta(seconds=5)),
    ],
)
def test_retry_after_is_honoured_within_bounds(after, expected):
    """Retry-After counts between the scheduled delay and two days."""
    due = next_attempt(STANDARD, 1, Retry("busy", after=after), NOW, lambda: MIDDLE)

    assert expected == due - NOW


def test_other_outcomes_carry_no_wish():
    """A rejection that the user chose to retry waits as scheduled."""
    due = next_attempt(STANDARD, 1, Rejected("no"), NOW, lambda: MIDDLE)

    assert timedelta(seconds=5) == due - NOW
