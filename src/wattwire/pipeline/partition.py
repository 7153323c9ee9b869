"""One partition of the log, stored slice by slice: everything a slice causes is one transaction."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import asyncpg
import structlog

from wattwire.formats import log_batch
from wattwire.pipeline import reader, slices
from wattwire.pipeline.effects import Effects
from wattwire.pipeline.marks import stale_hours
from wattwire.pipeline.recall import Recall
from wattwire.store import readings, registry
from wattwire.store.registry import Wanted

TRIM_SECONDS: Final = 5.0

log = structlog.get_logger()


class PositionMovedError(Exception):
    """Another owner has stored this partition further; start over from where it stands."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a committed slice means to others."""

    integrations: frozenset[int]  #: have new deliveries
    stale: bool  #: buckets wait to be computed


@dataclass(slots=True)
class PartitionFigures:
    """Counters since the start."""

    messages: int = 0
    readings: int = 0
    changed: int = 0
    slices: int = 0
    quarantined: int = 0
    position: int = 0


class Partition:
    """Stores one partition. Run by its owner only; a second owner is noticed, not harmful."""

    def __init__(
        self,
        pool: Any,
        client: Any,
        number: int,
        *,
        log_id: str,
        effects: Effects,
        on_stored: Callable[[Stored], None],
    ) -> None:
        self._pool = pool
        self._client = client
        self._number = number
        self._log_id = log_id
        self._effects = effects
        self._on_stored = on_stored
        self._recall = Recall()
        self._forget = False
        self._months: set[tuple[int, int]] = set()
        self.figures = PartitionFigures()

    def forget(self) -> None:
        """Forget streams before the next slice: one of them has changed."""
        self._forget = True

    async def run(self) -> None:
        """Store until cancelled. Raises when the log or the database goes away; run it again."""
        async with self._pool.acquire() as connection:
            await readings.prepare_stage(connection)
            position = await readings.open_position(connection, self._number, self._log_id)
            self.figures.position = position
            self._recall.forget()
            async with asyncio.TaskGroup() as group:
                trimmer = group.create_task(self._trim_for_ever())
                try:
                    await self._store_for_ever(connection)
                finally:
                    trimmer.cancel()

    async def _store_for_ever(self, connection: Any) -> None:
        async with reader.open_reader(self._client, self._number, self.figures.position) as source:
            storing: asyncio.Task[None] | None = None
            try:
                while True:
                    # The next slice is read and decoded while the database stores the last one.
                    messages = await source.next_slice()
                    batches = slices.unpack(messages)
                    if storing is not None:
                        await storing
                    storing = asyncio.create_task(self._store(connection, messages, batches))
                    # Else a failure would wait, unseen, for the next message to arrive.
                    storing.add_done_callback(partial(_interrupt_on_failure, source))
            finally:
                if storing is not None:
                    await _finish(storing)

    async def _store(
        self,
        connection: Any,
        messages: Sequence[reader.LogMessage],
        batches: Sequence[log_batch.LogBatch],
    ) -> None:
        """Store a slice; when the database refuses its content, store message by message."""
        try:
            await self._store_slice(connection, messages[-1].sequence, batches)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            self._recall.forget()
            log.warning("pipeline.slice_refused", error=str(error), messages=len(messages))
            for message, batch in zip(messages, batches, strict=True):
                await self._store_or_keep(connection, message, batch)
        self.figures.messages += len(messages)
        self.figures.slices += 1

    async def _store_or_keep(
        self, connection: Any, message: reader.LogMessage, batch: log_batch.LogBatch
    ) -> None:
        try:
            await self._store_slice(connection, message.sequence, [batch])
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            self._recall.forget()
            log.error("pipeline.batch_refused", sequence=message.sequence, error=str(error))
            kept = slices.refusal_of(batch, message.body, f"the store refused it: {error}")
            await self._store_slice(connection, message.sequence, [kept])

    async def _store_slice(
        self, connection: Any, reached: int, batches: Sequence[log_batch.LogBatch]
    ) -> None:
        if self._forget:
            self._forget = False
            self._recall.forget()
        await self._learn(connection, slices.wanted_by(batches))
        piece = slices.build(reached, batches, self._recall)
        await self._make_months(connection, piece)
        async with connection.transaction():
            stored = await self._write(connection, piece)
        for stream_id, times in piece.times_by_stream().items():
            stream = piece.streams[stream_id]
            stream.last_time = max(stream.last_time or times[-1], times[-1])
        self.figures.position = reached
        self.figures.readings += len(piece.rows)
        self.figures.quarantined += len(piece.quarantine)
        self._on_stored(stored)

    async def _learn(self, connection: Any, wanted: Iterable[Wanted]) -> None:
        missing = self._recall.missing(wanted)
        if missing:
            async with connection.transaction():
                new = await registry.register_devices(connection, missing)
                await self._effects.registered(connection, new)
                await self._recall.learn(connection, missing)

    async def _make_months(self, connection: Any, piece: slices.Slice) -> None:
        months = readings.months_of(time for _, time in piece.rows) - self._months
        if months:
            await readings.ensure_months(connection, months)
            self._months |= months

    async def _write(self, connection: Any, piece: slices.Slice) -> Stored:
        """Everything that a slice causes, inside the caller's transaction."""
        moved = await readings.advance_position(
            connection,
            self._number,
            self._log_id,
            current=self.figures.position,
            reached=piece.reached,
        )
        if not moved:
            raise PositionMovedError
        changed = await self._write_rows(connection, piece) if piece.rows else []
        if piece.quarantine:
            await readings.insert_quarantine(connection, piece.quarantine)
        integrations = await self._effects.cause(connection, piece, changed, now=datetime.now(UTC))
        self.figures.changed += len(changed)
        return Stored(frozenset(integrations), bool(changed))

    async def _write_rows(self, connection: Any, piece: slices.Slice) -> list[slices.Key]:
        times = piece.times_by_stream()
        late = {
            stream_id
            for stream_id, some in times.items()
            if (last := piece.streams[stream_id].last_time) is not None and some[0] <= last
        }
        if late:
            changed = await readings.merge(connection, list(piece.rows.values()))
        else:
            # Every stream goes on after its last reading: nothing is there to be merged with.
            await readings.append(connection, list(piece.rows.values()))
            changed = list(piece.rows)
        if changed:
            await readings.note_stale(connection, stale_hours(piece.streams, changed, late))
        return changed

    async def _trim_for_ever(self) -> None:
        """Let the log forget what was stored a while ago.

        Not what was stored just now: with durability `process` a crash of the database may take
        back the last commits, and they are read from the log again.
        """
        trimmed, earlier = 0, 0
        while True:
            await asyncio.sleep(TRIM_SECONDS)
            if earlier > trimmed:
                await reader.trim_log(self._client, self._number, earlier)
                trimmed = earlier
            earlier = self.figures.position


def _interrupt_on_failure(source: reader.LogReader, storing: asyncio.Task[None]) -> None:
    if not storing.cancelled() and isinstance(error := storing.exception(), Exception):
        source.interrupt(error)


async def _finish(storing: asyncio.Task[None]) -> None:
    """Let a transaction that is under way come to its end, for a moment."""
    done, _ = await asyncio.wait({storing}, timeout=5)
    if not done:
        storing.cancel()
    elif not storing.cancelled() and (error := storing.exception()):
        log.warning("pipeline.slice_failed", error=f"{type(error).__name__}: {error}")
