"""Keeps one engine running: looks after it, starts it again with growing pauses, says how it is."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Final, Protocol, Self

import structlog

from wattwire.endings import end
from wattwire.engines.errors import EngineError

#: Called with the engine's name, whether it is healthy, and a sentence; once per change.
OnState = Callable[[str, bool, str], None]

log = structlog.get_logger()


class Engine(Protocol):
    """Something that runs beside the hub and may die."""

    @property
    def name(self) -> str:
        """What it is called in logs and states."""

    async def start(self) -> None:
        """Return when it is ready. Raises EngineError; does nothing when it runs."""

    async def stop(self) -> None:
        """Return when it has ended; does nothing when it does not run."""

    async def wait_died(self) -> int:
        """Return its exit status when it ends."""

    async def healthy(self) -> bool:
        """Return whether it does its work."""


@dataclass(frozen=True, slots=True)
class Care:
    """How often to look and how long to wait, in seconds."""

    check: float = 2.0  #: between two looks
    answer: float = 10.0  #: one look takes at most
    patience: float = 30.0  #: alive and not healthy for so long: it is restarted
    first_pause: float = 0.2  #: before the first restart; doubles with each that follows
    longest_pause: float = 10.0
    settled: float = 30.0  #: healthy for so long: pauses begin again at the first


DEFAULT_CARE: Final = Care()


class Supervised:
    """One engine under care, from `start` to `stop`, or for the span of an `async with`.

    Nested contexts stop in the reverse order of their start.
    """

    def __init__(self, engine: Engine, on_state: OnState, care: Care = DEFAULT_CARE) -> None:
        self._engine = engine
        self._on_state = on_state
        self._care = care
        self._state: tuple[bool, str] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._pause = care.first_pause
        self._healthy_since: float | None = None
        self.restarts = 0  #: how often it was started again

    async def start(self) -> None:
        """Start the engine and its care. Raises EngineError when the first start fails."""
        await self._engine.start()
        self._report(healthy=True, detail="started")
        self._keeper = asyncio.create_task(self._keep(), name=f"keep-{self._engine.name}")

    async def stop(self) -> None:
        """End the care, then the engine."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await end(keeper)
        await self._engine.stop()
        if self._state is not None:
            self._report(healthy=False, detail="stopped")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _keep(self) -> None:
        while True:
            try:
                trouble = await self._watch()
                self._report(healthy=False, detail=trouble)
                await self._revive()
            except Exception as error:  # the edge of the task: an engine is never left alone
                log.exception("engines.care_failed", engine=self._engine.name)
                self._report(healthy=False, detail=f"{type(error).__name__}: {error}")
                await asyncio.sleep(self._next_pause())

    async def _watch(self) -> str:
        """Return why the engine needs a restart."""
        died = asyncio.create_task(self._engine.wait_died())
        try:
            return await self._watch_until(died)
        finally:
            await end(died)

    async def _watch_until(self, died: asyncio.Task[int]) -> str:
        sick_since: float | None = None
        while True:
            await asyncio.wait({died}, timeout=self._care.check)
            if died.done():
                return f"ended with status {died.result()}"
            if await self._looks_healthy():
                sick_since = None
                self._note_health()
                continue
            sick_since = sick_since or monotonic()
            self._report(healthy=False, detail="does not answer")
            if monotonic() - sick_since >= self._care.patience:
                return f"did not answer for {self._care.patience:.0f} s"

    async def _looks_healthy(self) -> bool:
        try:
            async with asyncio.timeout(self._care.answer):
                return await self._engine.healthy()
        except TimeoutError:
            return False

    def _note_health(self) -> None:
        self._report(healthy=True, detail="answers")
        now = monotonic()
        self._healthy_since = self._healthy_since or now
        if now - self._healthy_since >= self._care.settled:
            self._pause = self._care.first_pause

    async def _revive(self) -> None:
        """End what is left of the engine and start it until that succeeds."""
        while True:
            await asyncio.sleep(self._next_pause())
            try:
                await self._engine.stop()
                await self._engine.start()
            except EngineError as error:
                self._report(healthy=False, detail=str(error))
                continue
            self.restarts += 1
            self._report(healthy=True, detail="started again")
            return

    def _next_pause(self) -> float:
        pause, self._pause = self._pause, min(self._pause * 2, self._care.longest_pause)
        return pause

    def _report(self, *, healthy: bool, detail: str) -> None:
        if not healthy:
            self._healthy_since = None
        known = self._state
        if known == (healthy, detail) or (known and healthy and known[0]):
            return
        self._state = (healthy, detail)
        level = log.info if healthy or detail == "stopped" else log.warning
        level("engines.state_changed", engine=self._engine.name, healthy=healthy, detail=detail)
        self._on_state(self._engine.name, healthy, detail)
