"""Writes what became of messages: collect while a commit is under way, commit at once when idle."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import structlog

from wattwire.delivery.clock import Clock
from wattwire.delivery.engine import Settled
from wattwire.model import Event
from wattwire.store import deliveries
from wattwire.store.deliveries import Settlement
from wattwire.store.standing import StandingConnection

#: Settlements in one transaction.
MOST: Final = 500
PAUSE_SECONDS: Final = 0.5
COMMIT_SECONDS: Final = 30.0
#: Errors that a repetition cannot cure: what is written cannot be stored.
_REFUSED: Final = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)

log = structlog.get_logger()

Emit = Callable[[Any, Event], Awaitable[None]]  #: in the transaction of the connection
Describe = Callable[[int], tuple[UUID, dict[str, Any]] | None]  #: of an integration: whose, what


class Settler:
    """The one writer of outcomes in this process."""

    def __init__(self, pool: Any, clock: Clock, emit: Emit, describe: Describe) -> None:
        self._connection = StandingConnection(pool)
        self._clock = clock
        self._emit = emit
        self._describe = describe
        self._waiting: list[tuple[Settlement, Settled]] = []
        self._put = asyncio.Event()
        self.busy = False

    def put(self, settlement: Settlement, settled: Settled) -> None:
        """Write something soon; `settled` is called when it is durable."""
        self._waiting.append((settlement, settled))
        self.busy = True
        self._put.set()

    async def run(self) -> None:
        """Write until cancelled."""
        try:
            while True:
                await self._put.wait()
                self._put.clear()
                while self._waiting:
                    await self._commit_next()
                self.busy = False
        finally:
            await self._connection.drop()

    async def _commit_next(self) -> None:
        taken, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            await self._commit_surely([settlement for settlement, _ in taken])
        except asyncio.CancelledError:
            self._waiting = taken + self._waiting
            raise
        for _, settled in taken:
            settled()

    async def _commit_surely(self, settlements: Sequence[Settlement]) -> None:
        """Commit, however often the database goes away."""
        while True:
            try:
                async with asyncio.timeout(COMMIT_SECONDS):
                    await self._commit(settlements)
            except _REFUSED as error:
                await self._commit_apart(settlements, error)
            except deliveries.TROUBLE as error:
                log.warning("delivery.settle_failed", error=str(error) or type(error).__name__)
                await self._connection.drop()
                await self._clock.sleep(PAUSE_SECONDS)
                continue
            return

    async def _commit_apart(self, settlements: Sequence[Settlement], error: Exception) -> None:
        """Find the settlement that cannot be stored, and store of it what counts."""
        if len(settlements) > 1:
            for settlement in settlements:
                await self._commit_surely([settlement])
            return
        settlement = settlements[0]
        log.error(
            "delivery.settlement_refused", integration=settlement.integration_id, error=str(error)
        )
        if settlement.attempts or settlement.state:
            await self._commit_surely([replace(settlement, attempts=(), state=None)])

    async def _commit(self, settlements: Sequence[Settlement]) -> None:
        connection = await self._connection.get()
        async with connection.transaction():
            for settlement, was in await deliveries.settle(connection, settlements):
                await self._tell(connection, settlement, was)

    async def _tell(self, connection: Any, settlement: Settlement, was: str) -> None:
        """Tell those who asked that an integration went wrong, or came right again."""
        event = self._event(settlement, was)
        if event is None:
            return
        log.info(
            f"delivery.integration_{'recovered' if settlement.state.status == 'active' else 'failed'}",
            integration=settlement.integration_id,
            reason=settlement.state.reason,
        )
        try:
            async with connection.transaction():
                await self._emit(connection, event)
        except deliveries.TROUBLE:
            raise
        except Exception as error:
            log.error("delivery.event_lost", topic=event.topic, error=str(error), exc_info=error)

    def _event(self, settlement: Settlement, was: str) -> Event | None:
        state = settlement.state
        described = self._describe(settlement.integration_id)
        if state is None or described is None:
            return None
        topic = _topic(was, state.status)
        if topic is None:
            return None
        organization_id, facts = described
        return Event(
            id=uuid4(),
            topic=topic,
            organization_id=organization_id,
            time=settlement.at,
            data={**facts, "status": state.status, "reason": state.reason},
            severity="error" if topic == "integration.error" else "info",
        )


def _topic(was: str, now: str) -> str | None:
    """Return the topic of a change of status; None when nobody needs to hear of it."""
    if now == "active":
        return "integration.recovered" if was == "error" else None
    return "integration.error" if was not in {now, "error"} else None
