"""An integration that is opened when there is something to send, and closed when it rests."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import structlog

from wattwire.delivery.clock import Clock
from wattwire.delivery.plan import Plan
from wattwire.delivery.verdicts import CONFIGURATION
from wattwire.integrations.contract import (
    FAULT,
    TIMED_OUT,
    UNREACHABLE,
    ConfigurationError,
    Integration,
    Outcome,
    Outcomes,
    Retry,
    Surroundings,
    UnreachableError,
)
from wattwire.model import Message

CLOSE_SECONDS: Final = 10.0

log = structlog.get_logger()


class Link:
    """The way to one receiver. Whatever happens on it, there is an outcome for each message."""

    def __init__(self, plan: Plan, surroundings: Surroundings, clock: Clock) -> None:
        self._plan = plan
        self._surroundings = surroundings
        self._clock = clock
        self._opening = asyncio.Lock()
        self._stack: AsyncExitStack | None = None
        self._integration: Any = None
        self._users = 0
        self._free = asyncio.Event()
        self._free.set()
        self._used_at = 0.0

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Send one batch; return one outcome per message that the service spoke of."""
        try:
            async with asyncio.timeout(self._plan.timeout_seconds):
                return await self._deliver(batch)
        except Exception as error:  # noqa: BLE001 - whatever a type raises, it is an outcome here
            return dict.fromkeys((message.id for message in batch), self._failure(error))

    async def test(self, probe: Message) -> Outcome:
        """Send one message marked as a test."""
        try:
            async with asyncio.timeout(self._plan.timeout_seconds):
                integration = await self._open()
                return await integration.test(probe)
        except Exception as error:  # noqa: BLE001 - as above
            return self._failure(error)

    async def _deliver(self, batch: Sequence[Message]) -> Outcomes:
        self._users += 1
        self._free.clear()
        try:
            integration = self._integration or await self._open()
            outcomes: Outcomes = await integration.deliver(batch)
            return outcomes
        finally:
            self._users -= 1
            if not self._users:
                self._free.set()
            self._used_at = self._clock.monotonic()

    async def _open(self) -> Integration:
        async with self._opening:
            if self._integration is None:
                stack = AsyncExitStack()
                connected = self._plan.kind.connect(self._plan.settings, self._surroundings)
                self._integration = await stack.enter_async_context(connected)
                self._stack = stack
            integration: Integration = self._integration
            return integration

    def _failure(self, error: Exception) -> Outcome:
        text = str(error) or type(error).__name__
        if isinstance(error, TimeoutError):
            return Retry(f"no answer within {self._plan.timeout_seconds:g} s", code=TIMED_OUT)
        if isinstance(error, UnreachableError | OSError):
            return Retry(text, code=UNREACHABLE)
        if isinstance(error, ConfigurationError):
            return Retry(text, code=CONFIGURATION)
        log.error("delivery.call_failed", integration=self._plan.id, error=text, exc_info=error)
        return Retry(f"{type(error).__name__}: {text}", code=FAULT)

    @property
    def rests(self) -> bool:
        """Return whether it is open and nobody used it for a while."""
        idle = self._clock.monotonic() - self._used_at
        enough = self._plan.kind.rest_seconds(self._plan.settings)
        return self._stack is not None and not self._users and idle >= enough

    async def close(self) -> None:
        """Close what is open, once nobody uses it; it opens again when it is needed."""
        await self._free.wait()
        stack, self._stack, self._integration = self._stack, None, None
        if stack is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await stack.aclose()
        except Exception as error:  # noqa: BLE001 - closing is a courtesy; what it raises ends here
            log.warning("delivery.link_closed_badly", integration=self._plan.id, error=str(error))
