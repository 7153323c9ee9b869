"""What a birth announces: the metrics of one edge node or device, by name and by alias."""

from collections.abc import Sequence
from datetime import timedelta
from math import isfinite
from typing import Final, NamedTuple

from wattwire.formats.columns import Value, reading_of
from wattwire.formats.refusals import refused, shown
from wattwire.formats.shapes import MAX_CHANNELS
from wattwire.formats.sparkplug_b import PLACES, Metric, Payload, Properties
from wattwire.formats.sparkplug_values import (
    NUMBER_CARRIERS,
    OPAQUE,
    TEXTS,
    DataType,
    MetricValue,
)
from wattwire.formats.times import from_millis
from wattwire.model import EPOCH, ChannelKind, Quality, Reading, Shape

STREAM: Final = "/metrics"
MAX_ITEMS: Final = 64  #: a longer array is no set of channels
MAX_NOTES: Final = 20
MAX_SHAPES: Final = 256  #: of one birth: which metrics come together
UNIT_PROPERTIES: Final = frozenset({"unit", "units", "engunit", "engineering units"})
MAX_SMALLINT: Final = 32_767
#: Metrics that steer the protocol: never channels.
CONTROL_PREFIXES: Final = ("Node Control/", "Device Control/")
BD_SEQ: Final = "bdSeq"

_LAST_MILLIS: Final = 253_402_300_799_999
DATES: Final = frozenset({DataType.DATETIME, DataType.DATETIME_ARRAY})
_GOOD_FROM, _GOOD_TO, _UNCERTAIN_FROM = 192, 256, 64


class UnknownMetricError(LookupError):
    """A metric that the birth did not announce; only another birth can tell what it means."""


class Known(NamedTuple):
    """One announced metric."""

    name: str
    datatype: int
    left_out: str  #: why it is no channel, or ''
    unit: str
    carrier: int  #: where its number stands as a rule; -1: it is no plain number


class Birth:
    """The metrics of one edge node or device, as its last birth announced them.

    Making one raises RefusedError for a metric without name or data type, an alias given twice, or
    more metrics than a device may have.
    """

    __slots__ = ("_shapes", "aliases", "key", "names", "seq")

    def __init__(self, key: str, payload: Payload, seq: int) -> None:
        self.key = key
        self.seq = seq
        self.names: dict[str, Known] = {}
        self.aliases: dict[int | None, Known] = {}
        self._shapes: dict[tuple[str, ...], Shape] = {}
        for at, metric in enumerate(payload.metrics):
            self._announce(metric, PLACES[at])
        channels = sum(1 for known in self.names.values() if not known.left_out)
        if channels > MAX_CHANNELS:
            raise refused(f"a device has at most {MAX_CHANNELS} metrics, not {channels}", "metrics")

    def readings(self, payload: Payload, now: int) -> tuple[list[Reading], list[str]]:
        """Return the readings of a birth or of data, one per timestamp, and what was left out.

        Raises UnknownMetricError for a metric that the birth did not announce, RefusedError for a
        value that does not fit its type.
        """
        reading = self._simple_reading(payload, now)
        if reading is not None:
            return [reading], []
        rows: dict[int, _Row] = {}
        notes: list[str] = []
        for at, metric in enumerate(payload.metrics):
            known = self._find(metric, at)
            if known.left_out or metric.is_transient:
                _note(notes, known)
                continue
            millis = metric.timestamp or payload.timestamp or 0
            row = rows.get(millis)
            if row is None:
                time = from_millis(millis, f"{PLACES[at]}.timestamp") if millis else now
                row = rows[millis] = _Row(time)
            row.add(known, metric, at, notes)
        return [self._remembered(row) for row in rows.values() if row.values], notes

    def _simple_reading(self, payload: Payload, now: int) -> Reading | None:
        """Read what nearly all messages hold: known numbers of one instant and nothing else.

        None means that there is more to it, not that there is anything wrong.
        """
        stamp = payload.metrics[0].timestamp if payload.metrics else None
        names: list[str] = []
        values: list[float] = []
        for metric in payload.metrics:
            name = metric.name
            known = self.names.get(name) if name is not None else self.aliases.get(metric.alias)
            if known is None or metric.carrier != known.carrier or metric.timestamp != stamp:
                return None
            if metric.properties or metric.is_null or metric.is_transient:
                return None
            value: MetricValue = metric.raw
            if not isinstance(value, float):
                value = metric.value(known.datatype, PLACES[len(names)])
            names.append(known.name)
            values.append(float(value))  # type: ignore[arg-type]  # by its carrier a number
        shape = self._shapes.get(tuple(names))
        if shape is None or not isfinite(sum(values)):
            return None
        millis = stamp or payload.timestamp
        return Reading(shape, from_millis(millis, "timestamp") if millis else now, values)

    def _remembered(self, row: "_Row") -> Reading:
        reading = row.reading(self.key)
        if reading.texts is None:
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            self._shapes[tuple(row.values)] = reading.shape
        return reading

    def _announce(self, metric: Metric, where: str) -> None:
        known = _known(metric, where)
        if self.names.setdefault(known.name, known).datatype != known.datatype:
            raise refused(f"the metric {shown(known.name)} is announced twice", where)
        if metric.alias is None:
            return
        if self.aliases.setdefault(metric.alias, known).name != known.name:
            raise refused(f"the alias {metric.alias} is given to two metrics", where)

    def _find(self, metric: Metric, at: int) -> Known:
        if metric.name is None:
            known = self.aliases.get(metric.alias) if metric.alias is not None else None
        else:
            known = self.names.get(metric.name)
            if known is None and metric.datatype is not None:
                return _known(metric, PLACES[at])
        if known is None:
            said = f"alias {metric.alias}" if metric.name is None else shown(metric.name)
            raise UnknownMetricError(f"the birth of {self.key} announced no metric {said}")
        return known


