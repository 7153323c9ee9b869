"""Slows down those who guess passwords: few failures a minute per address and per email."""

import time
from collections import OrderedDict, deque
from typing import Final

MAX_FAILURES: Final = 10
WINDOW_SECONDS: Final = 60.0
_MAX_KEYS: Final = 10_000


class LoginGuard:
    """Counts failures in this process, bounded; the oldest keys are forgotten first."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_seconds(self, *keys: str) -> int:
        """Return how long whoever has these keys must wait; 0 when they may try."""
        return max((self._wait(key) for key in keys), default=0)

    def count(self, *keys: str) -> None:
        """Count a try as a failure, before its password is looked at: many come at once."""
        for key in keys:
            times = self._failures.setdefault(key, deque(maxlen=MAX_FAILURES))
            times.append(time.monotonic())
            self._failures.move_to_end(key)
        while len(self._failures) > _MAX_KEYS:
            self._failures.popitem(last=False)

    def forgive(self, *keys: str) -> None:
        """Take back what was counted for a try whose password was right."""
        for key in keys:
            if self._failures.get(key):
                self._failures[key].pop()

    def _wait(self, key: str) -> int:
        times = self._failures.get(key)
        if times is None or len(times) < MAX_FAILURES:
            return 0
        left = times[0] + WINDOW_SECONDS - time.monotonic()
        return max(0, int(left) + 1) if left > 0 else 0
