"""The parameters of SolarQuery's calls, read into one value. What is not known is ignored.

What SolarNetwork has and the hub has not (virtual nodes, metadata and tag filters, partial
aggregation) is refused with its name: an answer that leaves such a condition out would be wrong.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, NoReturn, TypeVar
from uuid import UUID

from wattwire.solarnetwork.aggregations import Aggregation, parse_aggregation
from wattwire.solarnetwork.dates import Period, parse_local, parse_period, parse_utc
from wattwire.solarnetwork.envelope import RefusedError

MAX_RESULTS: Final = 1000  #: default and ceiling of a page
MAX_NODES: Final = 1000
MAX_PATTERNS: Final = 50
MAX_NAMES: Final = 200
MAX_PATH: Final = 255
MAX_SORTS: Final = 8

UNSUPPORTED: Final = (
    "combiningType", "nodeIdMaps", "sourceIdMaps", "partialAggregation", "metadataFilter", "tags",
    "tag", "query", "location", "locationId", "locationIds", "dataPath", "type",
)  # fmt: skip
READING_TYPES: Final = {
    "at": "CalculatedAt",
    "atd": "CalculatedAtDifference",
    "diff": "NearestDifference",
    "delta": "Difference",
    "change": "DifferenceWithin",
}
_SORT_KEYS: Final = {"created": "time", "time": "time", "node": "node", "source": "source"}
_WHOLE: Final = re.compile(r"[+-]?\d{1,18}", re.ASCII)
#: SolarNetwork's own library says `key`, its documentation `sortKey`.
_SORT: Final = re.compile(r"sorts\[(\d{1,2})\]\.(?:(sortKey|key)|(descending))", re.ASCII)
_BOOLEANS: Final = {
    "true": True, "on": True, "yes": True, "1": True,
    "false": False, "off": False, "no": False, "0": False, "": False,
}  # fmt: skip

T = TypeVar("T")


class Sort(NamedTuple):
    """By what results are ordered."""

    key: str  #: time, node or source
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """What a call asks for. Empty tuples and None mean: not restricted."""

    node_ids: tuple[int, ...]
    source_ids: tuple[str, ...]  #: paths and Ant patterns
    stream_ids: tuple[UUID, ...]
    start: datetime | None
    end: datetime | None
    local_start: datetime | None  #: naive: in the zone of each node
    local_end: datetime | None
    aggregation: Aggregation | None
    most_recent: bool
    offset: int
    limit: int
    counted: bool  #: whether `totalResults` is wanted
    with_node_ids: bool
    sorts: tuple[Sort, ...]
    names: frozenset[str] | None  #: of properties of any kind
    names_by_kind: tuple[tuple[str, frozenset[str]], ...]  #: of channels of a kind

    def shows(self, name: str, kind: str) -> bool:
        """Tell whether a property is wanted."""
        if self.names is None and not self.names_by_kind:
            return True
        by_kind = dict(self.names_by_kind).get("accumulating" if kind == "interval" else kind)
        return name in (self.names or ()) or name in (by_kind or ())


class ReadingQuery(NamedTuple):
    """What `datum/reading` asks for beside the rest."""

    type: str  #: one of READING_TYPES' names
    tolerance: Period


def refuse(location: str, message: str, rejected: str | None = None) -> NoReturn:
    """Raise the refusal of a parameter."""
    fault: dict[str, Any] = {"location": location, "code": "invalid"}
    if rejected is not None:
        fault["rejectedValue"] = rejected[:100]
    fault["message"] = message
    raise RefusedError(422, message, "VAL.00003", errors=[fault])


def parse_query(items: Sequence[tuple[str, str]]) -> Query:
    """Return what the parameters ask for. Raises RefusedError, naming the first that is wrong."""
    given = _Given(items)
    for name in UNSUPPORTED:
        if given.one(name):
            refuse(name, f"{name} is not supported by this hub")
    return Query(
        node_ids=tuple(dict.fromkeys(given.each("nodeId", _whole, MAX_NODES))),
        source_ids=tuple(dict.fromkeys(given.each("sourceId", _path, MAX_PATTERNS))),
        stream_ids=tuple(dict.fromkeys(given.each("streamId", _uuid, MAX_NODES))),
        start=given.date("startDate", parse_utc),
        end=given.date("endDate", parse_utc),
        local_start=given.date("localStartDate", parse_local),
        local_end=given.date("localEndDate", parse_local),
        aggregation=_aggregation(given),
        most_recent=given.flag("mostRecent"),
        offset=max(0, given.whole("offset", 0)),
        limit=_limit(given.whole("max", MAX_RESULTS)),
        counted=not given.flag("withoutTotalResultsCount"),
        with_node_ids=given.flag("withNodeIds"),
        sorts=_sorts(items),
        names=_names(given, "propertyName"),
        names_by_kind=_names_by_kind(given),
    )


def parse_reading_query(items: Sequence[tuple[str, str]]) -> ReadingQuery:
    """Return what is asked of `datum/reading` alone. Raises RefusedError."""
    given = _Given(items)
    text = given.one("readingType")
    if not text:
        refuse("readingType", "readingType is required")
    name = READING_TYPES.get(text, text)
    if name not in READING_TYPES.values():
        refuse("readingType", "unknown readingType", text)
    tolerance = given.one("tolerance") or "P1M"
    try:
        return ReadingQuery(name, parse_period(tolerance))
    except ValueError as error:
        refuse("tolerance", str(error), tolerance)


class _Given:
    """Parameters by name. Lists are given with commas, by repetition, or under the singular."""

    def __init__(self, items: Sequence[tuple[str, str]]) -> None:
        self._items = items

    def one(self, name: str) -> str:
        """Return the first value, or ''."""
        return next((value for key, value in self._items if key == name), "")

    def each(self, singular: str, parse: Callable[[str, str], T], bound: int) -> list[T]:
        names = (singular, f"{singular}s")
        texts = [
            text.strip()
            for name, value in self._items
            if name in names
            for text in value.split(",")
            if text.strip()
        ]
        if len(texts) > bound:
            refuse(names[1], f"{names[1]} has at most {bound} items, not {len(texts)}")
        return [parse(names[1], text) for text in texts]

    def date(self, name: str, parse: Callable[[str], datetime]) -> datetime | None:
        text = self.one(name)
        try:
            return parse(text) if text else None
        except ValueError as error:
            raise RefusedError(422, str(error)) from None

    def flag(self, name: str) -> bool:
        text = self.one(name)
        if text.lower() not in _BOOLEANS:
            refuse(name, f"{name} is true or false", text)
        return _BOOLEANS[text.lower()]

    def whole(self, name: str, default: int) -> int:
        text = self.one(name)
        return _whole(name, text) if text else default


def _whole(name: str, text: str) -> int:
    if not _WHOLE.fullmatch(text):
        refuse(name, f"{name} is a whole number", text)
    return int(text)


def _path(name: str, text: str) -> str:
    if len(text) > MAX_PATH:
        refuse(name, f"a source ID has at most {MAX_PATH} characters", text)
    return text


def _uuid(name: str, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        refuse(name, f"{name} are UUIDs", text)


def _limit(asked: int) -> int:
    return asked if 1 <= asked <= MAX_RESULTS else MAX_RESULTS


def _aggregation(given: _Given) -> Aggregation | None:
    for name in ("aggregation", "aggregationKey"):
        text = given.one(name)
        if text:
            try:
                return parse_aggregation(text)
            except ValueError as error:
                refuse(name, str(error), text)
    return None


def _sorts(items: Sequence[tuple[str, str]]) -> tuple[Sort, ...]:
    keys: dict[int, str] = {}
    descending: set[int] = set()
    for name, value in items:
        if match := _SORT.fullmatch(name):
            if match[2]:
                keys[int(match[1])] = value
            elif _BOOLEANS.get(value.lower()):
                descending.add(int(match[1]))
    if len(keys) > MAX_SORTS:
        refuse("sorts", f"at most {MAX_SORTS} sorts are possible")
    # A key that SolarNetwork does not know does not order; it refuses nothing.
    return tuple(
        Sort(_SORT_KEYS[key], place in descending)
        for place, key in sorted(keys.items())
        if key in _SORT_KEYS
    )


def _names(given: _Given, singular: str) -> frozenset[str] | None:
    return frozenset(given.each(singular, _path, MAX_NAMES)) or None


def _names_by_kind(given: _Given) -> tuple[tuple[str, frozenset[str]], ...]:
    kinds = ("instantaneous", "accumulating", "status")
    found = ((kind, _names(given, f"{kind}PropertyName")) for kind in kinds)
    return tuple((kind, names) for kind, names in found if names)
