"""`/solarquery`: what was read and what it adds up to, as SolarNetwork's clients ask for it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from wattwire.api.identity import face_of
from wattwire.rollups.buckets import zone_of
from wattwire.solarnetwork.access import SignedBy, signed
from wattwire.solarnetwork.dates import local_text, millis
from wattwire.solarnetwork.datum_lists import list_datum, span_of
from wattwire.solarnetwork.datum_readings import list_readings
from wattwire.solarnetwork.envelope import EnvelopeRoute, RefusedError, answer
from wattwire.solarnetwork.query_parameters import (
    Query,
    parse_query,
    parse_reading_query,
    refuse,
)
from wattwire.solarnetwork.query_sources import find_nodes, find_sources, find_streams
from wattwire.store import solarnetwork_data as data

BASE: Final = "/solarquery/api/v1/sec"

router = APIRouter(prefix=BASE, route_class=EnvelopeRoute, include_in_schema=False)


def _query(request: Request) -> Query:
    return parse_query(request.query_params.multi_items())


def _pool(request: Request) -> Any:
    return face_of(request).hub.pool


@router.get("/whoami")
async def get_solarquery_whoami(who: SignedBy) -> Response:
    """Tell whose token it is."""
    return answer({"userId": who.user_id, "token": who.token_id, "tokenType": who.kind})


@router.get("/nodes")
async def list_solarquery_nodes(who: SignedBy, request: Request) -> Response:
    """List the nodes that the token may see."""
    return answer([node.id for node in await find_nodes(_pool(request), who, ())])


@router.get("/nodes/sources")
async def list_solarquery_node_sources(who: SignedBy, request: Request) -> Response:
    """List the sources of all nodes that the token may see."""
    return await _sources(who, request)


@router.get("/range/sources")
async def list_solarquery_sources(who: SignedBy, request: Request) -> Response:
    """List the sources of nodes; of one node just their ids."""
    return await _sources(who, request)


async def _sources(who: SignedBy, request: Request) -> Response:
    query = _query(request)
    found = await find_sources(_pool(request), who, query)
    if len(query.node_ids) == 1 and not query.with_node_ids:
        return answer([path for _, path in found])
    return answer([{"nodeId": node, "sourceId": path} for node, path in found])


@router.get("/range/interval")
async def get_solarquery_interval(who: SignedBy, request: Request) -> Response:
    """Tell between which dates a node has readings; nothing when it has none."""
    query = _query(request)
    if len(query.node_ids) != 1:
        refuse("nodeId", "One node ID is required.")
    pool = _pool(request)
    streams = await find_streams(pool, who, query)
    if not streams:
        return answer()
    span = span_of(streams[0], query)
    found = await data.find_interval(pool, [one.id for one in streams], span.start, span.end)
    return answer(found and _interval(*found, streams[0].time_zone))


def _interval(first: datetime, last: datetime, time_zone: str) -> dict[str, Any]:
    """Return what SolarNetwork tells of a range; counts are of days, months and years begun."""
    zone = zone_of(time_zone)
    start, end = first.astimezone(zone), last.astimezone(zone)
    days = (end.replace(tzinfo=None) - start.replace(tzinfo=None)).days
    return {
        "timeZone": time_zone,
        "startDate": local_text(first, zone),
        "endDate": local_text(last, zone),
        "startDateMillis": millis(first),
        "endDateMillis": millis(last),
        "dayCount": days + 1,
        "monthCount": (end.year - start.year) * 12 + end.month - start.month + 1,
        "yearCount": end.year - start.year + 1,
    }


@router.get("/datum/list")
async def list_solarquery_datum(who: SignedBy, request: Request) -> Response:
    """List readings or aggregates."""
    return answer(await list_datum(_pool(request), who, _query(request)))


@router.get("/datum/mostRecent")
async def list_solarquery_most_recent(who: SignedBy, request: Request) -> Response:
    """List the last reading or aggregate of each source."""
    items = [*request.query_params.multi_items(), ("mostRecent", "true")]
    query = parse_query([item for item in items if item != ("mostRecent", "false")])
    return answer(await list_datum(_pool(request), who, query))


@router.get("/datum/reading")
async def list_solarquery_readings(who: SignedBy, request: Request) -> Response:
    """Tell what meters say at dates, or by how much they rose between them."""
    asked = parse_reading_query(request.query_params.multi_items())
    return answer(await list_readings(_pool(request), who, _query(request), asked))


async def _refuse_unsupported(request: Request) -> Response:
    """Refuse: the hub has nothing for this call."""
    path = request.url.path.removeprefix(BASE)
    raise RefusedError(422, f"Illegal argument: {path} is not supported by this hub")


#: Calls of SolarNetwork's clients that the hub has nothing for: told so, rather than not found.
UNSUPPORTED_CALLS: Final[Sequence[str]] = (
    "/datum/stream/datum",
    "/datum/stream/reading",
    "/datum/meta/{node_id}",
    "/datum/meta/{node_id}/{source_id:path}",
    "/nodes/meta",
    "/users/meta",
    "/location",
    "/location/datum/list",
)
for _place, _path in enumerate(UNSUPPORTED_CALLS):
    router.add_api_route(
        _path,
        _refuse_unsupported,
        methods=["GET"],
        name=f"refuse_solarquery_{_place}",
        dependencies=[Depends(signed)],
    )
