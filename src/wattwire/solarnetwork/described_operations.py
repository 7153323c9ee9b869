"""What the OpenAPI document says of each route of this face, by the route's name."""

from dataclasses import dataclass
from typing import Any, Final

from wattwire.solarnetwork import described_parameters as known
from wattwire.solarnetwork.described_parameters import Described
from wattwire.solarnetwork.described_schemas import Schema, array, ref
from wattwire.solarnetwork.examples import BULK_DATUMS, HOOK

HOOKS: Final = "event hooks"
QUERY: Final = "datum queries"
UPLOAD: Final = "datum upload"
NOT_HERE: Final = "not supported"

TAGS: Final = {
    HOOKS: "What is sent where when an aggregate was updated.",
    QUERY: "What was read, and what it adds up to.",
    UPLOAD: "Readings of nodes.",
    NOT_HERE: "Calls of SolarNetwork's clients that the hub has nothing for: always refused.",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One route; its summary is the route's docstring."""

    tag: str
    #: Of `data` in the answer. None: there is none.
    data: Schema | None
    #: An answer, whole; by default one is put together from the schema.
    example: Any = None
    parameters: tuple[Described, ...] = ()
    body: str | None = None  #: name of the schema of the body
    body_example: Any = None
    statuses: tuple[int, ...] = ()  #: beside 401, 403, 422, 429
    data_optional: bool = False
    refused: bool = False  #: whatever is asked
    certificate: bool = False  #: a node's client certificate will do in place of a signature
    links: tuple[tuple[str, str], ...] = ()  #: (operation, expression of its hook_id)


_HOOK_ID: Final = (known.HOOK_ID,)
_SOURCES_OF: Final = (*known.NODES, *known.SOURCES, *known.RANGE, *known.WITH_NODES)
_SOURCE_LIST: Final = array({"oneOf": [{"type": "string"}, ref("NodeSource")]})
_DATUM: Final = (
    *known.NODES, *known.SOURCES, *known.STREAMS, *known.RANGE, *known.PAGE, *known.AGGREGATIONS,
    *known.NAMES,
)  # fmt: skip
_UPLOAD: Final = Operation(
    UPLOAD,
    ref("Taken"),
    parameters=known.DEFAULT_NODE,
    body="Upload",
    body_example=BULK_DATUMS,
    certificate=True,
)
_SAVED: Final = ("solaruser_get_hook", "solaruser_delete_hook")

OPERATIONS: Final[dict[str, Operation]] = {
    "solaruser_list_topics": Operation(HOOKS, array(ref("Topic")), parameters=(known.LOCALE,)),
    "solaruser_list_services": Operation(HOOKS, array(ref("Service")), parameters=(known.LOCALE,)),
    "solaruser_list_hooks": Operation(HOOKS, array(ref("Hook"))),
    "solaruser_save_hook": Operation(
        HOOKS,
        ref("Hook"),
        body="PostedHook",
        body_example=HOOK,
        statuses=(404,),
        links=tuple((name, "$response.body#/data/id") for name in _SAVED),
    ),
    "solaruser_get_hook": Operation(HOOKS, ref("Hook"), parameters=_HOOK_ID, statuses=(404,)),
    "solaruser_delete_hook": Operation(HOOKS, None, parameters=_HOOK_ID, statuses=(404,)),
    "get_solarquery_whoami": Operation(QUERY, ref("Identity")),
    "list_solarquery_nodes": Operation(QUERY, array({"type": "integer"}), [1]),
    "list_solarquery_node_sources": Operation(
        QUERY, _SOURCE_LIST, [{"nodeId": 1, "sourceId": "/power/1"}], parameters=_SOURCES_OF
    ),
    "list_solarquery_sources": Operation(QUERY, _SOURCE_LIST, ["/power/1"], parameters=_SOURCES_OF),
    "get_solarquery_interval": Operation(
        QUERY,
        ref("Interval"),
        parameters=(*known.NODE, *known.SOURCES, *known.RANGE),
        data_optional=True,
    ),
    "list_solarquery_datum": Operation(
        QUERY, ref("DatumPage"), parameters=(*_DATUM, *known.MOST_RECENT)
    ),
    "list_solarquery_most_recent": Operation(QUERY, ref("DatumPage"), parameters=_DATUM),
    "list_solarquery_readings": Operation(
        QUERY, ref("ReadingPage"), parameters=(*known.READING, *_DATUM)
    ),
    "upload_datum": _UPLOAD,
    "upload_datum_as_user": _UPLOAD,
    "upload_datum_by_token": _UPLOAD,
}
#: The same for all routes whose names begin so.
REFUSED: Final = "refuse_solarquery_"


def operation_of(route: str) -> Operation:
    """Return what is said of a route. Raises KeyError for one that nothing is said of."""
    if route.startswith(REFUSED):
        return Operation(NOT_HERE, None, refused=True)
    return OPERATIONS[route]
