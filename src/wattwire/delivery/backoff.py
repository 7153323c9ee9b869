"""When a message is tried again, and when it is given up. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from wattwire.integrations.contract import Outcome, Retry

JITTER: Final = 0.2
#: Nobody is left alone for longer than this, whatever Retry-After says.
LONGEST_WISH: Final = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds before each attempt, the first included; its length is the number of attempts."""

    schedule: Sequence[float]
    jitter: float = JITTER  #: each delay is stretched or shortened by up to this share

    @property
    def attempts(self) -> int:
        """Return how many attempts there are in all."""
        return len(self.schedule)


def next_attempt(
    policy: Policy, attempt: int, outcome: Outcome, now: datetime, random: Callable[[], float]
) -> datetime | None:
    """Return when to try again after attempt number `attempt` (from 1) failed; None: never.

    `random` returns numbers in [0, 1). What the service wished is honoured between the scheduled
    delay and two days.
    """
    if attempt >= policy.attempts:
        return None
    spread = 1 + policy.jitter * (2 * random() - 1)
    delay = timedelta(seconds=policy.schedule[attempt] * spread)
    return now + max(delay, wish_of(outcome))


def wish_of(outcome: Outcome) -> timedelta:
    """Return how long the service asked to be left alone, within bounds."""
    wish = outcome.after if isinstance(outcome, Retry) else None
    return min(max(wish or timedelta(0), timedelta(0)), LONGEST_WISH)
