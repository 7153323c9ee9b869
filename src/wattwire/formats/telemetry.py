"""JSON telemetry and status of single devices.

    netneural/{organization_id}/devices/{device_id}/telemetry
    netneural/{organization_id}/devices/{device_id}/status

Telemetry has one of two forms:

    {"timestamp": "2025-10-26T12:00:00Z", "stream": "/power/1", "values": {"temperature": 21.5}}
    {"temperature": 21.5, "door": true, "timestamp": 1761480000000}

`timestamp` is ISO 8601 with an offset or whole epoch milliseconds; left out, it is the moment of
receipt. `stream` is `/telemetry` unless given. A value is a number, true or false (1 or 0), text
(a status channel) or null. In the first form `quality` may be given, and what else stands beside
`values` is left out with a note; in the second every other field is a channel.

Status is `{"status": "online", "timestamp": …, "detail": "…"}` or plainly `online` or `offline`.
"""

from typing import Any, Final, NamedTuple

import msgspec

from wattwire.formats.columns import Value, check_quality, reading_of
from wattwire.formats.refusals import check_size, decode_json, refused, shown
from wattwire.formats.shapes import check_key
from wattwire.formats.times import from_either
from wattwire.model import Decoded, Quality, Reading, StatusChange

STREAM: Final = "/telemetry"
STATUSES: Final = ("online", "offline")
MAX_PLAIN: Final = 64
MAX_DETAIL: Final = 500

_LEVELS: Final = 5
_KNOWN: Final = frozenset({"timestamp", "stream", "values", "quality"})
_DECODER: Final = msgspec.json.Decoder(dict[str, Value | dict[str, Value]])


class _Status(msgspec.Struct):
    status: str
    timestamp: str | int | None = None
    detail: str = ""


_STATUS: Final = msgspec.json.Decoder(_Status)


class Topic(NamedTuple):
    """The parts of a topic of this tree."""

    organization_id: str
    device: str
    subject: str  #: telemetry or status


def parse_topic(topic: str) -> Topic:
    """Return the parts of a topic. Raises RefusedError for any other."""
    levels = topic.split("/", _LEVELS)
    if len(levels) != _LEVELS or (levels[0], levels[2]) != ("netneural", "devices"):
        raise refused(
            f"not netneural/ORGANIZATION/devices/DEVICE/telemetry or status: {shown(topic)}",
            "topic",
        )
    if levels[4] not in ("telemetry", "status"):
        raise refused(f"the last level must be telemetry or status: {shown(levels[4])}", "topic")
    check_key(levels[3], "topic")
    return Topic(levels[1], levels[3], levels[4])


def decode(topic: str, payload: bytes, now: int, organization_id: str) -> Decoded:
    """Return the reading or the status change of one message.

    `now` is the moment of receipt in microseconds, `organization_id` the publisher's own: another
    one in the topic is refused. Raises RefusedError for whatever is not as described above.
    """
    parts = parse_topic(topic)
    if parts.organization_id != organization_id:
        raise refused("the organization in the topic is not the publisher's own", "topic")
    check_size(payload)
    if parts.subject == "status":
        return Decoded(statuses=(_status(parts.device, payload, now),))
    fields = decode_json(_DECODER, payload)
    if isinstance(fields.get("values"), dict):
        return _from_values(parts.device, fields, now)
    return Decoded((_from_flat(parts.device, fields, now),))


def _from_values(device: str, fields: dict[str, Any], now: int) -> Decoded:
    """Read the form with `values`."""
    values: dict[str, Value] = fields["values"]
    reading = reading_of(
        device,
        _stream(fields),
        tuple(values),
        list(values.values()),
        _time(fields, now),
        quality=_quality(fields.get("quality")),
    )
    notes = [f"left out: {shown(name)}" for name in sorted(fields.keys() - _KNOWN)[:10]]
    return Decoded((reading,), notes=notes)


def _from_flat(device: str, fields: dict[str, Any], now: int) -> Reading:
    """Read the form whose every field but timestamp and stream is a channel."""
    for name, value in fields.items():
        if isinstance(value, dict):
            raise refused("expected a value, got an object", name)
    stream, time = _stream(fields), _time(fields, now)
    fields.pop("timestamp", None)
    fields.pop("stream", None)
    return reading_of(device, stream, tuple(fields), list(fields.values()), time)


def _stream(fields: dict[str, Any]) -> str:
    stream = fields.get("stream", STREAM)
    if not isinstance(stream, str):
        raise refused(f"a stream is text: {shown(stream)}", "stream")
    return stream


def _time(fields: dict[str, Any], now: int) -> int:
    value = fields.get("timestamp")
    return now if value is None else from_either(value, "timestamp")


def _quality(value: object) -> int:
    if value is None:
        return Quality.GOOD
    if isinstance(value, float) and value.is_integer():
        return check_quality(int(value), "quality")
    raise refused(f"a quality is a whole number: {shown(value)}", "quality")


def _status(device: str, payload: bytes, now: int) -> StatusChange:
    if not payload.lstrip().startswith(b"{"):
        return StatusChange(device, _known(_plain(payload), ""), now)
    message = decode_json(_STATUS, payload)
    time = now if message.timestamp is None else from_either(message.timestamp, "timestamp")
    if "\0" in message.detail:
        raise refused("a text has no NUL character", "detail")
    return StatusChange(device, _known(message.status, "status"), time, message.detail[:MAX_DETAIL])


def _plain(payload: bytes) -> str:
    """Return the word of a payload that is no object, with or without quotation marks."""
    return payload[:MAX_PLAIN].strip().strip(b'"').decode("utf-8", "replace")


def _known(status: str, where: str) -> str:
    word = status.strip().lower()
    if word not in STATUSES:
        raise refused(f"a status is online or offline: {shown(status)}", where)
    return word
