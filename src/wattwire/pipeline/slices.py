"""A slice of the log on its way into the store: log batches become rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
import structlog

from wattwire.formats import log_batch
from wattwire.model import EPOCH, RefusedError, to_instant
from wattwire.pipeline.reader import LogMessage
from wattwire.pipeline.recall import Place, Recall, Stream
from wattwire.store.readings import Refused, Row
from wattwire.store.registry import Wanted

_MICROSECOND: Final = timedelta(microseconds=1)
#: The organization of what cannot be told to belong to one: nobody's, seen by the operator only.
NOBODY: Final = UUID(int=0)

log = structlog.get_logger()

Key = tuple[int, datetime]


@dataclass(slots=True)
class Slice:
    """What a few messages of the log say, ready to be stored in one transaction."""

    reached: int
    rows: dict[Key, Row] = field(default_factory=dict)
    streams: dict[int, Stream] = field(default_factory=dict)
    statuses: list[tuple[UUID, str, str, datetime]] = field(default_factory=list)
    quarantine: list[Refused] = field(default_factory=list)

    def times_by_stream(self) -> dict[int, list[datetime]]:
        """Return the times of each stream's rows, oldest first."""
        times: dict[int, list[datetime]] = {}
        for stream_id, time in self.rows:
            times.setdefault(stream_id, []).append(time)
        for some in times.values():
            some.sort()
        return times


def unpack(messages: Sequence[LogMessage]) -> list[log_batch.LogBatch]:
    """Decode log messages; one that cannot be read becomes a quarantine entry of nobody's."""
    batches = []
    for message in messages:
        try:
            batches.append(log_batch.decode(message.body))
        except RefusedError as error:
            log.error("pipeline.batch_unreadable", sequence=message.sequence, reason=str(error))
            batches.append(log_batch.LogBatch(quarantine=[_unreadable(message.body, str(error))]))
    return batches


def _unreadable(body: bytes, reason: str) -> log_batch.QuarantineEntry:
    return log_batch.QuarantineEntry(
        organization_id=NOBODY,
        received_at=0,
        source="log",
        format="log_batch",
        topic="",
        raw=body,
        reason=reason,
        where="",
        device_key="",
        credential_id=None,
    )


def wanted_by(batches: Sequence[log_batch.LogBatch]) -> list[Wanted]:
    """Return every (organization, shape) that the batches name, the first named first."""
    return list(dict.fromkeys(key for batch in batches for key in batch.shapes))


def build(reached: int, batches: Sequence[log_batch.LogBatch], recall: Recall) -> Slice:
    """Turn batches, whose shapes are known, into rows; later ones win over earlier ones."""
    result = Slice(reached)
    for batch in batches:
        _add_rows(result, batch, [recall.place(key) for key in batch.shapes])
        result.statuses.extend(
            (organization_id, device, status, to_instant(time))
            for organization_id, device, status, time, _ in batch.statuses
        )
        result.quarantine.extend(map(_refused, batch.quarantine))
    return result


def _add_rows(result: Slice, batch: log_batch.LogBatch, places: Sequence[Place | None]) -> None:
    rows = result.rows
    received_micros, received_at = -1, EPOCH
    for place in places:
        if place is not None:
            result.streams[place.stream.id] = place.stream
    for index, time, received, quality, values, texts in batch.rows:
        place = places[index]
        if place is None:
            continue  # its organization was deleted, and its readings with it
        if received != received_micros:
            received_micros, received_at = received, to_instant(received)
        stream = place.stream
        instant = EPOCH + time * _MICROSECOND
        key = (stream.id, instant)
        if place.places is not None:
            values, texts = place.spread(values), texts and place.spread(texts)  # noqa: PLW2901
        row = Row(stream.id, instant, received_at, quality, values, texts, place.partial)
        rows[key] = _merged(rows[key], row) if key in rows else row


def _merged(old: Row, new: Row) -> Row:
    """Return what holds of two readings of one instant: the one received later, over the other."""
    if old.received_at > new.received_at:
        old, new = new, old
    return _over(old, new) if new.partial else new


def _over(old: Row, new: Row) -> Row:
    values = [o if n is None else n for o, n in zip(old.values, new.values, strict=False)]
    texts = new.texts
    if old.texts and new.texts:
        texts = [o if n is None else n for o, n in zip(old.texts, new.texts, strict=False)]
    return new._replace(values=values, texts=texts or old.texts, partial=old.partial)


def _refused(entry: log_batch.QuarantineEntry) -> Refused:
    return Refused(
        entry.organization_id,
        to_instant(entry.received_at),
        entry.source,
        entry.format,
        entry.topic,
        entry.raw,
        entry.reason,
        entry.where,
        entry.device_key,
        entry.credential_id,
    )


def refusal_of(batch: log_batch.LogBatch, body: bytes, reason: str) -> log_batch.LogBatch:
    """Return a batch that keeps, as a quarantine entry, what the store would not take.

    What already was for the quarantine stays so; the bytes are those of the log, and can be fed
    back from there.
    """
    owners = {organization_id for organization_id, _ in batch.shapes} or {NOBODY}
    entry = _unreadable(body, reason)
    entries = [msgspec.structs.replace(entry, organization_id=owner) for owner in owners]
    return log_batch.LogBatch(quarantine=[*batch.quarantine, *entries])
