"""The nouns every room shares. Imports nothing from wattwire.

Instants on the way of a reading are whole microseconds since 1970-01-01T00:00Z (`int`): they are
compared, grouped and packed by the ten thousand. Everywhere else an instant is an aware `datetime`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


def to_micros(instant: datetime) -> int:
    """Return an aware instant as whole microseconds since the epoch."""
    return (instant - EPOCH) // MICROSECOND


def to_instant(micros: int) -> datetime:
    """Return microseconds since the epoch as an aware instant in UTC."""
    return EPOCH + timedelta(microseconds=micros)


class ChannelKind(StrEnum):
    """How a channel adds up; decides its rollup."""

    INSTANTANEOUS = "instantaneous"  #: a level: mean, min, max, count
    ACCUMULATING = "accumulating"  #: a register that only rises: difference, start, end
    INTERVAL = "interval"  #: the energy of one interval: sum
    STATUS = "status"  #: text: the most frequent value


class Channel(NamedTuple):
    """One quantity that a stream reports. The name ends in its unit (`active_power_w`)."""

    name: str
    kind: ChannelKind = ChannelKind.INSTANTANEOUS
    unit: str = ""


class Shape(NamedTuple):
    """What the readings of one stream look like; shared by many readings, so hash and keep it."""

    device: str  #: external key, unique in its organization
    stream: str  #: path such as /power/1
    channels: tuple[Channel, ...]


class Quality(IntEnum):
    """OPC and Sparkplug quality codes."""

    BAD = 0
    GOOD = 192
    STALE = 500


class Reading(NamedTuple):
    """What a stream reported at one instant.

    `values` follow the order of `shape.channels`; a status channel has None there and its text
    at the same position of `texts`.
    """

    shape: Shape
    time: int  #: microseconds since the epoch, when it was measured
    values: Sequence[float | None]
    texts: Sequence[str | None] | None = None
    quality: int = Quality.GOOD


class StatusChange(NamedTuple):
    """A device said, or its broker said for it, that it came or went."""

    device: str
    status: str  #: "online" or "offline"
    time: int  #: microseconds since the epoch
    detail: str = ""


class RefusedError(ValueError):
    """Something from outside that cannot be understood: a reason, and where in it."""

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(f"{where}: {reason}" if where else reason)
        self.reason = reason
        self.where = where


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one message from the field turned into. All three may be empty (a note says why)."""

    readings: Sequence[Reading] = ()
    statuses: Sequence[StatusChange] = ()
    notes: Sequence[str] = ()  #: what was understood and left out, e.g. a DataSet metric


@dataclass(frozen=True, slots=True)
class Device:
    """A thing in the field."""

    id: int
    uuid: UUID
    organization_id: UUID
    key: str
    name: str
    type: str
    time_zone: str
    status: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """A fact that integrations may ask for."""

    id: UUID
    topic: str
    organization_id: UUID
    time: datetime
    data: Mapping[str, Any]
    device_id: int | None = None
    device_key: str = ""
    device_name: str = ""
    device_type: str = ""
    stream: str = ""
    severity: str = "info"
    #: What is known of the device: site, asset, phase … Empty for events of no device.
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """One event rendered for one integration.

    The id never changes between attempts: receivers may use it to drop repeats. It holds only
    letters, digits and hyphens and is at most 80 characters long, so that every service takes it.
    """

    id: str
    body: bytes
    content_type: str = "application/json"
    topic: str = ""  #: the event's topic
    device: str = ""  #: the device's external key: orders FIFO groups and partitions
    attributes: Mapping[str, str] = field(default_factory=dict)
    #: What the body was made of, for integrations that name places or write texts after it.
    event: Event | None = None
