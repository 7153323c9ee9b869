"""From a topic and its payload to readings: which decoder reads what.

Used by the hub's own MQTT door and by the source that reads other brokers. Pure but for the
Sparkplug state, which it owns: aliases and births have to be remembered between messages.

Formats of a publisher:

| format | reads |
|---|---|
| `smart_meter` | the day message, on any topic |
| `sparkplug_b` | `spBv1.0/…`: protobuf, or JSON where the payload begins with `{` |
| `netneural` | `netneural/{organization_id}/devices/{device_id}/telemetry` and `…/status` |
| `json` | one reading, a list of readings, or the body of `POST /api/v1/readings`, on any topic |
| `auto` | by the topic's first level: `spBv1.0`, `netneural`, else `json` |
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args
from uuid import UUID

import msgspec

from wattwire.formats import json_readings, smart_meter, sparkplug_json, telemetry
from wattwire.formats.refusals import decode_json
from wattwire.formats.sparkplug_state import EdgeId, SparkplugHost, rebirth_command
from wattwire.formats.sparkplug_topics import command_topic, is_state
from wattwire.model import Decoded, Reading, RefusedError
from wattwire.sources.contract import ZoneOf

Format: TypeAlias = Literal["auto", "json", "netneural", "smart_meter", "sparkplug_b"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

SPARKPLUG: Final = "spBv1.0/"
NETNEURAL: Final = "netneural/"

_ONE_VALUE: Final = msgspec.json.Decoder(msgspec.Raw)
_BODY: Final = re.compile(rb'\s*\{\s*"readings"\s*:')


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who publishes: made once per connection, given with every message."""

    organization_id: UUID
    zone_of: ZoneOf
    #: Sparkplug state is kept per organization and namespace: the broker that is read, or '' for
    #: the hub's own door, where the edge nodes of an organization form one tree.
    namespace: str = ""


Request: TypeAlias = Callable[[Publisher, str, bytes], None]
"""Asks that something be published back: the publisher it is for, the topic, the payload."""


def _unheard(_publisher: Publisher, _topic: str, _payload: bytes) -> None:
    """Drop a request, where nothing can be published back."""


class TopicDecoder:
    """Decodes the messages of many publishers. `request` is called for Sparkplug rebirths."""

    def __init__(self, request: Request = _unheard) -> None:
        self._request = request
        self._hosts: dict[tuple[UUID, str], tuple[SparkplugHost, Publisher]] = {}
        self._decoders = {
            "auto": self._auto,
            "json": _json,
            "netneural": _netneural,
            "smart_meter": _smart_meter,
            "sparkplug_b": self._sparkplug,
        }

    def decode(
        self, format_name: str, topic: str, payload: bytes, publisher: Publisher, now: int
    ) -> Decoded:
        """Return what one message says. `now` is its receipt, in microseconds since the epoch.

        Raises RefusedError for what cannot be understood, and LookupError when `zone_of` does not
        know the device yet: load it and decode again.
        """
        decoder = self._decoders.get(format_name)
        if decoder is None:
            raise RefusedError(f"there is no format {format_name[:40]!r}")
        return decoder(topic, payload, publisher, now)

    def due(self, now: int) -> list[tuple[Publisher, Decoded]]:
        """Return what the passing of time leads to, and request rebirths; call it once a second.

        Each item names a publisher of the organization and namespace it belongs to.
        """
        outcome = []
        for host, publisher in self._hosts.values():
            step = host.due(now)
            self._ask(publisher, step.rebirth, now)
            if step.decoded.statuses:
                outcome.append((publisher, step.decoded))
        return outcome

    def forget(self, organization_id: UUID, namespace: str = "") -> None:
        """Drop the Sparkplug state of a namespace: the next data asks for births."""
        self._hosts.pop((organization_id, namespace), None)

    def _auto(self, topic: str, payload: bytes, publisher: Publisher, now: int) -> Decoded:
        if topic.startswith(SPARKPLUG):
            return self._sparkplug(topic, payload, publisher, now)
        if topic.startswith(NETNEURAL):
            return _netneural(topic, payload, publisher, now)
        return _json(topic, payload, publisher, now)

    def _sparkplug(self, topic: str, payload: bytes, publisher: Publisher, now: int) -> Decoded:
        if payload[:1] == b"{":
            if is_state(topic):
                return Decoded(notes=("the state of a host application",))
            return sparkplug_json.decode(topic, payload, now)
        step = self._host_of(publisher).take(topic, payload, now)
        self._ask(publisher, step.rebirth, now)
        if step.refused is not None:
            raise step.refused
        return step.decoded

    def _host_of(self, publisher: Publisher) -> SparkplugHost:
        key = (publisher.organization_id, publisher.namespace)
        known = self._hosts.get(key)
        if known is None:
            known = self._hosts[key] = (SparkplugHost(), publisher)
        return known[0]

    def _ask(self, publisher: Publisher, edges: Sequence[EdgeId], now: int) -> None:
        for group, edge in edges:
            self._request(publisher, command_topic(group, edge), rebirth_command(now))


def _smart_meter(_topic: str, payload: bytes, publisher: Publisher, _now: int) -> Decoded:
    return smart_meter.decode(payload, publisher.zone_of)


def _netneural(topic: str, payload: bytes, publisher: Publisher, now: int) -> Decoded:
    return telemetry.decode(topic, payload, now, str(publisher.organization_id))


def _json(_topic: str, payload: bytes, _publisher: Publisher, now: int) -> Decoded:
    """Read readings. Nobody can be answered item by item here, so one that is wrong refuses all."""
    readings = [_sound(verdict) for verdict in json_readings.decode(_as_body(payload), now)]
    return Decoded(readings, notes=() if readings else ("no readings",))


def _as_body(payload: bytes) -> bytes:
    if _BODY.match(payload):
        return payload
    decode_json(_ONE_VALUE, payload)  # so that two objects with a comma are not taken for a list
    if payload.lstrip()[:1] == b"[":
        return b'{"readings":' + payload + b"}"
    return b'{"readings":[' + payload + b"]}"


def _sound(verdict: Reading | RefusedError) -> Reading:
    if isinstance(verdict, RefusedError):
        raise verdict
    return verdict
