"""Register resets: a meter was replaced or set, and its register began again somewhere else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from wattwire.store import rollups
from wattwire.store.queries import load

_SQL: Final = load("resets")
_AFTER: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class ResetRow:
    """The register of `channel` ended at `final` and went on from `start`."""

    stream: str  #: path
    channel: str
    time: datetime
    final: float
    start: float
    notes: str


async def list_resets(db: Any, stream_ids: Sequence[int]) -> list[ResetRow]:
    """Return the resets of streams, oldest first."""
    return [ResetRow(**row) for row in await db.fetch(_SQL.list_resets, list(stream_ids))]


async def put_reset(db: Any, stream_id: int, reset: ResetRow) -> None:
    """Write a reset, replacing one of the same channel and instant; in the caller's transaction.

    The rollups between the readings before and after it are marked to be computed again.
    """
    await db.execute(
        _SQL.put_reset, stream_id, reset.channel, reset.time, reset.final, reset.start, reset.notes
    )
    await _mark(db, stream_id, reset.time)


async def delete_reset(db: Any, stream_id: int, channel: str, time: datetime) -> bool:
    """Take a reset back; False when there is none. Rollups are marked as by `put_reset`."""
    gone = await db.fetchval(_SQL.delete_reset, stream_id, channel, time)
    if gone:
        await _mark(db, stream_id, time)
    return bool(gone)


async def _mark(db: Any, stream_id: int, time: datetime) -> None:
    around = await db.fetchrow(_SQL.readings_around, stream_id, time)
    await rollups.mark_deleted(db, [stream_id], around["before"], around["after"] + _AFTER)
