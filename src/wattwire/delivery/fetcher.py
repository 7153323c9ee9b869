"""Reads the queue for all lanes at once: whoever asks while a query is under way is in the next."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import structlog

from wattwire.delivery.clock import Clock
from wattwire.delivery.lane import Lane
from wattwire.store import deliveries
from wattwire.store.deliveries import Queued, Want
from wattwire.store.standing import StandingConnection

#: Lanes in one query, and rows that they may want together; the others are in the next.
MOST_LANES: Final = 200
MOST_ROWS: Final = 5000
PAUSE_SECONDS: Final = 0.5
QUERY_SECONDS: Final = 30.0

log = structlog.get_logger()
_Asked = list[tuple[Lane, Want]]


class Fetcher:
    """The one reader of the queue in this process."""

    def __init__(self, pool: Any, clock: Clock) -> None:
        self._connection = StandingConnection(pool)
        self._clock = clock
        self._lanes: dict[Lane, None] = {}  # in the order in which they asked
        self._asked = asyncio.Event()
        self._fetching = False

    @property
    def busy(self) -> bool:
        """Return whether something is being fetched, or about to be."""
        return self._fetching or bool(self._lanes)

    def ask(self, lane: Lane) -> None:
        """Fetch for a lane soon."""
        self._lanes[lane] = None
        self._asked.set()

    async def run(self) -> None:
        """Fetch until cancelled."""
        try:
            while True:
                await self._asked.wait()
                self._asked.clear()
                await self._fetch_all()
        finally:
            await self._connection.drop()

    async def _fetch_all(self) -> None:
        while self._lanes:
            now = self._clock.now()
            asked = self._next(now)
            if not asked:
                continue
            self._fetching = True
            try:
                await self._fetch(asked, now)
            finally:
                self._fetching = False

    def _next(self, now: datetime) -> _Asked:
        asked: _Asked = []
        rows = 0
        while self._lanes and len(asked) < MOST_LANES and rows < MOST_ROWS:
            lane = next(iter(self._lanes))
            del self._lanes[lane]
            if (want := lane.want(now)) is not None:
                asked.append((lane, want))
                rows += want.fresh + want.due
        return asked

    async def _fetch(self, asked: _Asked, now: datetime) -> None:
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                rows, due = await self._query([want for _, want in asked], now)
        except deliveries.TROUBLE as error:
            log.warning("delivery.fetch_failed", error=str(error) or type(error).__name__)
            self._lanes.update({lane: None for lane, _ in asked})
            await self._connection.drop()
            await asyncio.sleep(PAUSE_SECONDS)
            return
        for lane, want in asked:
            lane.take(rows.get(lane.id, ()), want, due.get(lane.id))

    async def _query(
        self, wants: Sequence[Want], now: datetime
    ) -> tuple[dict[int, list[Queued]], dict[int, datetime]]:
        connection = await self._connection.get()
        rows = defaultdict(list)
        for row in await deliveries.fetch(connection, wants, now):
            rows[row.integration_id].append(row)
        overdue = [want.integration_id for want in wants if want.due]
        due = await deliveries.next_due(connection, overdue, now) if overdue else {}
        return rows, due
