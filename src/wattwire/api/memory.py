"""What was looked up lately: remembered for seconds, forgotten when it changes, bounded.

Whoever uses it hears of changes by the store's `watch`; the seconds are for a change that was
missed.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

REMEMBERED_SECONDS: Final = 10.0
MOST_REMEMBERED: Final = 10_000
TOUCH_SECONDS: Final = 60.0


@dataclass(slots=True)
class Remembered(Generic[V]):
    """One thing that was looked up."""

    value: V
    until: float
    touched: float = 0.0

    def must_be_touched(self) -> bool:
        """Return whether its use is to be written down; then not again for a minute."""
        now = time.monotonic()
        due = not self.touched or now - self.touched >= TOUCH_SECONDS
        if due:
            self.touched = now
        return due


class Memory(Generic[K, V]):
    """Answers of a slow question by what was asked."""

    def __init__(
        self, fetch: Callable[[K], Awaitable[V]], worth_keeping: Callable[[V], bool]
    ) -> None:
        self._fetch = fetch
        self._worth_keeping = worth_keeping
        self._kept: OrderedDict[K, Remembered[V]] = OrderedDict()
        self._changes = 0

    def forget(self, key: K) -> None:
        """Ask again for a key; what is just being asked for is not kept."""
        self._changes += 1
        self._kept.pop(key, None)

    def clear(self) -> None:
        """Ask again for everything."""
        self._changes += 1
        self._kept.clear()

    async def find(self, key: K) -> Remembered[V]:
        """Return the answer, at most some seconds old."""
        now = time.monotonic()
        entry = self._kept.get(key)
        if entry is not None and entry.until > now:
            return entry
        changes = self._changes
        value = await self._fetch(key)
        touched = entry.touched if entry else 0.0
        found = Remembered(value, now + REMEMBERED_SECONDS, touched)
        self._kept.pop(key, None)
        if changes == self._changes and self._worth_keeping(value):  # else it may be old already
            self._keep(key, found)
        return found

    def _keep(self, key: K, found: Remembered[V]) -> None:
        self._kept[key] = found
        if len(self._kept) > MOST_REMEMBERED:
            self._kept.popitem(last=False)
