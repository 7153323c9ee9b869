"""The edge nodes that a consumer knows: births, `seq`, deaths, and whom to ask for a rebirth.

Pure: no input or output, and the time is given.

**Order.** Data are read as they come, also across a gap in `seq`: a gap is told, and when what is
missing does not come in time, a rebirth is due, as a birth may have been among it.

**Interruptions.** While the connection was away an edge node may have given its aliases anew. Its
old births count again only if its next message follows directly on the last one; otherwise they are
forgotten, since a value without a name is better than one with a wrong name.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from wattwire.client.births import Birth, Origin, Read, instant_of, read
from wattwire.client.limits import Limits
from wattwire.client.rebirths import EdgeId, Rebirths
from wattwire.client.results import Born, Died, Gap, Result
from wattwire.formats.refusals import refused
from wattwire.formats.sparkplug_state import MAX_GAP, SEQ_NUMBERS, bd_seq_of, seq_of
from wattwire.formats.sparkplug_topics import device_key
from wattwire.model import RefusedError


class Step(NamedTuple):
    """What a message leads to: results, and why not all of it was understood."""

    results: list[Result]
    refused: RefusedError | None = None


@dataclass(slots=True)
class _Edge:
    """An edge node that is alive."""

    node: Birth
    bd_seq: int | None
    seq: int
    devices: dict[str, Birth] = field(default_factory=dict)
    missing: set[int] = field(default_factory=set)
    doubtful: bool = False  #: the connection was away since its last message

    def births(self) -> Iterator[Birth]:
        yield self.node
        yield from self.devices.values()

    def birth_of(self, device: str) -> Birth | None:
        return self.devices.get(device) if device else self.node


class EdgeNodes:
    """Follows edge nodes, all of one broker."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._edges: dict[EdgeId, _Edge] = {}
        self._metrics = 0
        self.rebirths = Rebirths(limits)

    def interrupted(self) -> None:
        """Note that messages may have been missed."""
        for edge in self._edges.values():
            edge.doubtful = True
            edge.missing.clear()

    def take(self, origin: Origin) -> Step:
        """Return what a message leads to. Raises RefusedError for one that is not understood."""
        match origin.place.message_type:
            case "NBIRTH":
                return self._node_born(origin)
            case "DBIRTH":
                return self._device_born(origin)
            case "NDATA" | "DDATA":
                return self._data(origin)
            case "NDEATH":
                return Step(self._node_died(origin))
            case "DDEATH":
                return Step(self._device_died(origin))
            case _:
                return Step([])  # a command

    def _node_born(self, origin: Origin) -> Step:
        edge_id = _edge_id(origin)
        self._forget(edge_id)  # even if this birth is refused: its aliases hold no more
        birth, seq = Birth(origin.payload), seq_of(origin.payload) or 0
        born = _born(origin, birth)
        if len(self._edges) >= self._limits.edge_nodes:
            raise refused(f"more than {self._limits.edge_nodes} edge nodes are alive")
        self._make_room(birth)
        self._edges[edge_id] = _Edge(birth, bd_seq_of(origin.payload), seq)
        self.rebirths.born(edge_id)
        return _told([born], origin, read(origin, birth, is_birth=True))

    def _device_born(self, origin: Origin) -> Step:
        edge, results = self._follow(origin)
        if edge is None:  # of an unknown edge node: its values count, its aliases do not
            self.rebirths.want(_edge_id(origin), origin.received)
            return _told(results, origin, read(origin, None, is_birth=True))
        try:
            birth = self._bear(edge, origin)
            born = _born(origin, birth)
        except RefusedError as error:
            return Step(results, error)
        return _told([*results, born], origin, read(origin, birth, is_birth=True))

    def _bear(self, edge: _Edge, origin: Origin) -> Birth:
        device = origin.place.device
        self._bury(edge, device)
        birth = Birth(origin.payload)
        if len(edge.devices) >= self._limits.devices:
            raise refused(f"an edge node has at most {self._limits.devices} devices")
        self._make_room(birth)
        edge.devices[device] = birth
        return birth

    def _data(self, origin: Origin) -> Step:
        edge, results = self._follow(origin)
        birth = edge.birth_of(origin.place.device) if edge is not None else None
        found = read(origin, birth)
        if found.unknown is not None:
            self.rebirths.want(_edge_id(origin), origin.received)
        return _told(results, origin, found, birth)

    def _node_died(self, origin: Origin) -> list[Result]:
        edge_id = _edge_id(origin)
        edge, died = self._edges.get(edge_id), bd_seq_of(origin.payload)
        if edge is None:
            return [_died(origin, "")]
        if edge.bd_seq not in (None, died) and not edge.doubtful:
            return []  # the death of an earlier session, which came late
        self._forget(edge_id)
        return [_died(origin, device) for device in ("", *sorted(edge.devices))]

    def _device_died(self, origin: Origin) -> list[Result]:
        edge, results = self._follow(origin)
        device, seq = origin.place.device, origin.payload.seq
        birth = edge.devices.get(device) if edge is not None else None
        if edge is not None and birth is not None:
            late = seq is not None and seq != edge.seq
            if late and ((birth.seq - (seq or 0)) % SEQ_NUMBERS) < MAX_GAP:
                return results  # the birth that followed it has overtaken it
            self._bury(edge, device)
        return [*results, _died(origin, device)]

    def _follow(self, origin: Origin) -> tuple[_Edge | None, list[Result]]:
        """Return the edge node of a message, if it is known, and the gap before the message."""
        edge_id, seq = _edge_id(origin), seq_of(origin.payload)
        edge = self._edges.get(edge_id)
        if edge is None or seq is None:
            return edge, []
        expected = (edge.seq + 1) % SEQ_NUMBERS
        if edge.doubtful and seq != expected:
            self._forget(edge_id)
            return None, []
        edge.doubtful = False
        return edge, self._count(edge, expected, seq, origin)

    def _count(self, edge: _Edge, expected: int, seq: int, origin: Origin) -> list[Result]:
        edge_id, ahead = _edge_id(origin), (seq - expected) % SEQ_NUMBERS
        if ahead >= MAX_GAP:  # from behind: late, or a repeat
            if seq in edge.missing:
                edge.missing.discard(seq)
                if not edge.missing:
                    self.rebirths.complete(edge_id, origin.received)
            return []
        edge.seq = seq
        edge.missing.discard(seq)
        if not ahead:
            return []
        behind = {n for n in edge.missing if (seq - n) % SEQ_NUMBERS < MAX_GAP}
        edge.missing = behind | {(expected + i) % SEQ_NUMBERS for i in range(ahead)}
        self.rebirths.want(edge_id, origin.received, self._limits.reorder_seconds)
        place = origin.place
        return [
            Gap(
                group=place.group,
                edge_node=place.edge,
                expected=expected,
                seq=seq,
                missing=ahead,
                time=origin.received,
            )
        ]

    def _make_room(self, birth: Birth) -> None:
        metrics = self._metrics + len(birth.names)
        if metrics > self._limits.metrics:
            raise refused(f"more than {self._limits.metrics} metrics are announced")
        self._metrics = metrics

    def _bury(self, edge: _Edge, device: str) -> None:
        birth = edge.devices.pop(device, None)
        self._metrics -= len(birth.names) if birth is not None else 0

    def _forget(self, edge_id: EdgeId) -> None:
        edge = self._edges.pop(edge_id, None)
        births = edge.births() if edge is not None else ()
        self._metrics -= sum(len(birth.names) for birth in births)


