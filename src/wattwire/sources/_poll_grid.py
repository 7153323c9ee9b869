"""When a device is polled: on a grid of instants that are a period apart. Pure.

Due times are whole microseconds of a clock that only goes forward. A grid that follows the wall
clock has its instants at whole periods of it, counted from 1970; such a slot knows its instant.
"""

import random
from dataclasses import dataclass
from typing import Final, NamedTuple

#: However late a poll began, the next one begins no sooner after it. In microseconds.
LEAST_GAP: Final = 100_000


class Now(NamedTuple):
    """One moment on two clocks, in microseconds."""

    steady: int  #: only goes forward
    wall: int  #: since the epoch; a person may set it


class Slot(NamedTuple):
    """When a poll is due."""

    due: int  #: on the steady clock
    instant: int | None = None  #: on the wall clock, where the grid follows that


@dataclass(frozen=True, slots=True)
class Grid:
    """Instants that are `period` apart. All in microseconds."""

    period: int
    phase: int = 0  #: on the steady clock; where the grid follows the wall clock, it has none
    aligned: bool = False

    def after(self, now: Now, last: Slot | None = None, *, not_before: int = 0) -> Slot:
        """Return the first slot after this moment, `last` and `not_before` of the steady clock.

        The clocks may differ by less than a period from one moment to the next (one is slewed, or
        the reader was held up between them), so that an instant is ahead that was polled already:
        it is not polled twice. A wall clock that was set back further is followed.
        """
        ahead = max(not_before - now.steady, 0 if last is None else last.due - now.steady, 0)
        if not self.aligned:
            return Slot(self._next(now.steady + ahead, self.phase))
        instant = self._next(now.wall + ahead, 0)
        if last is not None and instant == last.instant:
            instant += self.period
        return Slot(now.steady + instant - now.wall, instant)

    def _next(self, moment: int, phase: int) -> int:
        return phase + ((moment - phase) // self.period + 1) * self.period

    def skipped(self, last: Slot, following: Slot) -> int:
        """Return how many slots lie between two that are kept, by the steady clock."""
        return max(round((following.due - last.due) / self.period) - 1, 0)


def spread(count: int, period: int) -> list[int]:
    """Return a phase for each of `count` devices: one each in as many parts of the period.

    Where in its part is left to chance, so that several hubs do not fall into step.
    """
    part = period / count if count else 0.0
    return [int((n + random.random()) * part) for n in range(count)]  # noqa: S311 - no secret


def pause_before_retry(failures: int, *, first: float, longest: float) -> float:
    """Return the seconds until a device that failed so often is tried again, with jitter."""
    pause = min(first * 2.0 ** min(failures - 1, 30), longest)
    return min(pause * random.uniform(0.75, 1.25), longest)  # noqa: S311 - no secret
