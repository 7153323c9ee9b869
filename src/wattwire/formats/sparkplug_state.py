"""What a Sparkplug host application knows of its edge nodes: who was born, and with what.

Pure: no input or output, and the time is given. Everything in here concerns one broker and one
organization. Readings come out under the device key `group/edge` or `group/edge/device`, the stream
`/metrics`, with the metrics' names as channels. A data message carries only what changed, and so
does its shape: the store keeps the other channels as they are.

**Order.** Data are read as they come, also across a gap in `seq`: their values carry their own
timestamps, and nothing is held back unacknowledged. What a gap leaves open is only which numbers
are missing. When they do not arrive within the reorder timeout, a birth may have been among them,
and a rebirth is requested.

**Births.** Data of a node or a device not yet born, or with an alias that its birth did not
announce, cannot be understood: the message is refused (and so kept), and a rebirth is requested,
at most once per interval and edge node.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from wattwire.formats import sparkplug_json
from wattwire.formats.refusals import refused, shown
from wattwire.formats.sparkplug_b import Payload, decode_payload, encode_payload, metric_of
from wattwire.formats.sparkplug_births import BD_SEQ, Birth, UnknownMetricError
from wattwire.formats.sparkplug_topics import SparkplugTopic, device_key, is_state, parse_topic
from wattwire.formats.sparkplug_values import DataType
from wattwire.model import Decoded, RefusedError, StatusChange

MICROS: Final = 1_000_000
SEQ_NUMBERS: Final = 256
#: A number further ahead than this is taken for one from behind: a repeat.
MAX_GAP: Final = 128
REBIRTH: Final = "Node Control/Rebirth"

EdgeId = tuple[str, str]  #: group and edge node


class Step(NamedTuple):
    """What one message, or the passing of time, leads to."""

    decoded: Decoded = Decoded()
    rebirth: tuple[EdgeId, ...] = ()  #: edge nodes to send `rebirth_command` to
    refused: RefusedError | None = None  #: the message belongs into quarantine, for this reason


@dataclass(slots=True)
class _Edge:
    """An edge node that is alive."""

    node: Birth
    bd_seq: int | None
    seq: int
    devices: dict[str, Birth] = field(default_factory=dict)
    missing: set[int] = field(default_factory=set)
    missing_until: int = 0
    unborn: set[str] = field(default_factory=set)  #: devices that a rebirth has not named again
    unborn_until: int = 0

    def births(self) -> Iterator[Birth]:
        yield self.node
        yield from self.devices.values()


class SparkplugHost:
    """Follows edge nodes. All times are in microseconds since the epoch, all spans in seconds."""

    def __init__(
        self,
        *,
        reorder_seconds: float = 2.0,
        rebirth_seconds: float = 10.0,
        unborn_seconds: float = 30.0,
        max_edges: int = 10_000,
        max_devices: int = 1_000,
        max_metrics: int = 1_000_000,
    ) -> None:
        self._reorder = int(reorder_seconds * MICROS)
        self._interval = int(rebirth_seconds * MICROS)
        self._unborn = int(unborn_seconds * MICROS)
        self._max_edges = max_edges
        self._max_devices = max_devices
        self._max_metrics = max_metrics
        self._metrics = 0
        self._edges: dict[EdgeId, _Edge] = {}
        self._waiting: set[EdgeId] = set()
        self._asked: dict[EdgeId, int] = {}

    def take(self, topic: str, payload: bytes, now: int) -> Step:
        """Return what a message leads to. Never raises: what is wrong with it is in `refused`."""
        try:
            if is_state(topic):
                return Step(Decoded(notes=("the state of a host application",)))
            if payload[:1] == b"{":
                return Step(sparkplug_json.decode(topic, payload, now))
            parts = parse_topic(topic)
            return self._react(parts, decode_payload(payload), now)
        except UnknownMetricError as error:
            return Step(
                rebirth=self._ask((parts.group, parts.edge), now),
                refused=refused(f"{error.args[0]}; a rebirth is requested", "metrics"),
            )
        except RefusedError as error:
            return Step(refused=error)

    def due(self, now: int) -> Step:
        """Return what the passing of time leads to; to be called about once a second."""
        rebirth: list[EdgeId] = []
        statuses: list[StatusChange] = []
        for edge_id in list(self._waiting):
            edge = self._edges.get(edge_id)
            if edge is not None and edge.missing and now >= edge.missing_until:
                rebirth += self._ask(edge_id, now)
                edge.missing_until = self._asked[edge_id] + self._interval
                if self._asked[edge_id] == now:
                    edge.missing.clear()
            if edge is not None and edge.unborn and now >= edge.unborn_until:
                statuses += _offline(edge_id, edge.unborn, now, "not named by the rebirth")
                edge.unborn = set()
            if edge is None or not (edge.missing or edge.unborn):
                self._waiting.discard(edge_id)
        return Step(Decoded(statuses=statuses), tuple(rebirth))

    def _react(self, parts: SparkplugTopic, payload: Payload, now: int) -> Step:
        match parts.message_type:
            case "NBIRTH":
                return self._node_born(parts, payload, now)
            case "DBIRTH":
                return self._device_born(parts, payload, now)
            case "NDATA" | "DDATA":
                return self._data(parts, payload, now)
            case "NDEATH":
                return self._node_died(parts, payload, now)
            case "DDEATH":
                return self._device_died(parts, payload, now)
            case _:
                return Step(Decoded(notes=(f"a command ({parts.message_type}) holds no readings",)))

    def _node_born(self, parts: SparkplugTopic, payload: Payload, now: int) -> Step:
        edge_id = (parts.group, parts.edge)
        seq = seq_of(payload) or 0
        birth = Birth(parts.key, payload, seq)
        step = _born(birth, payload, now, "NBIRTH")
        before = self._edges.get(edge_id)
        if before is None and len(self._edges) >= self._max_edges:
            raise refused(f"more than {self._max_edges} edge nodes are alive")
        self._make_room(birth, list(before.births()) if before else [])
        edge = self._edges[edge_id] = _Edge(birth, bd_seq_of(payload), seq)
        if before is not None and (before.devices or before.unborn):
            edge.unborn = before.unborn | before.devices.keys()
            edge.unborn_until = now + self._unborn
            self._waiting.add(edge_id)
        return step

    def _device_born(self, parts: SparkplugTopic, payload: Payload, now: int) -> Step:
        edge = self._alive(parts)
        self._follow(parts, edge, payload, now)
        before = edge.devices.get(parts.device)
        if before is None and len(edge.devices) >= self._max_devices:
            raise refused(f"an edge node has at most {self._max_devices} devices")
        birth = Birth(parts.key, payload, payload.seq or 0)
        step = _born(birth, payload, now, "DBIRTH")
        self._make_room(birth, [before] if before else [])
        edge.devices[parts.device] = birth
        edge.unborn.discard(parts.device)
        return step

    def _data(self, parts: SparkplugTopic, payload: Payload, now: int) -> Step:
        edge = self._alive(parts)
        self._follow(parts, edge, payload, now)
        birth = edge.devices.get(parts.device) if parts.device else edge.node
        if birth is None:
            raise UnknownMetricError(f"no birth of {parts.key} was received")
        readings, notes = birth.readings(payload, now)
        return Step(Decoded(readings, notes=notes))

    def _node_died(self, parts: SparkplugTopic, payload: Payload, now: int) -> Step:
        edge_id = (parts.group, parts.edge)
        edge = self._edges.get(edge_id)
        died = bd_seq_of(payload)
        if edge is None:
            return Step(Decoded(statuses=(StatusChange(parts.key, "offline", now, "NDEATH"),)))
        if edge.bd_seq is not None and edge.bd_seq != died:
            note = f"the death of an earlier session (bdSeq {died}, alive is {edge.bd_seq})"
            return Step(Decoded(notes=(note,)))
        del self._edges[edge_id]
        self._metrics -= sum(len(birth.names) for birth in edge.births())
        devices = {"", *edge.devices, *edge.unborn}
        return Step(Decoded(statuses=_offline(edge_id, devices, now, "NDEATH")))

    def _device_died(self, parts: SparkplugTopic, payload: Payload, now: int) -> Step:
        edge = self._edges.get((parts.group, parts.edge))
        if edge is not None:
            late = self._follow(parts, edge, payload, now)
            birth = edge.devices.get(parts.device)
            if late and birth and (birth.seq - (payload.seq or 0)) % SEQ_NUMBERS < MAX_GAP:
                return Step(Decoded(notes=("a death that came after the birth that followed it",)))
            if birth is not None:
                del edge.devices[parts.device]
                self._metrics -= len(birth.names)
            edge.unborn.discard(parts.device)
        return Step(Decoded(statuses=(StatusChange(parts.key, "offline", now, "DDEATH"),)))

    def _alive(self, parts: SparkplugTopic) -> _Edge:
        edge = self._edges.get((parts.group, parts.edge))
        if edge is None:
            raise UnknownMetricError(
                f"no birth of {device_key(parts.group, parts.edge)} was received"
            )
        return edge

    def _follow(self, parts: SparkplugTopic, edge: _Edge, payload: Payload, now: int) -> bool:
        """Count a message's seq; return True for one that others have overtaken."""
        seq = seq_of(payload)
        if seq is None:
            return False
        if seq in edge.missing:
            edge.missing.discard(seq)
            return True
        ahead = (seq - edge.seq - 1) % SEQ_NUMBERS
        if ahead >= MAX_GAP:
            return True
        if ahead:
            if not edge.missing:
                edge.missing_until = now + self._reorder
            edge.missing.update((edge.seq + 1 + i) % SEQ_NUMBERS for i in range(ahead))
            self._waiting.add((parts.group, parts.edge))
        edge.seq = seq
        return False

    def _make_room(self, birth: Birth, replaced: list[Birth]) -> None:
        """Count a birth's metrics instead of those it replaces, or refuse it as too many."""
        metrics = self._metrics + len(birth.names) - sum(len(old.names) for old in replaced)
        if metrics > self._max_metrics:
            raise refused(f"more than {self._max_metrics} metrics are alive")
        self._metrics = metrics

    def _ask(self, edge_id: EdgeId, now: int) -> tuple[EdgeId, ...]:
        """Return the edge node when a rebirth may be requested of it now."""
        asked_at = self._asked.get(edge_id)
        if asked_at is not None and 0 <= now - asked_at < self._interval:
            return ()
        self._asked.pop(edge_id, None)
        if len(self._asked) >= self._max_edges:
            del self._asked[next(iter(self._asked))]
        self._asked[edge_id] = now
        return (edge_id,)