def _edge_id(origin: Origin) -> EdgeId:
    return origin.place.group, origin.place.edge


def _born(origin: Origin, birth: Birth) -> Born:
    place, payload = origin.place, origin.payload
    return Born(
        group=place.group,
        edge_node=place.edge,
        device=place.device,
        uuid=payload.uuid or "",
        time=instant_of(payload, origin.received),
        metrics=birth.infos(),
        bd_seq=bd_seq_of(payload),
    )


def _died(origin: Origin, device: str) -> Died:
    place = origin.place
    return Died(
        group=place.group,
        edge_node=place.edge,
        device=device,
        uuid=origin.payload.uuid or "",
        time=origin.received,
        said_by=place.message_type,
    )


def _told(before: list[Result], origin: Origin, found: Read, birth: Birth | None = None) -> Step:
    """Return the step of a message that was read: its samples, and what they lack."""
    results = [*before, *found.samples]
    if found.unknown is None:
        return Step(results, found.misfit)
    place, unknown = origin.place, found.unknown
    more = f" and {unknown.how_many - 1} more" if unknown.how_many > 1 else ""
    if birth is None:
        reason = f"no birth of {place.key} is known, and so not what {unknown.first}{more} means"
    else:
        key = device_key(place.group, place.edge, place.device)
        reason = f"the birth of {key} announced no metric {unknown.first}{more}"
    return Step(results, refused(reason, unknown.where))
