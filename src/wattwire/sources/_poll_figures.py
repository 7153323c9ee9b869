"""What pollers count: for each device, and for all of a process together."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

PREFIX: Final = "wattwire_ethernet_ip_"
#: What is counted, by the words of `PollFigures.count`.
COUNTED: Final = (
    "polls",
    "answered",
    "missed",
    "reconnects",
    "unreachable",
    "silent",
    "lost",
    "denied",
    "unreadable",
    "refused",
    "dropped",
)
#: Why a poll brought nothing.
FAILURES: Final = ("unreachable", "silent", "lost", "denied", "unreadable")

_LEAST_SECONDS: Final = 0.0001
_STEP: Final = 1.1
_BINS: Final = 140  #: up to 0.1 ms times 1.1^139, a minute
WINDOW_SECONDS: Final = 60.0


class Lateness:
    """How late polls began, over the last one to two minutes, in bins 10 % wide."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._now = [0] * _BINS
        self._before = [0] * _BINS
        self._began = clock()

    def add(self, seconds: float) -> None:
        """Note one poll."""
        self._turn()
        self._now[_bin_of(seconds)] += 1

    def percentile(self, share: float) -> float:
        """Return the lateness in seconds that `share` of the polls did not exceed; 0 for none."""
        self._turn()
        counts = [a + b for a, b in zip(self._now, self._before, strict=True)]
        wanted = math.ceil(share * sum(counts))
        if not wanted:
            return 0.0
        reached = 0
        for number, count in enumerate(counts):
            reached += count
            if reached >= wanted:
                return float(_LEAST_SECONDS * _STEP**number)
        raise AssertionError("the counts do not add up")

    def _turn(self) -> None:
        gone = self._clock() - self._began
        if gone < WINDOW_SECONDS:
            return
        self._before = self._now if gone < 2 * WINDOW_SECONDS else [0] * _BINS
        self._now = [0] * _BINS
        self._began = self._clock()


def _bin_of(seconds: float) -> int:
    if seconds <= _LEAST_SECONDS:
        return 0
    return min(math.ceil(math.log(seconds / _LEAST_SECONDS, _STEP)), _BINS - 1)


class PollFigures:
    """Of all devices that a process polls. Implements `contract.Figures`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.lateness = Lateness()
        self.devices = 0
        self.answering = 0
        self.waiting = 0

    def read(self) -> Mapping[str, float]:
        """Return everything by the name of its metric."""
        counters = {f"{PREFIX}{word}_total": self.counts[word] for word in COUNTED}
        return counters | {
            f"{PREFIX}devices": self.devices,
            f"{PREFIX}devices_answering": self.answering,
            f"{PREFIX}readings_waiting": self.waiting,
            f"{PREFIX}lateness_p50_seconds": self.lateness.percentile(0.5),
            f"{PREFIX}lateness_p99_seconds": self.lateness.percentile(0.99),
        }


class DeviceFigures:
    """Of one device; what it counts, the process counts as well."""

    def __init__(self, everyone: PollFigures) -> None:
        self.counts: Counter[str] = Counter()
        self._everyone = everyone

    def count(self, word: str, number: int = 1) -> None:
        """Add to one of the words of `COUNTED`."""
        self.counts[word] += number
        self._everyone.counts[word] += number

    def late(self, seconds: float) -> None:
        """Note how late a poll began."""
        self._everyone.lateness.add(seconds)
