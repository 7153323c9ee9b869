"""How fast messages may leave one integration. Pure.

Every message takes a slot of 60 s / rate, so that no minute holds more than the rate. A slot that
was missed because the process was busy may be made up for, but only for a tenth of a second's
worth: a minute then holds at most 1/600 more. A batch takes as many slots as it has messages, and
is kept to a hundredth of a minute's worth, so that its size does not blur the limit either.
"""

from dataclasses import dataclass, replace
from typing import Final, Self

MINUTE: Final = 60.0
TOLERANCE_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Pace:
    """When the next message may leave, in seconds of a clock that only rises."""

    interval: float = 0.0  #: seconds per message; 0: no limit
    free_at: float = 0.0
    largest: int | None = None  #: messages in one batch; None: no limit
    calls: bool = False  #: a call takes one slot, whatever its size

    @classmethod
    def of(
        cls, rate_per_minute: int | None, now: float, *, wait: bool, calls: bool = False
    ) -> Self:
        """Return the pace of a limit. `wait`: somebody else may have sent a moment ago.

        `calls`: the limit counts calls, however many messages each takes along.
        """
        if rate_per_minute is None:
            return cls()
        interval = MINUTE / rate_per_minute
        largest = None if calls else max(1, rate_per_minute // 100)
        return cls(interval, now + interval if wait else now, largest, calls)

    def wait(self, now: float) -> float:
        """Return how many seconds from now the next message may leave; 0: at once."""
        return max(0.0, self.free_at - now) if self.interval else 0.0

    def take(self, messages: int, now: float) -> "Pace":
        """Return the pace after so many messages left now."""
        if not self.interval:
            return self
        start = max(self.free_at, now - TOLERANCE_SECONDS)
        slots = 1 if self.calls else messages
        return replace(self, free_at=start + slots * self.interval)
