"""Events as they happen: one look at the store for all who watch, a bounded queue for each.

The store is asked twice a second, and only while somebody watches. Each look reaches some seconds
back, because a transaction may become visible after one that began later; what was shown already is
remembered by its id.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from wattwire.endings import end
from wattwire.store import listing

LOOK_SECONDS: Final = 0.5
OVERLAP: Final = timedelta(seconds=5)
QUEUE_SIZE: Final = 1000
MAX_WATCHERS: Final = 200
MAX_PER_ORGANIZATION: Final = 50
_PAGE: Final = 5000
_REMEMBERED: Final = 100_000

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Watcher:
    """One who watches; `missed` counts what a slow reader lost."""

    organization_id: UUID
    topics: frozenset[str] | None  #: None: every one
    device_id: int | None
    since: datetime
    queue: "asyncio.Queue[Any]" = field(default_factory=lambda: asyncio.Queue(QUEUE_SIZE))
    missed: int = 0

    def offer(self, row: Any) -> None:
        """Queue a row that is wanted, or count it as missed."""
        if not self._wants(row):
            return
        if self.queue.full():
            self.missed += 1
        else:
            self.queue.put_nowait(row)

    def _wants(self, row: Any) -> bool:
        return (
            row["organization_id"] == self.organization_id
            and row["created_at"] >= self.since
            and (self.topics is None or row["topic"] in self.topics)
            and self.device_id in {None, row["device_id"]}
        )


class LiveEvents:
    """Everybody who watches, and the task that looks for them."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._watchers: set[Watcher] = set()
        self._task: asyncio.Task[None] | None = None
        self._seen: OrderedDict[UUID, None] = OrderedDict()
        self.closing = asyncio.Event()

    def may_join(self, organization_id: UUID) -> bool:
        """Say whether there is room for one more."""
        same = sum(w.organization_id == organization_id for w in self._watchers)
        return len(self._watchers) < MAX_WATCHERS and same < MAX_PER_ORGANIZATION

    @contextlib.asynccontextmanager
    async def join(
        self,
        organization_id: UUID,
        topics: frozenset[str] | None = None,
        device_id: int | None = None,
    ) -> AsyncIterator[Watcher]:
        """Watch an organization's events for as long as the context lasts."""
        watcher = Watcher(organization_id, topics, device_id, datetime.now(UTC))
        self._watchers.add(watcher)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_for_ever(), name="api.live")
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    async def close(self) -> None:
        """End all streams and stop looking."""
        self.closing.set()
        if self._task is not None:
            await end(self._task)

    async def _look_for_ever(self) -> None:
        while self._watchers and not self.closing.is_set():
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - the task's edge: it looks again
                log.warning("api.events_unread", error=repr(error)[:300])
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        organizations = {w.organization_id for w in self._watchers}
        since = datetime.now(UTC) - OVERLAP
        rows = await listing.list_recent_events(self._pool, list(organizations), since, limit=_PAGE)
        if len(rows) == _PAGE:  # the oldest of this look may be missing
            for watcher in self._watchers:
                watcher.missed += 1
        for row in reversed(rows):
            if row["id"] not in self._seen:
                self._seen[row["id"]] = None
                self._show(row)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    def _show(self, row: Any) -> None:
        for watcher in self._watchers:
            watcher.offer(row)
