"""What a subscriber learns. Every value is frozen; instants are aware datetimes in UTC."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeAlias

import msgspec

#: What a metric may say: a number, text, truth, an instant (DateTime), bytes, the items of an
#: array, or nothing at all (null).
Value: TypeAlias = (
    int | float | bool | str | datetime | bytes | tuple[int | float | bool | str | datetime, ...]
) | None

GOOD: Final = 192  #: the quality of a value of which nothing else is said


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One value of one metric at one instant."""

    group: str  #: topic level: `pm500` in spBv1.0/pm500/DDATA/edge-1/pm-7; '' without a topic
    edge_node: str  #: topic level: `edge-1`
    device: str  #: topic level: `pm-7`; '' for the edge node itself
    uuid: str = ""  #: of the asset, as the message has it
    name: str  #: of the metric
    alias: int | str | None = None  #: a number in protobuf, a text in the PowerMonitor 500's JSON
    value: Value
    unit: str = ""  #: as the birth or the message says it
    time: datetime  #: when it was measured
    is_historical: bool = False  #: sent late: it is not the state of things
    is_birth: bool = False  #: told by a birth: the newest value known, not a new one
    quality: int = GOOD  #: 192 good, 0 bad, 500 stale (property `Quality`)
    seq: int | None = None  #: of the message
    stream: str = ""  #: of the hub's own envelope: the path of the readings

    @property
    def key(self) -> str:
        """Return group/edge node/device, without what is empty: the hub's key of a device."""
        return "/".join(filter(None, (self.group, self.edge_node, self.device)))


class MetricInfo(msgspec.Struct, frozen=True):
    """A metric that a birth announced."""

    name: str
    alias: int | str | None
    datatype: str  #: `DOUBLE`, `INT64`, …; '' in JSON, which has none
    unit: str


class Born(msgspec.Struct, frozen=True, kw_only=True):
    """An edge node or a device is there. Its values follow as samples."""

    group: str
    edge_node: str
    device: str
    uuid: str = ""
    time: datetime  #: as the birth says it
    metrics: Sequence[MetricInfo] = ()
    bd_seq: int | None = None  #: of an edge node: the number of its session


class Died(msgspec.Struct, frozen=True, kw_only=True):
    """An edge node or a device is gone: its last values are stale from now on."""

    group: str
    edge_node: str
    device: str
    uuid: str = ""
    time: datetime  #: of receipt, as the specification asks
    said_by: str  #: `NDEATH` or `DDEATH`


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of an edge node are missing, or late. What follows is read as before."""

    group: str
    edge_node: str
    expected: int  #: the `seq` that should have come
    seq: int  #: the one that came
    missing: int  #: how many are missing
    time: datetime  #: of receipt


class Refused(msgspec.Struct, frozen=True):
    """A message that could not be understood, or not in full."""

    reason: str
    where: str  #: `metrics[3]`, `topic`, …; '' for the whole message
    topic: str
    payload: bytes


class Interrupted(msgspec.Struct, frozen=True, kw_only=True):
    """The connection was lost: what was published until the next one is missing."""

    reason: str
    time: datetime


class Missed(msgspec.Struct, frozen=True, kw_only=True):
    """The reader was too slow: so many results did not fit into the queue and are gone."""

    count: int


#: What a message may lead to.
Result: TypeAlias = Sample | Born | Died | Gap | Refused
#: What a subscription may tell.
Told: TypeAlias = Result | Interrupted | Missed


class Command(msgspec.Struct, frozen=True):
    """A message to publish, at QoS 0 and not retained."""

    topic: str
    payload: bytes


class ClientError(Exception):
    """Why a subscription ended."""


class RefusedByBrokerError(ClientError):
    """The broker said no: to the login, the client id, the version or a filter."""


class UnreachableError(ClientError):
    """The broker could not be reached for as long as the limits allow."""
