"""What the pipeline remembers of streams, so that nothing is looked up per reading."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

from wattwire.model import Shape
from wattwire.pipeline.matching import NOBODY
from wattwire.store import registry
from wattwire.store.registry import StreamRow, Wanted

#: Streams remembered at most; the oldest half is forgotten when there are more.
MAX_STREAMS: Final = 400_000
METADATA_ENTRIES: Final = 32
METADATA_CHARACTERS: Final = 256

log = structlog.get_logger()


def short_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what events tell of a device's metadata: short, flat entries, so many."""
    flat = (
        (key, value)
        for key, value in metadata.items()
        if isinstance(value, str | int | float | bool) and len(str(value)) <= METADATA_CHARACTERS
    )
    return dict(islice(flat, METADATA_ENTRIES))


class Stream:
    """A stored stream, as the pipeline knows it."""

    __slots__ = (
        "channels", "device_id", "device_key", "device_name", "device_type", "hour", "id",
        "last_time", "metadata", "organization_id", "path", "telemetry",
        "telemetry_version", "zone",
    )  # fmt: skip

    def __init__(self, organization_id: UUID, shape: Shape, row: StreamRow) -> None:
        self.id = row.stream_id
        self.organization_id = organization_id
        self.path = shape.stream
        self.device_id = row.device_id
        self.device_key = shape.device
        self.device_name = row.device_name
        self.device_type = row.device_type
        self.metadata = short_metadata(row.device_metadata)
        self.zone = _zone(row.time_zone)
        self.channels = list(zip(row.names, row.kinds, strict=True))
        self.last_time: datetime | None = row.last_time
        self.telemetry = NOBODY
        self.telemetry_version = -1
        #: The hour of the last reading, [start, end), when it is known.
        self.hour: tuple[datetime, datetime] | None = None


class Place:
    """Where the values of one shape go in its stream."""

    __slots__ = ("partial", "places", "stream", "width")

    def __init__(self, stream: Stream, shape: Shape) -> None:
        names = [name for name, _ in stream.channels]
        where = {name: index for index, name in enumerate(names)}
        places = tuple(where[channel.name] for channel in shape.channels)
        self.stream = stream
        self.width = len(names)
        self.partial = len(places) < self.width
        self.places = None if places == tuple(range(self.width)) else places

    def spread(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return values at their places in the stream, None where this shape says nothing."""
        if self.places is None:
            return values
        row = [None] * self.width
        for place, value in zip(self.places, values, strict=True):
            row[place] = value
        return row


class Recall:
    """Streams by (organization, shape). Belongs to one partition, so that no other writes them."""

    def __init__(self) -> None:
        self._places: dict[Wanted, Place] = {}
        self._streams: dict[int, Stream] = {}
        self._shapes: dict[int, set[Wanted]] = {}

    def missing(self, wanted: Iterable[Wanted]) -> list[Wanted]:
        """Return those that are not remembered."""
        return [key for key in wanted if key not in self._places]

    def place(self, wanted: Wanted) -> Place | None:
        """Return where the values of a shape go; None when its organization is gone."""
        return self._places.get(wanted)

    async def learn(self, connection: Any, wanted: Sequence[Wanted]) -> None:
        """Look up streams, registering what is missing. The devices are there."""
        if len(self._places) + len(wanted) > MAX_STREAMS:
            self.forget()
        for key, row in (await registry.register_streams(connection, wanted)).items():
            self._remember(key, row)

    def _remember(self, key: Wanted, row: StreamRow) -> None:
        organization_id, shape = key
        stream = self._streams.get(row.stream_id)
        if stream is None:
            stream = self._streams[row.stream_id] = Stream(organization_id, shape, row)
        elif len(row.names) != len(stream.channels):
            stream.channels = list(zip(row.names, row.kinds, strict=True))
            stream.telemetry_version = -1  # new names, which somebody may ask for
            for other in self._shapes[stream.id]:
                self._places[other] = Place(stream, other[1])
        self._places[key] = Place(stream, shape)
        self._shapes.setdefault(stream.id, set()).add(key)

    def forget(self) -> None:
        """Forget everything; it is looked up again when needed."""
        self._places.clear()
        self._streams.clear()
        self._shapes.clear()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        log.warning("pipeline.zone_unknown", zone=name)
        return ZoneInfo("UTC")
