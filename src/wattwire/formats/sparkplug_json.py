"""JSON on Sparkplug topics, as the PowerMonitor 500 flow publishes it. Not Sparkplug B.

    spBv1.0/pm500/DDATA/edge-1/pm-7
    {"metrics": [{"name": "voltageAN", "alias": "PM500/voltage/AN", "value": 480.2,
                  "properties": {"unit": "V"}}],
     "timestamp": 1713897600000, "seq": 1024, "uuid": "<asset-uuid>"}

Nothing is remembered between messages: names come with every one, `alias` is text and not needed,
`seq` counts beyond 255 and is not checked. The device's key is `uuid`; without one it is the topic
without the namespace and the message type (`pm500/edge-1/pm-7`), however many levels it has.
A metric may have a `timestamp` of its own. Fields that are not named here are ignored.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from wattwire.formats.columns import Value, reading_of
from wattwire.formats.refusals import decode_json, refused, shown
from wattwire.formats.shapes import Declared, check_key
from wattwire.formats.times import from_millis
from wattwire.model import Decoded, Reading, StatusChange

NAMESPACE: Final = "spBv1.0"
STREAM: Final = "/metrics"
BIRTHS: Final = ("NBIRTH", "DBIRTH")
DEATHS: Final = ("NDEATH", "DDEATH")
TYPES: Final = frozenset({*BIRTHS, *DEATHS, "NDATA", "DDATA"})
MAX_METRICS: Final = 5000


class _Properties(msgspec.Struct, gc=False):
    unit: str | None = None


class _Metric(msgspec.Struct, gc=False):
    name: str
    value: Value
    properties: _Properties | None = None
    timestamp: int | None = None


class _Message(msgspec.Struct, gc=False):
    metrics: list[_Metric] = []
    timestamp: int | None = None
    uuid: str | None = None


_DECODER: Final = msgspec.json.Decoder(_Message)


def decode(topic: str, payload: bytes, now: int) -> Decoded:
    """Return the readings of one message, and the status a birth or death brings.

    `now` is the moment of receipt in microseconds. Raises RefusedError for what is not as above.
    """
    device, message_type = _parts(topic)
    message = decode_json(_DECODER, payload)
    if message.uuid:
        device = message.uuid
        check_key(device, "uuid")
    metrics = message.metrics
    if len(metrics) > MAX_METRICS:
        raise refused(f"a message has at most {MAX_METRICS} metrics, not {len(metrics)}", "metrics")
    statuses = _statuses(device, message_type, now)
    if message_type in DEATHS or (statuses and not metrics):
        return Decoded(statuses=statuses)
    time = now if message.timestamp is None else from_millis(message.timestamp, "timestamp")
    return Decoded(_readings(device, metrics, time), statuses)


def _parts(topic: str) -> tuple[str, str]:
    """Return the device's key by the topic, and the message type or ''."""
    namespace, _, rest = topic.partition("/")
    if namespace != NAMESPACE or not rest:
        raise refused(f"not a topic under {NAMESPACE}/: {shown(topic)}", "topic")
    group, _, tail = rest.partition("/")
    message_type, _, ids = tail.partition("/")
    device, message_type = (f"{group}/{ids}", message_type) if message_type in TYPES else (rest, "")
    check_key(device, "topic")
    return device, message_type


def _statuses(device: str, message_type: str, now: int) -> tuple[StatusChange, ...]:
    if message_type in BIRTHS:
        return (StatusChange(device, "online", now, message_type),)
    if message_type in DEATHS:
        return (StatusChange(device, "offline", now, message_type),)
    return ()


def _readings(device: str, metrics: list[_Metric], time: int) -> Sequence[Reading]:
    if not any(metric.timestamp for metric in metrics):
        return (_reading(device, metrics, time),)
    groups: dict[int, list[_Metric]] = {}
    for at, metric in enumerate(metrics):
        own = metric.timestamp
        when = from_millis(own, f"metrics[{at}].timestamp") if own is not None else time
        groups.setdefault(when, []).append(metric)
    return [_reading(device, group, when) for when, group in groups.items()]


def _reading(device: str, metrics: list[_Metric], time: int) -> Reading:
    names = tuple([metric.name for metric in metrics])
    values = [metric.value for metric in metrics]
    return reading_of(device, STREAM, names, values, time, units=_units(metrics))


def _units(metrics: list[_Metric]) -> Declared:
    return tuple(
        [
            (metric.name, metric.properties.unit)
            for metric in metrics
            if metric.properties is not None and metric.properties.unit
        ]
    )
