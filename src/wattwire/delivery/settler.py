"""Writes what became of messages: collect while a commit is under way, commit at once when idle."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import structlog

from wattwire.delivery.engine import Settled
from wattwire.model import Event
from wattwire.store import deliveries
from wattwire.store.deliveries import Settlement
from wattwire.store.standing import StandingConnection

#: Settlements in one transaction.
MOST: Final = 500
PLAIN_WRITERS: Final = 2
PAUSE_SECONDS: Final = 0.5
COMMIT_SECONDS: Final = 30.0
#: Errors that a repetition cannot cure: what is written cannot be stored.
_REFUSED: Final = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)

#: What is worth an event. Settings that cannot be used are seen by whoever entered them.
_BAD: Final = frozenset(("error", "inactive"))

log = structlog.get_logger()

Emit = Callable[[Any, Event], Awaitable[None]]  #: in the transaction of the connection
Describe = Callable[[int], tuple[UUID, dict[str, Any]] | None]  #: of an integration: whose, what


class Tray:
    """What is to be written, in the order in which it came."""

    def __init__(self) -> None:
        self.unsettled = 0  #: waiting, or in a commit that is under way
        self._waiting: list[tuple[Settlement, Settled]] = []
        self._some = asyncio.Event()

    def put(self, settlement: Settlement, settled: Settled) -> None:
        """Add one."""
        self._waiting.append((settlement, settled))
        self.unsettled += 1
        self._some.set()

    async def take(self) -> list[tuple[Settlement, Settled]]:
        """Wait until there is something; return all there is, within reason."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        taken, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        return taken

    def put_back(self, taken: list[tuple[Settlement, Settled]]) -> None:
        """Take back what could not be written."""
        self._waiting = taken + self._waiting
        self._some.set()


class Settler:
    """The writers of outcomes in this process.

    Plain successes, which do not depend on each other, are written by several at once: while one
    waits for the disk, the next is collected. Everything else is written in order by one.
    """

    def __init__(self, pool: Any, emit: Emit, describe: Describe) -> None:
        self._emit = emit
        self._describe = describe
        self._plain = Tray()
        self._others = Tray()
        self._pool = pool

    @property
    def busy(self) -> bool:
        """Return whether anything is not durable yet."""
        return bool(self._plain.unsettled or self._others.unsettled)

    def put(self, settlement: Settlement, settled: Settled) -> None:
        """Write something soon; `settled` is called when it is durable."""
        tray = self._plain if settlement.is_plain else self._others
        tray.put(settlement, settled)

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as group:
            for tray in (*[self._plain] * PLAIN_WRITERS, self._others):
                group.create_task(self._write(tray))

    async def _write(self, tray: "Tray") -> None:
        connection = StandingConnection(self._pool)
        try:
            while True:
                taken = await tray.take()
                try:
                    await self._commit_surely(connection, [settlement for settlement, _ in taken])
                except BaseException:
                    tray.put_back(taken)  # for whoever runs next
                    raise
                tray.unsettled -= len(taken)
                for _, settled in taken:
                    settled()
        finally:
            await connection.drop()

    async def _commit_surely(
        self, connection: StandingConnection, settlements: Sequence[Settlement]
    ) -> None:
        """Commit, however often the database goes away."""
        while True:
            try:
                async with asyncio.timeout(COMMIT_SECONDS):
                    await self._commit(await connection.get(), settlements)
            except _REFUSED as error:
                await self._commit_apart(connection, settlements, error)
            except deliveries.TROUBLE as error:
                log.warning("delivery.settle_failed", error=str(error) or type(error).__name__)
                await connection.drop()
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            return

    async def _commit_apart(
        self, connection: StandingConnection, settlements: Sequence[Settlement], error: Exception
    ) -> None:
        """Find the settlement that cannot be stored, and store of it what counts."""
        if len(settlements) > 1:
            for settlement in settlements:
                await self._commit_surely(connection, [settlement])
            return
        settlement = settlements[0]
        log.error(
            "delivery.settlement_refused", integration=settlement.integration_id, error=str(error)
        )
        if settlement.attempts or settlement.state:
            await self._commit_surely(connection, [settlement._replace(attempts=(), state=None)])

    async def _commit(self, connection: Any, settlements: Sequence[Settlement]) -> None:
        if all(settlement.is_plain for settlement in settlements):
            # A single statement is a transaction of its own.
            await deliveries.settle_delivered(connection, settlements)
            return
        async with connection.transaction():
            await deliveries.settle_delivered(connection, settlements)
            for settlement, was in await deliveries.settle_others(connection, settlements):
                await self._tell(connection, settlement, was)

    async def _tell(self, connection: Any, settlement: Settlement, was: str) -> None:
        """Tell those who asked that an integration went wrong, or came right again."""
        event = self._event(settlement, was)
        if event is None:
            return
        log.info("delivery.status_changed", integration=settlement.integration_id, **event.data)
        try:
            async with connection.transaction():
                await self._emit(connection, event)
        except deliveries.TROUBLE:
            raise
        except Exception:  # the ledger matters more than its announcement
            log.exception("delivery.event_lost", topic=event.topic)

    def _event(self, settlement: Settlement, was: str) -> Event | None:
        state = settlement.state
        described = self._describe(settlement.integration_id)
        topic = _topic(was, state.status) if state else None
        if state is None or described is None or topic is None:
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
    return "integration.error" if now in _BAD and was not in _BAD else None
