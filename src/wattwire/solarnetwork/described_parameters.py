"""The parameters of this face's calls as its OpenAPI document has them.

What they mean is read by `query_parameters`; names, bounds and words are taken from there.
"""

from typing import Any, Final

from wattwire.api.fields import BIGINT, INTEGER
from wattwire.solarnetwork.aggregations import Aggregation
from wattwire.solarnetwork.query_parameters import (
    MAX_NAMES,
    MAX_NODES,
    MAX_PATH,
    MAX_PATTERNS,
    MAX_RESULTS,
    READING_TYPES,
)

Described = dict[str, Any]

_DATE_PATTERN: Final = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?Z?$"
_LOCAL_PATTERN: Final = _DATE_PATTERN.replace("Z?", "")
_NUMBER: Final = {"type": "integer", "format": "int64", "minimum": 1, "maximum": BIGINT}
_PATH: Final = {"type": "string", "minLength": 1, "maxLength": MAX_PATH}


def _query(name: str, text: str, schema: Described, example: Any = None) -> Described:
    found = {"name": name, "in": "query", "description": text, "schema": schema}
    return found if example is None else {**found, "example": example}


def _list(name: str, text: str, items: Described, bound: int, example: Any = None) -> Described:
    schema = {"type": "array", "items": items, "minItems": 1, "maxItems": bound}
    return _query(name, text, schema, example) | {"style": "form", "explode": False}


def _flag(name: str, text: str) -> Described:
    return _query(name, text, {"type": "boolean", "default": False})


def _date(name: str, text: str, pattern: str, example: Any = None) -> Described:
    return _query(name, text, {"type": "string", "pattern": pattern}, example)


HOOK_ID: Final[Described] = {
    "name": "hook_id",
    "in": "path",
    "required": True,
    "description": "The hook's number.",
    "schema": {"type": "integer", "minimum": 1, "maximum": INTEGER},
    "example": 1,
}
LOCALE: Final[Described] = {
    "name": "Accept-Language",
    "in": "header",
    "description": "The language of texts: en, de, es or fr; others are answered in English.",
    "schema": {"type": "string", "maxLength": 200, "pattern": "^[ -~]*$"},
    "example": "de-AT, de;q=0.9, en;q=0.5",
}

NODES: Final = (
    _query("nodeId", "The node: the number of a device.", _NUMBER),
    _list("nodeIds", "Several nodes, with commas.", _NUMBER, MAX_NODES, [1]),
)
NODE: Final = (
    _query("nodeId", "The node: the number of a device.", _NUMBER, 1) | {"required": True},
)
SOURCES: Final = (
    _query(
        "sourceId",
        "The source, or a pattern: ? is one character, * any but a slash, ** any at all.",
        _PATH,
    ),
    _list("sourceIds", "Several sources or patterns, with commas.", _PATH, MAX_PATTERNS),
)
STREAMS: Final = (
    _list(
        "streamIds",
        "Streams by their ids, in place of nodes.",
        {"type": "string", "format": "uuid"},
        MAX_NODES,
    ),
)
RANGE: Final = (
    _date("startDate", "From when on, in UTC.", _DATE_PATTERN, "2020-06-01T00:00"),
    _date("endDate", "Until before when, in UTC.", _DATE_PATTERN, "2020-06-02T00:00"),
    _date("localStartDate", "From when on, in the zone of each node.", _LOCAL_PATTERN),
    _date("localEndDate", "Until before when, in the zone of each node.", _LOCAL_PATTERN),
)
PAGE: Final = (
    _query(
        "offset", "How many results are passed over.", {"type": "integer", "minimum": 0}, example=0
    ),
    _query(
        "max",
        "The most results of one answer.",
        {"type": "integer", "minimum": 1, "maximum": MAX_RESULTS, "default": MAX_RESULTS},
    ),
    _flag("withoutTotalResultsCount", "Whether totalResults is left out."),
    _query(
        "sorts[0].sortKey",
        "By what results are ordered first; sorts[1] and so on come after it.",
        {"type": "string", "enum": ["created", "node", "source"]},
    ),
    _flag("sorts[0].descending", "Whether that order is turned around."),
)
AGGREGATIONS: Final = (
    _query(
        "aggregation",
        "What readings are put together to. Over 7 days minutes become hours, over 32 days hours "
        "become days, over 731 days days become months.",
        {"type": "string", "enum": [some.title for some in Aggregation]},
        Aggregation.HOUR.title,
    ),
    _query(
        "aggregationKey",
        "The same by its key, as events name it.",
        {"type": "string", "enum": [some.key for some in Aggregation]},
    ),
)
MOST_RECENT: Final = (
    _flag("mostRecent", "Only the last of each source, of the 90 days before today."),
)
WITH_NODES: Final = (_flag("withNodeIds", "Name nodes even when only one is asked about."),)
_KINDS: Final = {"": "", "instantaneous": "levels", "accumulating": "registers", "status": "texts"}
NAMES: Final = tuple(
    _list(
        f"{kind}PropertyNames" if kind else "propertyNames",
        f"Only these properties{f' among {what}' if what else ''}.",
        _PATH,
        MAX_NAMES,
    )
    for kind, what in _KINDS.items()
)
READING: Final = (
    _query(
        "readingType",
        "What is read: the rise between two dates by one of four rules, or the value at one.",
        {"type": "string", "enum": [*READING_TYPES.values(), *READING_TYPES]},
        "Difference",
    )
    | {"required": True},
    _query(
        "tolerance",
        "How far from a date values may lie: an ISO 8601 period of years, months, weeks, days.",
        {
            "type": "string",
            # Anchored apart from "P" alone, which is no period.
            "pattern": r"^P(?=\d)(\d{1,4}Y)?(\d{1,4}M)?(\d{1,4}W)?(\d{1,5}D)?$",
            "default": "P1M",
        },
        "P1M",
    ),
)
DEFAULT_NODE: Final = (
    _query("nodeId", "The node of datums that name none.", _NUMBER),
)  # fmt: skip


def in_path(name: str) -> Described:
    """Return a parameter of a call that is refused whatever is in it."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": "Not looked at.",
        "schema": {"type": "string", "minLength": 1, "pattern": "^[A-Za-z0-9]+$"},
        "example": "1",
    }
