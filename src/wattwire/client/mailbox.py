"""Results between the thread that receives and whoever reads: bounded, and honest about it."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from wattwire.client.limits import Limits
from wattwire.client.results import Missed, Told


class Mailbox:
    """Keeps results in order. What finds no room is counted, and the count is told in its place."""

    def __init__(self, limits: Limits, wake: Callable[[], None] | None = None) -> None:
        self._limits = limits
        self._wake = wake  #: called after each change, from the thread that made it
        self._changed = threading.Condition()
        self._batches: deque[tuple[Sequence[Told], int]] = deque()
        self._count = self._bytes = self._missed = 0
        self._open = self._ended = False
        self._failure: Exception | None = None

    def put(self, results: Sequence[Told], size: int) -> None:
        """Take the results of one message of `size` bytes, unless they find no room."""
        with self._changed:
            if (
                self._missed
                or self._count + len(results) > self._limits.queued
                or self._bytes + size > self._limits.queued_bytes
            ):
                self._missed += len(results)
            else:
                self._batches.append((results, size))
                self._count += len(results)
                self._bytes += size
            self._notify()

    def opened(self) -> None:
        """Note that the subscription stands."""
        with self._changed:
            self._open = True
            self._notify()

    def end(self, failure: Exception | None) -> None:
        """Note that nothing more will come, and why."""
        with self._changed:
            self._ended, self._failure = True, failure
            self._notify()

    def _notify(self) -> None:
        self._changed.notify_all()
        if self._wake is not None:
            self._wake()

    @property
    def is_open(self) -> bool:
        """Tell whether the subscription stood at any time. Raises the failure that ended it."""
        with self._changed:
            if self._failure is not None and not self._open:
                raise self._failure
            return self._open

    def take(self) -> list[Told]:
        """Return what is there, oldest first, without waiting.

        Raises the failure that ended the subscription once nothing is left.
        """
        with self._changed:
            results = [result for batch, _ in self._batches for result in batch]
            if self._missed:
                results.append(Missed(count=self._missed))
            self._batches.clear()
            self._count = self._bytes = self._missed = 0
            if not results and self._failure is not None:
                raise self._failure
            return results

    @property
    def has_news(self) -> bool:
        """Tell whether `take` would return or raise anything."""
        return bool(self._batches or self._missed or self._failure is not None)

    @property
    def has_ended(self) -> bool:
        """Tell whether nothing more will come."""
        return self._ended

    def wait(self, seconds: float, condition: Callable[[], bool]) -> bool:
        """Wait so long for a condition, looked at after each change; return whether it holds."""
        end = time.monotonic() + seconds
        with self._changed:
            while not condition():
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
            return True
