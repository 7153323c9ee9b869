"""When a receiver counts as down, how it is looked after, and how it is taken back. Pure.

    closed ──(so many failures in a row)──▶ open ──(a probe succeeds)──▶ ramping
      ▲                                      ▲                              │
      │                                      └────────(one failure)─────────┤
      └──(as many successes as calls at full width, or nothing left)────────┘

Open: nothing is sent but one probe at a time, after 5 s, then ever later, up to every 5 min.
Ramping: as many calls at a time as have succeeded since. Whoever watches hears of an outage when it
begins and when ramping has ended, so that a flapping receiver is one outage, not fifty.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    """Where a receiver stands."""

    CLOSED = "closed"  #: it works, as far as anybody knows
    OPEN = "open"  #: it is down
    RAMPING = "ramping"  #: it is back, and gets more by and by


@dataclass(frozen=True, slots=True)
class Rule:
    """When a breaker opens and how it probes."""

    threshold: int = 5  #: failing calls in a row
    first_probe: timedelta = timedelta(seconds=5)
    longest_probe: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is known of one receiver."""

    phase: Phase = Phase.CLOSED
    failures: int = 0  #: in a row
    successes: int = 0  #: since it came back
    delay: timedelta = timedelta(0)  #: before the latest probe
    probe_at: datetime | None = None

    def width(self, full: int) -> int:
        """Return how many calls may be under way, of `full` at most."""
        if self.phase is Phase.CLOSED:
            return full
        return min(self.successes, full) if self.phase is Phase.RAMPING else 0


FRESH: Final = Breaker()


def opened(now: datetime, rule: Rule) -> Breaker:
    """Return a breaker that just opened: the first probe is due after the first delay."""
    return Breaker(Phase.OPEN, rule.threshold, 0, rule.first_probe, now + rule.first_probe)


def on_trial(now: datetime, failures: int = 0) -> Breaker:
    """Return a breaker whose first message is a probe, at once."""
    return Breaker(Phase.OPEN, failures, 0, timedelta(0), now)


def failed(breaker: Breaker, now: datetime, rule: Rule, *, probe: bool = False) -> Breaker:
    """Return the breaker after a failing call.

    A call that was under way when it opened says nothing new; a probe does.
    """
    count = breaker.failures + 1
    if breaker.phase is Phase.CLOSED:
        return opened(now, rule) if count >= rule.threshold else replace(breaker, failures=count)
    if breaker.phase is Phase.OPEN and not probe:
        return breaker
    delay = min(max(2 * breaker.delay, rule.first_probe), rule.longest_probe)
    return Breaker(Phase.OPEN, count, 0, delay, now + delay)


def succeeded(breaker: Breaker, rule: Rule, full: int) -> Breaker:
    """Return the breaker after a call that was answered."""
    if breaker.phase is Phase.CLOSED:
        return breaker if breaker.failures == 0 else FRESH
    if breaker.phase is Phase.OPEN:
        return Breaker(Phase.RAMPING, 0, 1, breaker.delay)
    count = breaker.successes + 1
    return FRESH if count >= max(full, rule.threshold) else replace(breaker, successes=count)


def emptied(breaker: Breaker) -> Breaker:
    """Return the breaker when nothing is left to send."""
    return FRESH if breaker.phase is Phase.RAMPING else breaker


def not_before(breaker: Breaker, moment: datetime) -> Breaker:
    """Return the breaker with its probe put off, as the receiver wished."""
    if breaker.probe_at is None or breaker.probe_at >= moment:
        return breaker
    return replace(breaker, probe_at=moment)
