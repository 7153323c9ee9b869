"""Simulated time: it starts in the past, runs fast, and becomes real time once it has caught up.

It never runs ahead of the real clock, because readings from the future would rightly be refused.
"""

import asyncio
import math
import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock that showed `start` (epoch seconds) when made and runs `speed` times as fast."""

    start: float
    speed: float = 1.0  #: simulated seconds per real second; infinite: at once
    made_at: float = field(default_factory=time.time)

    def now(self) -> float:
        """Return the simulated time in epoch seconds."""
        present = time.time()
        if math.isinf(self.speed):
            return present
        return min(present, self.start + (present - self.made_at) * self.speed)

    async def wait_until(self, moment: float, stop: asyncio.Event) -> bool:
        """Wait until the clock shows `moment`; return False when stopped before."""
        reached = max(moment, self.made_at + (moment - self.start) / self.speed)
        return await pause(reached - time.time(), stop)


async def pause(seconds: float, stop: asyncio.Event) -> bool:
    """Wait some real seconds; return False when stopped before."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return not stop.is_set()
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return True
    return False
