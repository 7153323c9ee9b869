"""Time as the engine sees it, so that an hour of outage can be told in a second."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Timer(Protocol):
    """Something that will be called, unless it is cancelled."""

    def cancel(self) -> None:
        """Forget it."""


class Clock(Protocol):
    """What tells the time and wakes at a time."""

    def now(self) -> datetime:
        """Return the time of day, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that only rise."""

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call once, later."""

    async def sleep(self, seconds: float) -> None:
        """Return later."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that only rise."""
        return time.monotonic()

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call once, later."""
        return asyncio.get_running_loop().call_later(seconds, call)

    async def sleep(self, seconds: float) -> None:
        """Return later."""
        await asyncio.sleep(seconds)
