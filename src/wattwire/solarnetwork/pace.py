"""How fast each token may ask: a bucket of tokens that fills by the second."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MAX_BUCKETS: Final = 10_000


class Pace:
    """Allows so many requests a second to each key, in this process, a second's worth at once."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_second
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  #: level, when

    def wait_seconds(self, key: str) -> int:
        """Count a request; return 0, or after how many seconds it should be repeated."""
        if not self._rate:
            return 0
        now = self._clock()
        level, at = self._buckets.pop(key, (float(self._rate), now))
        level = min(float(self._rate), level + (now - at) * self._rate)
        allowed = level >= 1
        self._buckets[key] = (level - 1 if allowed else level, now)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return 0 if allowed else max(1, math.ceil((1 - level) / self._rate))
