"""`datum/agg/update`: a rollup bucket has a new value."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any, Final

from wattwire.app.wakes import Wakes
from wattwire.model import Event, to_micros
from wattwire.pipeline.effects import Interests, event_ids
from wattwire.pipeline.matching import Matcher
from wattwire.pipeline.recall import short_metadata
from wattwire.rollups.recompute import Changed
from wattwire.store import events, registry
from wattwire.store.rollups import Rollup

TOPIC: Final = "datum/agg/update"


class RollupEvents:
    """Writes the event of each changed bucket that somebody asked for, in its transaction.

    Nobody asked: no event. A fleet changes thousands of buckets a second, and the bucket itself is
    there to be read.
    """

    def __init__(self, interests: Interests, wakes: Wakes) -> None:
        self._interests = interests
        self._wakes = wakes
        self._asked: set[int] = set()

    async def record(self, connection: Any, changed: Sequence[Changed]) -> None:
        """Write what is to be told of these buckets."""
        matcher = await self._interests.current(connection)
        if not matcher.asks(TOPIC):
            return
        streams = await registry.describe_streams(
            connection, sorted({change.stream_id for change in changed})
        )
        told = [
            (change, who)
            for change in changed
            if (who := _asked(matcher, streams.get(change.stream_id), repeated=change.same))
        ]
        happened = [
            _event(event_id, change, streams[change.stream_id])
            for event_id, (change, _) in zip(event_ids(len(told)), told, strict=True)
        ]
        matches = [(index, one) for index, (_, who) in enumerate(told) for one in who]
        await events.record_events(connection, happened, matches)
        self._asked |= {one for _, one in matches}

    async def repeating(self, connection: Any, stream_ids: Iterable[int]) -> AbstractSet[int]:
        """Return the streams of which somebody wants to hear although nothing changed."""
        matcher = await self._interests.current(connection)
        if not matcher.asks(TOPIC, repeated=True):
            return frozenset()
        streams = await registry.describe_streams(connection, sorted(stream_ids))
        return {
            stream_id
            for stream_id, stream in streams.items()
            if _asked(matcher, stream, repeated=True)
        }

    def committed(self) -> None:
        """Wake who has something to deliver: the transaction is through."""
        if self._asked:
            self._wakes.wake(self._asked)
            self._asked = set()


def _asked(matcher: Matcher, stream: Any, *, repeated: bool) -> Sequence[int]:
    if stream is None:
        return ()
    return matcher.integrations_for(
        stream["organization_id"],
        TOPIC,
        stream["device_id"],
        stream["path"],
        repeated=repeated,
    )


def _event(event_id: Any, change: Changed, stream: Any) -> Event:
    return Event(
        id=event_id,
        topic=TOPIC,
        organization_id=stream["organization_id"],
        time=datetime.now(UTC),
        data={
            "stream": stream["path"],
            "aggregation": change.bucket,
            "start": change.start,
            "timestamp": to_micros(change.start) // 1000,
            **_figures(change.rollup, stream),
        },
        device_id=stream["device_id"],
        device_key=stream["device_key"],
        device_name=stream["device_name"],
        device_type=stream["device_type"],
        metadata=short_metadata(stream["device_metadata"]),
        stream=stream["path"],
    )


#: What an event tells of a channel, by its kind: the name there, and the rollup's field.
_TOLD: Final[Mapping[str, Mapping[str, str]]] = {
    "instantaneous": {"count": "count", "mean": "mean", "min": "minimum", "max": "maximum"},
    "accumulating": {
        "count": "count",
        "total": "total",
        "difference": "difference",
        "start": "first_value",
        "end": "last_value",
    },
    "interval": {"count": "count", "sum": "total"},
    "status": {"count": "count", "value": "texts"},
}


def _figures(rollup: Rollup | None, stream: Any) -> dict[str, Any]:
    """Return the bucket's figures, with the names of the API; no readings when it is empty now."""
    if rollup is None:
        return {"readings": 0, "completeness": None, "channels": {}}
    width = len(rollup.count)
    named = zip(stream["names"][:width], stream["kinds"], strict=False)
    return {
        "readings": rollup.readings,
        "completeness": rollup.completeness,
        "channels": {
            name: {member: getattr(rollup, field)[at] for member, field in _TOLD[kind].items()}
            for at, (name, kind) in enumerate(named)
        },
    }
