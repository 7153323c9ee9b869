"""Quarantine: what could not be understood, read, mended and fed back by people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from wattwire.store.queries import load

_SQL: Final = load("quarantine")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry without its bytes, which may be large."""

    id: int
    received_at: datetime
    source: str
    format: str
    topic: str
    reason: str
    where: str  #: where in the message it went wrong
    device_key: str
    credential_id: int | None
    state: str
    changed_at: datetime | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries are meant; None means any."""

    state: str | None = None
    source: str | None = None
    format: str | None = None
    device_key: str | None = None
    reason: str | None = None  #: part of the reason
    start: datetime | None = None  #: received at or after
    end: datetime | None = None  #: received before
    ids: Sequence[int] | None = None

    def columns(self) -> tuple[object, ...]:
        """Return the filter as the parameters $2 to $9 of its queries."""
        ids = None if self.ids is None else list(self.ids)
        return (
            self.state, self.source, self.format, self.device_key, self.reason,
            self.start, self.end, ids,
        )  # fmt: skip


async def list_page(
    db: Any, organization_id: UUID, wanted: EntryFilter, *, before: int | None, limit: int
) -> list[Entry]:
    """Return entries, newest first, with an id below `before`."""
    rows = await db.fetch(_SQL.list_page, organization_id, *wanted.columns(), before, limit)
    return [Entry(**row) for row in rows]


async def find(db: Any, organization_id: UUID, entry_id: int) -> tuple[Entry, bytes] | None:
    """Return one entry and its bytes."""
    row = await db.fetchrow(_SQL.find, organization_id, entry_id)
    if row is None:
        return None
    fields = dict(row)
    raw = fields.pop("raw")
    return Entry(**fields), raw


async def list_ids(db: Any, organization_id: UUID, wanted: EntryFilter, *, limit: int) -> list[int]:
    """Return the oldest entries that are meant."""
    rows = await db.fetch(_SQL.list_ids, organization_id, *wanted.columns(), limit)
    return [row["id"] for row in rows]


async def mark_replayed(db: Any, organization_id: UUID, entry_id: int) -> None:
    """Remember that an entry was fed back."""
    await db.execute(_SQL.mark_replayed, organization_id, entry_id)


async def purge(db: Any, organization_id: UUID, wanted: EntryFilter) -> int:
    """Empty entries of their bytes; that they were there, and why, stays until retention ends."""
    tag = await db.execute(_SQL.purge, organization_id, *wanted.columns())
    return int(tag.rpartition(" ")[2])


async def count_open(db: Any, organization_id: UUID | None = None) -> int:
    """Return how many entries wait for a person; without an organization those of all."""
    count: int = await db.fetchval(_SQL.count_open, organization_id)
    return count
