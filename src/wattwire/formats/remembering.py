"""A bounded memory for what is dear to build and often asked for again."""

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

ENTRY_WEIGHT: Final = 300  #: bytes of one entry beside what it holds, roughly


class Memory(Generic[K, V]):
    """Keeps what was used lately, up to about twice `limit` bytes by the weights given.

    Two generations: entries used since the last change are kept through the next one. Looking up
    a recent entry is one dictionary access, and the bound holds whatever the keys are.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._weight = 0
        self._young: dict[K, tuple[V, int]] = {}
        self._old: dict[K, tuple[V, int]] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: K) -> V | None:
        """Return what was put under the key, or None when it is not (or no longer) known."""
        entry = self._young.get(key)
        if entry is None:
            entry = self._old.pop(key, None)
            if entry is None:
                return None
            self._keep(key, entry)
        return entry[0]

    def put(self, key: K, value: V, weight: int) -> None:
        """Remember a value of about `weight` bytes."""
        self._keep(key, (value, weight + ENTRY_WEIGHT))

    def _keep(self, key: K, entry: tuple[V, int]) -> None:
        if self._weight + entry[1] > self._limit and self._young:
            self._old, self._young, self._weight = self._young, {}, 0
        self._young[key] = entry
        self._weight += entry[1]
