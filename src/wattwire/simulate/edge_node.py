"""What a Sparkplug 3.0 edge node says: births, data, death. Pure but for its counters.

Births carry name, alias, type and value of every metric; data carries the alias and what changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from wattwire.formats.sparkplug_b import (
    Metric,
    Payload,
    decode_payload,
    encode_payload,
    metric_of,
)
from wattwire.formats.sparkplug_values import DataType, MetricValue
from wattwire.model import RefusedError
from wattwire.simulate.curves import Switchboard, electrical, switchboard

NAMESPACE: Final = "spBv1.0"
REBIRTH: Final = "Node Control/Rebirth"
BD_SEQ: Final = "bdSeq"
COUNTERS: Final = 256
#: Name, alias within a device, type, unit, of what each device reports.
CHANNELS: Final = (
    ("Voltage/AN", 1, DataType.FLOAT, "V", "voltageAN"),
    ("Voltage/BN", 2, DataType.FLOAT, "V", "voltageBN"),
    ("Voltage/CN", 3, DataType.FLOAT, "V", "voltageCN"),
    ("Current/A", 4, DataType.FLOAT, "A", "currentA"),
    ("Current/B", 5, DataType.FLOAT, "A", "currentB"),
    ("Current/C", 6, DataType.FLOAT, "A", "currentC"),
    ("Power/Real", 7, DataType.DOUBLE, "kW", "realPower"),
    ("Power/Factor", 8, DataType.FLOAT, "", "powerFactor"),
    ("Frequency", 9, DataType.FLOAT, "Hz", "frequency"),
    ("Energy/Real", 10, DataType.DOUBLE, "kWh", "realEnergy"),
)
ALIASES_PER_DEVICE: Final = 100

Sent = tuple[str, bytes]  # topic and payload


@dataclass(slots=True)
class EdgeNode:
    """One edge node with its devices, by name."""

    group: str
    name: str
    boards: Mapping[str, Switchboard]
    seq: int = 0
    bd_seq: int = -1
    known: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def command_topic(self) -> str:
        """Where commands to this node arrive."""
        return self._topic("NCMD")

    def _topic(self, message_type: str, device: str = "") -> str:
        topic = f"{NAMESPACE}/{self.group}/{message_type}/{self.name}"
        return f"{topic}/{device}" if device else topic

    def will(self, now_ms: int) -> Sent:
        """Begin a session: return the death that its will announces, with the next bdSeq."""
        self.bd_seq = (self.bd_seq + 1) % COUNTERS
        return self.death(now_ms)

    def death(self, now_ms: int) -> Sent:
        """Return the NDEATH of this session. It has no seq."""
        return self._topic("NDEATH"), encode_payload(Payload([self._bd_seq()], now_ms))

    def _bd_seq(self) -> Metric:
        return metric_of(DataType.INT64, self.bd_seq, name=BD_SEQ)

    def births(self, now_ms: int) -> list[Sent]:
        """Return NBIRTH and the DBIRTH of each device; seq starts again at 0."""
        self.seq = COUNTERS - 1
        rebirth = metric_of(DataType.BOOLEAN, False, name=REBIRTH, timestamp=now_ms)
        born = [self._numbered("NBIRTH", "", [self._bd_seq(), rebirth], now_ms)]
        for index, device in enumerate(self.boards):
            self.known[device] = self._shown(device, now_ms)
            born.append(self._numbered("DBIRTH", device, self._all(index, device, now_ms), now_ms))
        return born

    def _all(self, index: int, device: str, now_ms: int) -> list[Metric]:
        shown = self.known[device]
        return [
            metric_of(
                datatype,
                shown[source],
                name=name,
                alias=index * ALIASES_PER_DEVICE + alias,
                timestamp=now_ms,
                properties={"engUnit": unit} if unit else {},
            )
            for name, alias, datatype, unit, source in CHANNELS
        ]

    def data(self, now_ms: int) -> list[Sent]:
        """Return the DDATA of each device of which something changed."""
        sent = []
        for index, device in enumerate(self.boards):
            shown, before = self._shown(device, now_ms), self.known[device]
            self.known[device] = shown
            metrics = [
                metric_of(
                    datatype,
                    shown[source],
                    alias=index * ALIASES_PER_DEVICE + alias,
                    timestamp=now_ms,
                    typed=False,
                )
                for _name, alias, datatype, _unit, source in CHANNELS
                if shown[source] != before[source]
            ]
            if metrics:
                sent.append(self._numbered("DDATA", device, metrics, now_ms))
        return sent

    def _shown(self, device: str, now_ms: int) -> dict[str, float]:
        return electrical(self.boards[device], now_ms / 1000)

    def _numbered(
        self, message_type: str, device: str, metrics: Sequence[Metric], now_ms: int
    ) -> Sent:
        self.seq = (self.seq + 1) % COUNTERS
        payload = encode_payload(Payload(metrics, now_ms, self.seq))
        return self._topic(message_type, device), payload


def make_nodes(count: int, devices: int, group: str, seed: int) -> list[EdgeNode]:
    """Return the edge nodes of a fleet; the same seed gives the same devices."""
    nodes = []
    for number in range(1, count + 1):
        names = [f"feeder-{device}" for device in range(1, devices + 1)]
        boards = {name: switchboard(f"{group}/edge-{number}/{name}", seed) for name in names}
        nodes.append(EdgeNode(group, f"edge-{number}", boards))
    return nodes


def asks_rebirth(payload: bytes) -> bool:
    """Tell whether a command asks for the births again."""
    try:
        metrics = decode_payload(payload).metrics
        return any(metric.name == REBIRTH and _true(metric) for metric in metrics)
    except RefusedError:
        return False


def _true(metric: Metric) -> bool:
    value: MetricValue = metric.value(DataType.BOOLEAN, REBIRTH)
    return value is True
