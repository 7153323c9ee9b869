"""Which nodes and streams a call may read: what it asks for, within what its token may see.

A node that the token's policy leaves out is refused alike whether it exists or not; so is a node of
another organization and one that does not exist. Source ids that name exactly one path, and nothing
that the policy lets through, are refused; patterns are narrowed down without a word.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from wattwire.formats.ant_patterns import compile_pattern
from wattwire.solarnetwork.access import Signed
from wattwire.solarnetwork.dates import FIRST, LAST
from wattwire.solarnetwork.envelope import RefusedError
from wattwire.solarnetwork.query_parameters import Query, refuse
from wattwire.store import solarnetwork_data as data
from wattwire.store.solarnetwork_data import Node, SourceStream

MAX_STREAMS: Final = 2000  #: of one query for readings or rollups
MAX_SOURCES: Final = 100_000  #: of one list of sources

ACCESS_DENIED: Final = "ACCESS_DENIED"
UNKNOWN_OBJECT: Final = "UNKNOWN_OBJECT"
_WILD: Final = frozenset("*?")


def forbidden(reason: str) -> RefusedError:
    """Return the refusal of an object that the token may not see."""
    return RefusedError(403, reason)


def allowed_nodes(who: Signed, asked: Sequence[int]) -> list[int] | None:
    """Return the nodes that are meant and may be seen, None for all. Raises RefusedError 403."""
    if not asked:
        return None if who.policy.node_ids is None else sorted(who.policy.node_ids)
    allowed = [node_id for node_id in asked if who.policy.allows_node(node_id)]
    if not allowed:
        raise forbidden(ACCESS_DENIED)
    return allowed


async def find_nodes(db: Any, who: Signed, asked: Sequence[int]) -> list[Node]:
    """Return the nodes that are meant and may be seen. Raises RefusedError 403."""
    allowed = allowed_nodes(who, asked)
    found = await data.list_nodes(db, who.organization_id, allowed)
    if asked and len(found) < len(allowed or ()):
        raise forbidden(UNKNOWN_OBJECT)
    return found


def source_filter(who: Signed, asked: Iterable[str]) -> Callable[[str], bool]:
    """Return what tells whether a path is meant and may be seen. Raises RefusedError 403.

    It remembers what it said: many nodes have sources of the same names.
    """
    wanted = tuple(asked)
    exact = frozenset(text for text in wanted if not _WILD & set(text))
    patterns = [compile_pattern(text) for text in wanted if _WILD & set(text)]
    if exact and not patterns and not any(map(who.policy.allows_source, exact)):
        raise forbidden(ACCESS_DENIED)
    known: dict[str, bool] = {}

    def shows(path: str) -> bool:
        said = known.get(path)
        if said is None:
            meant = not wanted or path in exact or any(p.matches(path) for p in patterns)
            said = known[path] = meant and who.policy.allows_source(path)
        return said

    return shows


async def find_streams(db: Any, who: Signed, query: Query) -> list[SourceStream]:
    """Return the streams that a query for data is about, by node and path.

    Raises RefusedError: 403 for what may not be seen, 422 without a node and for too many streams.
    """
    if not query.node_ids and not query.stream_ids:
        refuse("nodeIds", "A node or stream ID is required.")
    shows = source_filter(who, query.source_ids)
    if query.node_ids:
        nodes = [node.id for node in await find_nodes(db, who, query.node_ids)]
    else:
        nodes = allowed_nodes(who, ()) or []
    streams = await data.list_streams(
        db,
        who.organization_id,
        node_ids=nodes or None,
        uuids=query.stream_ids or None,
        limit=MAX_STREAMS + 1,
    )
    if len(streams) > MAX_STREAMS:
        refuse("nodeIds", f"more than {MAX_STREAMS} streams; ask for fewer nodes at a time")
    return [stream for stream in streams if shows(stream.path)]


async def find_sources(db: Any, who: Signed, query: Query) -> list[tuple[int, str]]:
    """Return (node, path) of all sources that are meant and may be seen, by both."""
    shows = source_filter(who, query.source_ids)
    allowed = allowed_nodes(who, query.node_ids)
    if query.node_ids:
        await find_nodes(db, who, query.node_ids)
    found = await data.list_sources(
        db, who.organization_id, allowed, _range_of(query), limit=MAX_SOURCES + 1
    )
    if len(found) > MAX_SOURCES:
        refuse("nodeIds", f"more than {MAX_SOURCES} sources; ask for fewer nodes at a time")
    return [(node, path) for node, path in found if shows(path)]


def _range_of(query: Query) -> tuple[datetime, datetime] | None:
    if query.start is None and query.end is None:
        return None
    return query.start or FIRST, query.end or LAST
