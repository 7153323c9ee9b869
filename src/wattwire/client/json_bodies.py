"""JSON, as the PowerMonitor 500 publishes it, and as the hub writes its events. Pure.

Nothing is remembered between messages: names come with every one.
"""

from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from wattwire.client.results import Born, Died, MetricInfo, Result, Sample
from wattwire.formats.kinds import unit_of
from wattwire.formats.refusals import decode_json, refused, shown
from wattwire.formats.sparkplug_json import BIRTHS, DEATHS, MAX_METRICS, TYPES
from wattwire.formats.sparkplug_topics import NAMESPACE
from wattwire.formats.times import from_millis, from_text
from wattwire.model import to_instant

_Value = int | float | str | bool | None


class _Properties(msgspec.Struct, gc=False):
    unit: str | None = None


class _Metric(msgspec.Struct, gc=False):
    name: str
    value: _Value
    alias: str | int | None = None
    properties: _Properties | None = None
    timestamp: int | None = None

    @property
    def unit(self) -> str:
        return (self.properties.unit if self.properties is not None else None) or ""


class _Message(msgspec.Struct, gc=False):
    metrics: list[_Metric] = []
    timestamp: int | None = None
    seq: int | None = None
    uuid: str | None = None
    site: str | None = None  #: of records of AWS IoT rules: the topic's edge node
    asset: str | None = None  #: and its device


class _Device(msgspec.Struct):
    id: str


class _Data(msgspec.Struct):
    stream: str = ""
    values: dict[str, _Value] = {}


class _Event(msgspec.Struct):
    event: str
    timestamp: str
    device: _Device | None = None
    data: msgspec.Raw = msgspec.Raw(b"{}")


class _Kind(msgspec.Struct):
    """What a body is told by."""

    metrics: msgspec.Raw = msgspec.Raw(b"")
    event: msgspec.Raw = msgspec.Raw(b"")


_MESSAGE: Final = msgspec.json.Decoder(_Message)
_EVENT: Final = msgspec.json.Decoder(_Event)
_DATA: Final = msgspec.json.Decoder(_Data)
_KIND: Final = msgspec.json.Decoder(_Kind)
_TELEMETRY: Final = "device.telemetry"


class Place(NamedTuple):
    """What a topic says; all but the group may be empty."""

    group: str
    message_type: str
    edge_node: str
    device: str


def place_of(topic: str) -> Place:
    """Return what a topic of the PowerMonitor 500's tree says, however many levels it has.

    Beyond `group/type/edge/device`, which is Sparkplug's own, ids may have levels of their own
    (`edge/CELL/device/TAG`): of a device's message the first half of what follows the type are the
    edge node's, the rest the device's. Raises RefusedError for a topic outside spBv1.0/.
    """
    namespace, _, rest = topic.partition("/")
    group, *levels = rest.split("/")
    if namespace != NAMESPACE or not group:
        raise refused(f"not a topic under {NAMESPACE}/: {shown(topic)}", "topic")
    message_type = levels.pop(0) if levels and levels[0] in TYPES else ""
    of_node = message_type.startswith("N") or len(levels) == 1
    half = len(levels) if of_node else len(levels) // 2
    return Place(group, message_type, "/".join(levels[:half]), "/".join(levels[half:]))


def read_message(topic: str, payload: bytes, received: datetime) -> list[Result]:
    """Return what JSON on a Sparkplug topic says. Raises RefusedError."""
    place = place_of(topic)
    message = decode_json(_MESSAGE, payload)
    if place.message_type in DEATHS:
        return [_died(place, message, received)]
    if not message.metrics and place.message_type not in BIRTHS:
        raise refused("the message has no metrics", "metrics")
    samples = _samples(place, message, received)
    if place.message_type in BIRTHS:
        return [_born(place, message, received), *samples]
    return [*samples]


def read_record(body: bytes | str, *, received_at: datetime | None = None) -> list[Sample]:
    """Return the samples of a JSON record without a topic: of Kinesis, S3, EventBridge, SQS.

    It is either the PowerMonitor 500's message (`metrics`), with the edge node and the device of
    its topic where an AWS IoT rule has added them (`site`, `asset`), or the hub's event (`event`),
    of which `device.telemetry` has values and the others give none. `received_at` stands where the
    record has no time of its own. Raises RefusedError (a ValueError) for what is neither.
    """
    payload = body.encode(errors="surrogatepass") if isinstance(body, str) else body
    kind = decode_json(_KIND, payload)
    if bytes(kind.event):
        return _event_samples(decode_json(_EVENT, payload))
    if not bytes(kind.metrics):
        raise refused("the record has neither metrics nor an event")
    message = decode_json(_MESSAGE, payload)
    place = Place("", "", message.site or "", message.asset or "")
    return _samples(place, message, received_at or datetime.now(UTC))


def _samples(place: Place, message: _Message, received: datetime) -> list[Sample]:
    metrics = message.metrics
    if len(metrics) > MAX_METRICS:
        raise refused(f"a message has at most {MAX_METRICS} metrics, not {len(metrics)}", "metrics")
    is_birth = place.message_type in BIRTHS
    sent = _instant(message.timestamp, "timestamp", received)
    return [
        Sample(
            group=place.group,
            edge_node=place.edge_node,
            device=place.device,
            uuid=message.uuid or "",
            name=metric.name,
            alias=metric.alias,
            value=metric.value,
            unit=metric.unit,
            time=_instant(metric.timestamp, f"metrics[{at}].timestamp", sent),
            is_birth=is_birth,
            seq=message.seq,
        )
        for at, metric in enumerate(metrics)
    ]


def _instant(millis: int | None, where: str, otherwise: datetime) -> datetime:
    return otherwise if millis is None else to_instant(from_millis(millis, where))


def _born(place: Place, message: _Message, received: datetime) -> Born:
    return Born(
        group=place.group,
        edge_node=place.edge_node,
        device=place.device,
        uuid=message.uuid or "",
        time=_instant(message.timestamp, "timestamp", received),
        metrics=tuple(MetricInfo(m.name, m.alias, "", m.unit) for m in message.metrics),
    )


def _died(place: Place, message: _Message, received: datetime) -> Died:
    return Died(
        group=place.group,
        edge_node=place.edge_node,
        device=place.device,
        uuid=message.uuid or "",
        time=received,
        said_by=place.message_type,
    )


def _event_samples(event: _Event) -> list[Sample]:
    """Return the values of a reading; they are checked only where they are one."""
    if event.event != _TELEMETRY or event.device is None:
        return []
    data = decode_json(_DATA, bytes(event.data))
    time = to_instant(from_text(event.timestamp, "timestamp"))
    return [
        Sample(
            group="",
            edge_node="",
            device=event.device.id,
            name=name,
            value=value,
            unit=unit_of(name),
            time=time,
            stream=data.stream,
        )
        for name, value in data.values.items()
    ]
