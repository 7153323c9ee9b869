"""What a Sparkplug 3.0 edge node says: births, data, death. Pure but for what it remembers.

A message's body is a Sparkplug payload whose metrics have names and data types, as the format
`sparkplug_b` writes it. Here it is given its place in a session: an alias for each metric, the
sequence number, and births before whatever they announce.

**bdSeq.** The specification counts connections from 0 to 255, over restarts, too. An integration
has nothing to remember a number in, so that the first one is the second of the clock modulo 256,
and each further connection adds one. A death that is late by a whole multiple of 256 seconds could
be taken for that of the next session; no shorter one can.

**Births.** A device is born before its first data, with the metrics of its first message, and again
when it gets a metric or a metric's type changes. A birth tells the newest value that was sent of
each metric; null, where only history is known. Each message becomes one DDATA.

**Deaths.** A device with which the hub lost touch is dead until it is back: births leave it out.
What it said before its death and is sent after it is history, between a birth and another death.

**History.** Data are marked `is_historical` when they are older than what was sent before them of
the same device, or older than a limit: a host must not take them for the state of things.

https://sparkplug.eclipse.org/specification/version/3.0/documents/sparkplug-specification-3.0.0.pdf
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from msgspec.structs import replace

from wattwire.formats.sparkplug_b import Metric, Payload, decode_payload, encode_payload, metric_of
from wattwire.formats.sparkplug_topics import NAMESPACE, command_topic
from wattwire.formats.sparkplug_values import Carrier, DataType
from wattwire.model import RefusedError

CONTENT_TYPE: Final = "application/x-sparkplug-b"
REBIRTH: Final = "Node Control/Rebirth"
BD_SEQ: Final = "bdSeq"
COUNTERS: Final = 256
MOST_DEVICES: Final = 10_000
#: What a birth fits into, as a host bounds it, too.
MOST_METRICS: Final = 5000
MOST_ALIASES: Final = 200_000

Sent: TypeAlias = tuple[str, bytes]  # topic and payload


def first_bd_seq(seconds: float) -> int:
    """Return the bdSeq to begin with, from the seconds of the clock."""
    return int(seconds) % COUNTERS


@dataclass(slots=True)
class _Device:
    """What was announced of a device, and its newest values: by the metrics' names."""

    metrics: dict[str, Metric] = field(default_factory=dict)
    sent_ms: int = 0  #: the time of the newest data
    died_ms: int | None = None  #: when it was lost; None: it is alive


