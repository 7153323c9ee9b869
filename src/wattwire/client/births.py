"""What births announce, and what data mean by it. Pure."""

from datetime import UTC, datetime
from typing import Final, NamedTuple

from wattwire.client.results import GOOD, MetricInfo, Sample, Value
from wattwire.formats.refusals import refused, shown
from wattwire.formats.sparkplug_b import PLACES, Metric, Payload, Properties
from wattwire.formats.sparkplug_births import DATES, quality_in, steers, unit_in
from wattwire.formats.sparkplug_topics import SparkplugTopic
from wattwire.formats.sparkplug_values import DataType, MetricValue
from wattwire.formats.times import from_millis
from wattwire.model import RefusedError, to_instant

MAX_NAME: Final = 1000
MAX_UNIT: Final = 200
#: Values that mean nothing without more than a metric has.
UNREAD: Final = frozenset({
    DataType.UNKNOWN, DataType.DATASET, DataType.TEMPLATE,
    DataType.PROPERTY_SET, DataType.PROPERTY_SET_LIST,
})  # fmt: skip
_LAST_TYPE: Final = DataType.DATETIME_ARRAY


class Announced(NamedTuple):
    """A metric as its birth announced it."""

    name: str
    alias: int | None
    datatype: int
    unit: str


class Birth:
    """The metrics of one edge node or device.

    Making one raises RefusedError for a metric without name or data type, a name given two types,
    or an alias given twice.
    """

    __slots__ = ("aliases", "names", "seq")

    def __init__(self, payload: Payload) -> None:
        self.seq = payload.seq or 0
        self.names: dict[str, Announced] = {}
        self.aliases: dict[int, Announced] = {}
        for at, metric in enumerate(payload.metrics):
            self._announce(metric, PLACES[at])

    def _announce(self, metric: Metric, where: str) -> None:
        announced = _announced(metric, where)
        if self.names.setdefault(announced.name, announced).datatype != announced.datatype:
            raise refused(f"the metric {shown(announced.name)} is announced twice", where)
        alias = metric.alias
        if alias is None:
            return
        if self.aliases.setdefault(alias, announced).name != announced.name:
            raise refused(f"the alias {alias} is given to two metrics", where)

    def infos(self) -> tuple[MetricInfo, ...]:
        """Return what was announced, without what steers the protocol."""
        return tuple(
            MetricInfo(known.name, known.alias, _type_name(known.datatype), known.unit)
            for known in self.names.values()
            if not steers(known.name)
        )


class Unknown(NamedTuple):
    """Metrics that no birth announced."""

    first: str  #: what is known of the first: its alias, or its name
    where: str
    how_many: int


class Read(NamedTuple):
    """What the metrics of one message say."""

    samples: list[Sample]
    unknown: Unknown | None  #: only a birth can tell what these mean
    misfit: RefusedError | None  #: the first value that does not fit its type


class Origin(NamedTuple):
    """Where a message comes from, and when it was received."""

    place: SparkplugTopic
    payload: Payload
    received: datetime


def read(origin: Origin, birth: Birth | None, *, is_birth: bool = False) -> Read:
    """Return the values of a message, in its order; without a birth, of metrics in full only.

    A metric that speaks for itself has a name and a data type. What steers the protocol, and values
    of types that are not read here (DataSet, Template), are left out.
    """
    samples: list[Sample] = []
    unknown: Unknown | None = None
    misfit: RefusedError | None = None
    for at, metric in enumerate(origin.payload.metrics):
        known = _find(metric, birth)
        if known is None:
            unknown = _more(unknown, metric, PLACES[at])
        elif not steers(known.name) and known.datatype not in UNREAD:
            try:
                samples.append(_sample(origin, known, metric, PLACES[at], is_birth=is_birth))
            except RefusedError as error:
                misfit = misfit or error
    return Read(samples, unknown, misfit)


def instant_of(payload: Payload, received: datetime) -> datetime:
    """Return when a message was made. Raises RefusedError for no such time."""
    millis = payload.timestamp
    return to_instant(from_millis(millis, "timestamp")) if millis else received


def _more(unknown: Unknown | None, metric: Metric, where: str) -> Unknown:
    if unknown is not None:
        return unknown._replace(how_many=unknown.how_many + 1)
    first = f"alias {metric.alias}" if metric.name is None else shown(metric.name)
    return Unknown(first, where, 1)


def _announced(metric: Metric, where: str) -> Announced:
    if not metric.name or len(metric.name) > MAX_NAME:
        raise refused(f"a metric of a birth has a name of 1 to {MAX_NAME} characters", where)
    if metric.datatype is None:
        raise refused(f"the metric {shown(metric.name)} lacks its data type", where)
    return Announced(metric.name, metric.alias, metric.datatype, _unit(metric.properties))


def _find(metric: Metric, birth: Birth | None) -> Announced | None:
    known = None
    if birth is not None:
        name, alias = metric.name, metric.alias
        if name is not None:
            known = birth.names.get(name)
        elif alias is not None:
            known = birth.aliases.get(alias)
    if known is None and metric.name and metric.datatype is not None:
        return Announced(metric.name, metric.alias, metric.datatype, "")
    return known


def _sample(
    origin: Origin, known: Announced, metric: Metric, where: str, *, is_birth: bool
) -> Sample:
    place, payload = origin.place, origin.payload
    millis = metric.timestamp or payload.timestamp
    return Sample(
        group=place.group,
        edge_node=place.edge,
        device=place.device,
        uuid=payload.uuid or "",
        name=known.name,
        alias=known.alias,
        value=_value(metric.value(known.datatype, where), known.datatype, where),
        unit=(_unit(metric.properties) if metric.properties else "") or known.unit,
        time=to_instant(from_millis(millis, where)) if millis else origin.received,
        is_historical=metric.is_historical,
        is_birth=is_birth,
        quality=quality_in(metric.properties) if metric.properties else GOOD,
        seq=payload.seq,
    )


def _value(value: MetricValue, datatype: int, where: str) -> Value:
    if isinstance(value, list | tuple):
        if datatype in DATES:
            return tuple(_date(item, where) for item in value)
        return tuple(value)
    if datatype in DATES and value is not None:
        return _date(value, where)
    return value  # type: ignore[return-value]  # a sequence is one of the two above


def _date(millis: object, where: str) -> datetime:
    if not isinstance(millis, int):
        raise refused(f"no point in time: {shown(millis)}", where)
    return to_instant(from_millis(millis, where)).astimezone(UTC)


def _type_name(datatype: int) -> str:
    return DataType(datatype).name if datatype <= _LAST_TYPE else f"UNKNOWN {datatype}"


def _unit(properties: Properties) -> str:
    return unit_in(properties)[:MAX_UNIT]