class _Row:
    """What one timestamp's metrics say; a metric that is there twice keeps its last value."""

    __slots__ = ("kinds", "quality", "time", "units", "values")

    def __init__(self, time: int) -> None:
        self.time = time
        self.values: dict[str, Value] = {}
        self.units: dict[str, str] = {}
        self.kinds: dict[str, str] = {}
        self.quality: int = Quality.GOOD

    def add(self, known: Known, metric: Metric, at: int, notes: list[str]) -> None:
        """Take one metric's value."""
        if metric.properties:
            self.quality = _worse(self.quality, quality_in(metric.properties))
        value = metric.value(known.datatype, PLACES[at])
        if isinstance(value, list):
            self._add_items(known, value, notes)
            return
        self.values[known.name] = _plain(known.datatype, value, notes, known.name)
        if value is None and known.datatype in TEXTS | DATES:
            self.kinds[known.name] = ChannelKind.STATUS
        if known.unit:
            self.units[known.name] = known.unit

    def _add_items(self, known: Known, items: Sequence[MetricValue], notes: list[str]) -> None:
        """Make a channel of each item of a short array."""
        if len(items) > MAX_ITEMS:
            notes.append(f"left out: {shown(known.name)}, an array of {len(items)} items")
            return
        for index, item in enumerate(items):
            name = f"{known.name}[{index}]"
            self.values[name] = _plain(known.datatype, item, notes, name)
            if known.unit:
                self.units[name] = known.unit

    def reading(self, device: str) -> Reading:
        """Return the reading of this timestamp."""
        return reading_of(
            device,
            STREAM,
            tuple(self.values),
            list(self.values.values()),
            self.time,
            units=tuple(self.units.items()),
            kinds=tuple(self.kinds.items()),
            quality=self.quality,
        )


def _known(metric: Metric, where: str) -> Known:
    if not metric.name:
        raise refused("a metric of a birth lacks its name", where)
    if metric.datatype is None:
        raise refused(f"the metric {shown(metric.name)} lacks its data type", where)
    left_out = _left_out(metric)
    carrier = -1 if left_out else NUMBER_CARRIERS.get(metric.datatype, -1)
    return Known(metric.name, metric.datatype, left_out, unit_in(metric.properties), carrier)


def _left_out(metric: Metric) -> str:
    name, datatype = metric.name or "", metric.datatype or 0
    if steers(name):
        return "control"
    if datatype in OPAQUE:
        return f"a {DataType(datatype).name}"
    if datatype > DataType.DATETIME_ARRAY:
        return f"of the unknown data type {datatype}"
    return ""


def steers(name: str) -> bool:
    """Return whether a metric steers the protocol, and says nothing of the device."""
    return name == BD_SEQ or name.startswith(CONTROL_PREFIXES)


def unit_in(properties: Properties) -> str:
    """Return the unit that a metric's properties name, or ''."""
    for name, value in properties.items():
        if name.lower() in UNIT_PROPERTIES and isinstance(value, str):
            return value
    return ""


def _note(notes: list[str], known: Known) -> None:
    if known.left_out != "control" and len(notes) < MAX_NOTES:
        notes.append(f"left out: {shown(known.name)}, {known.left_out or 'transient'}")


def _plain(datatype: int, value: MetricValue, notes: list[str], name: str) -> Value:
    """Return a value as a channel takes it: a number, text or null."""
    if isinstance(value, bool | str) or value is None:
        return value
    number = float(value)  # type: ignore[arg-type]
    if datatype in DATES:
        return _date(number)
    if isfinite(number):
        return number
    if len(notes) < MAX_NOTES:
        notes.append(f"{shown(name)} is {number} and kept as null")
    return None


def _date(millis: float) -> str:
    """Return a point in time, which is no quantity, as text."""
    if millis > _LAST_MILLIS:
        return str(int(millis))
    return (EPOCH + timedelta(milliseconds=millis)).isoformat().removesuffix("+00:00") + "Z"


def quality_in(properties: Properties) -> int:
    """Return the quality that a metric's properties name; good where they name none."""
    value = next((v for name, v in properties.items() if name.lower() == "quality"), None)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SMALLINT:
        return value
    return Quality.GOOD


def _worse(one: int, other: int) -> int:
    """Return the worse of two quality codes: bad, then stale or uncertain, then good."""
    return min(one, other, key=_rank)


def _rank(quality: int) -> int:
    if _GOOD_FROM <= quality < _GOOD_TO:
        return 2
    return 0 if quality < _UNCERTAIN_FROM else 1