def rebirth_command(now: int) -> bytes:
    """Return the payload of the NCMD that requests a rebirth; `now` in microseconds."""
    metric = metric_of(DataType.BOOLEAN, value=True, name=REBIRTH, timestamp=now // 1000)
    return encode_payload(Payload((metric,), now // 1000))


def state_payload(*, online: bool, timestamp: int) -> bytes:
    """Return the payload of a host application's STATE; `timestamp` in epoch milliseconds."""
    return msgspec.json.encode({"online": online, "timestamp": timestamp})


def _born(birth: Birth, payload: Payload, now: int, message_type: str) -> Step:
    readings, notes = birth.readings(payload, now)
    statuses = (StatusChange(birth.key, "online", now, message_type),)
    return Step(Decoded(readings, statuses, notes))


def _offline(edge_id: EdgeId, devices: set[str], now: int, detail: str) -> list[StatusChange]:
    keys = sorted(device_key(*edge_id, device) for device in devices)
    return [StatusChange(key, "offline", now, detail) for key in keys]


def seq_of(payload: Payload) -> int | None:
    """Return a message's number, if it has one. Raises RefusedError for one beyond 255."""
    seq = payload.seq
    if seq is not None and seq >= SEQ_NUMBERS:
        raise refused(f"a seq is a number from 0 to 255: {shown(seq)}", "seq")
    return seq


def bd_seq_of(payload: Payload) -> int | None:
    """Return the number of the session that a birth or a death of an edge node names."""
    for metric in payload.metrics:
        if metric.name == BD_SEQ and isinstance(metric.raw, int):
            return metric.raw
    return None