@dataclass(slots=True)
class EdgeNode:
    """One edge node. For each connection `begin`, `births`, then `data`, in the end `death`."""

    group: str
    name: str
    bd_seq: int  #: of the session; to begin with, of the one before the first
    historical_after_ms: int
    typed_data: bool = False  #: whether data repeat the types that births said
    seq: int = 0
    _aliases: int = 0
    _devices: dict[str, _Device] = field(default_factory=dict)

    @property
    def command_topic(self) -> str:
        """Where commands to this node arrive."""
        return command_topic(self.group, self.name)

    def begin(self, now_ms: int) -> Sent:
        """Begin a session: return the death that its will announces."""
        self.bd_seq = (self.bd_seq + 1) % COUNTERS
        return self.death(now_ms)

    def death(self, now_ms: int) -> Sent:
        """Return the NDEATH of this session. It has no seq."""
        return self._topic("NDEATH"), encode_payload(Payload([self._number(now_ms)], now_ms))

    def _number(self, now_ms: int) -> Metric:
        return metric_of(DataType.INT64, self.bd_seq, name=BD_SEQ, timestamp=now_ms)

    def births(self, now_ms: int) -> list[Sent]:
        """Return NBIRTH and the DBIRTH of each known device alive; seq starts again at 0."""
        self.seq = COUNTERS - 1
        rebirth = metric_of(DataType.BOOLEAN, False, name=REBIRTH, timestamp=now_ms)
        born = [self._numbered("NBIRTH", "", [self._number(now_ms), rebirth], now_ms)]
        alive = [name for name, known in self._devices.items() if known.died_ms is None]
        return born + [self._birth(name, now_ms) for name in alive]

    def lost(self, device: str, at_ms: int, now_ms: int) -> list[Sent]:
        """Hear that a device is not to be reached: return its DDEATH, if it was alive."""
        known = self._devices.get(device)
        if known is None or known.died_ms is not None:
            return []
        known.died_ms = at_ms
        return [self._numbered("DDEATH", device, [], now_ms)]

    def found(self, device: str, now_ms: int) -> list[Sent]:
        """Hear that a device is back: return its DBIRTH, if it had died."""
        known = self._devices.get(device)
        if known is None or known.died_ms is None:
            return []
        known.died_ms = None
        return [self._birth(device, now_ms)]

    def data(self, device: str, body: bytes, now_ms: int) -> list[Sent]:
        """Return what says a message's metrics: DDATA, and before it DBIRTH where one is due.

        Behind data that a dead device said before its death there is another DDEATH.

        Raises ValueError for a body that is no payload of named, typed metrics.
        """
        payload = decode_payload(body)
        metrics = [_complete(metric, payload, now_ms) for metric in payload.metrics]
        if not metrics:
            raise ValueError("the payload has no metrics")
        known = self._devices.get(device) or self._new(device)
        newest = max(metric.timestamp or 0 for metric in metrics)
        died = known.died_ms
        stays_dead = died is not None and newest <= died
        limit = max(known.sent_ms, now_ms - self.historical_after_ms)
        historical = stays_dead or newest < limit
        due = self._announce(known, metrics) or died is not None
        if not historical:
            known.sent_ms = newest
            self._remember(known, metrics)
        self._devices[device] = known
        known.died_ms = None
        typed = self.typed_data
        said = [_said(m, known, historical=historical, typed=typed) for m in metrics]
        sent = [self._birth(device, now_ms)] if due else []
        sent.append(self._numbered("DDATA", device, said, now_ms, payload.uuid))
        return sent + (self.lost(device, died, now_ms) if stays_dead and died else [])

    def _new(self, device: str) -> _Device:
        if not device or len(self._devices) >= MOST_DEVICES:
            raise ValueError(f"an edge node has 1 to {MOST_DEVICES:,} devices, each with a name")
        return _Device()

    def _announce(self, known: _Device, metrics: list[Metric]) -> bool:
        """Give what is new an alias, and null for a value; return whether a birth is due."""
        new = [m for m in metrics if _type_of(known.metrics.get(m.name or "")) != m.datatype]
        if len(known.metrics.keys() | {m.name for m in new}) > MOST_METRICS:
            raise ValueError(f"a device has at most {MOST_METRICS:,} metrics")
        if self._aliases + len(new) > MOST_ALIASES:
            raise ValueError(f"an edge node has at most {MOST_ALIASES:,} metrics in all")
        for metric in new:
            before = known.metrics.get(metric.name or "")
            if before is None:
                self._aliases += 1
            alias = self._aliases if before is None else before.alias
            known.metrics[metric.name or ""] = _null(replace(metric, alias=alias))
        return bool(new)

    def _remember(self, known: _Device, metrics: list[Metric]) -> None:
        for metric in metrics:
            name = metric.name or ""
            known.metrics[name] = replace(
                metric, alias=known.metrics[name].alias, is_historical=False
            )

    def _birth(self, device: str, now_ms: int) -> Sent:
        metrics = list(self._devices[device].metrics.values())
        return self._numbered("DBIRTH", device, metrics, now_ms)

    def _numbered(
        self, kind: str, device: str, metrics: list[Metric], now_ms: int, uuid: str | None = None
    ) -> Sent:
        self.seq = (self.seq + 1) % COUNTERS
        payload = Payload(metrics, now_ms, self.seq, uuid)
        return self._topic(kind, device), encode_payload(payload)

    def _topic(self, kind: str, device: str = "") -> str:
        topic = f"{NAMESPACE}/{self.group}/{kind}/{self.name}"
        return f"{topic}/{device}" if device else topic


def _complete(metric: Metric, payload: Payload, now_ms: int) -> Metric:
    """Return the metric with its own time, as births and data must have it."""
    if not metric.name or metric.datatype is None:
        raise ValueError("a metric lacks its name or its data type")
    if metric.timestamp is not None:
        return metric
    return replace(metric, timestamp=payload.timestamp or now_ms)


def _type_of(metric: Metric | None) -> int | None:
    return None if metric is None else metric.datatype


def _null(metric: Metric) -> Metric:
    return replace(metric, is_null=True, carrier=Carrier.NONE, raw=0)


def _said(metric: Metric, known: _Device, *, historical: bool, typed: bool) -> Metric:
    """Return the metric as data have it: by its alias, without what the birth said."""
    return replace(
        metric,
        name=None,
        alias=known.metrics[metric.name or ""].alias,
        datatype=metric.datatype if typed else None,
        properties={},
        is_historical=historical,
    )


def asks_rebirth(payload: bytes) -> bool:
    """Tell whether a command asks for the births again."""
    try:
        metrics = decode_payload(payload).metrics
        return any(
            m.name == REBIRTH and m.value(DataType.BOOLEAN, REBIRTH) is True for m in metrics
        )
    except RefusedError:
        return False
