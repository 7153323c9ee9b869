"""`/solarin`: the bulk upload of SolarNetwork's nodes, over a certificate or signed by a token.

A node's client certificate, as SolarNetwork knows its nodes, says for which node the datums are,
and lets none through for another. A token says whose nodes may be written to, and each datum names
its node; without a name it is the request's `nodeId`, or the one node that the policy allows.

What is answered as taken is durable. A datum that cannot be understood is left out of the answer
and kept in quarantine; one for a node or source that the caller may not write to refuses the whole
request.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from wattwire.api.contract import Hub, Origin
from wattwire.api.identity import face_of
from wattwire.api.incoming import read_body
from wattwire.api.problems import Problem
from wattwire.model import Reading, Shape, to_instant
from wattwire.model import RefusedError as UnfitError
from wattwire.solarnetwork.access import Signed, Uploader
from wattwire.solarnetwork.bulk_upload import (
    Columns,
    Item,
    NodeDatum,
    Passed,
    StreamDatum,
    columns_of,
    named_values,
    read_item,
    split,
)
from wattwire.solarnetwork.dates import utc_text
from wattwire.solarnetwork.envelope import (
    BUSY,
    EnvelopeRoute,
    RefusedError,
    answer,
    check_json,
)
from wattwire.solarnetwork.query_parameters import parse_query, refuse
from wattwire.solarnetwork.query_sources import (
    ACCESS_DENIED,
    UNKNOWN_OBJECT,
    find_nodes,
    forbidden,
)
from wattwire.store import solarnetwork_data as data
from wattwire.store.solarnetwork_data import SourceStream

#: What of one request is kept in quarantine, datum by datum.
MAX_KEPT: Final = 1000
ORIGIN: Final = Origin(source="http", format="solarnetwork")

router = APIRouter(prefix="/solarin", route_class=EnvelopeRoute, include_in_schema=False)


class Placed(NamedTuple):
    """A datum whose stream is known."""

    node_id: int
    key: str  #: of the device
    source_id: str
    time: int  #: µs
    columns: Columns
    stream_id: UUID | None  #: when the datum came under it


Verdict = Placed | UnfitError | Passed


@router.post("/bulkCollector.do")
@router.post("/u/bulkCollector.do", name="upload_datum_as_user")
@router.post("/api/v1/sec/datum", name="upload_datum_by_token")
async def upload_datum(who: Uploader, request: Request) -> Response:
    """Take datums; answer with the ids of those that are durable now, in order."""
    hub = face_of(request).hub
    now = time.time_ns() // 1000
    try:
        raws = split(await _body(request))
    except UnfitError as error:
        raise RefusedError(422, f"Malformed JSON: {error.reason}") from None
    items = [read_item(raw, now) for raw in raws]
    verdicts = await _place(hub, who, items, _default_node(request, who))
    taken = await _take(hub, who, raws, verdicts, now)
    return answer({"datum": [_identity(one) for one in taken], "instructions": []})


async def _body(request: Request) -> bytes:
    check_json(request)
    try:
        return await read_body(request)
    except Problem as problem:
        if problem.status_code == 413:  # noqa: PLR2004 - the body is too large
            raise RefusedError(422, problem.detail, "WEB.00100") from None
        raise RefusedError(422, f"Illegal argument: {problem.detail}") from None


def _default_node(request: Request, who: Signed) -> int | None:
    """Return the node of datums that name none."""
    asked = parse_query(request.query_params.multi_items()).node_ids
    if len(asked) > 1:
        refuse("nodeId", "nodeId names one node")
    allowed = who.policy.node_ids or frozenset()
    return asked[0] if asked else next(iter(allowed)) if len(allowed) == 1 else None


async def _place(
    hub: Hub, who: Signed, items: Sequence[Item], default: int | None
) -> list[Verdict]:
    """Find the device of each datum. Raises RefusedError 403 for what may not be written to."""
    named = [item.node_id or default for item in items if isinstance(item, NodeDatum)]
    asked = {node_id for node_id in named if node_id is not None}
    if not all(who.policy.allows_node(node_id) for node_id in asked):
        raise forbidden(ACCESS_DENIED)
    nodes = await find_nodes(hub.pool, who, sorted(asked)) if asked else []
    keys = {node.id: node.key for node in nodes}
    streams = await _find_streams(hub, who, items)
    return [_placed(who, item, default, keys, streams) for item in items]


async def _find_streams(
    hub: Hub, who: Signed, items: Sequence[Item]
) -> Mapping[UUID, SourceStream]:
    uuids = {item.stream_id for item in items if isinstance(item, StreamDatum)}
    if not uuids:
        return {}
    found = await data.list_streams(
        hub.pool, who.organization_id, node_ids=None, uuids=list(uuids), limit=len(uuids)
    )
    if len(found) < len(uuids):
        raise forbidden(UNKNOWN_OBJECT)
    if not all(who.policy.allows_node(stream.node_id) for stream in found):
        raise forbidden(UNKNOWN_OBJECT)  # as if it were not there: an id gives nothing away
    return {stream.uuid: stream for stream in found}


def _placed(
    who: Signed,
    item: Item,
    default: int | None,
    keys: Mapping[int, str],
    streams: Mapping[UUID, SourceStream],
) -> Verdict:
    try:
        match item:
            case NodeDatum(node_id, source_id, at, properties):
                node = node_id or default
                if node is None:
                    return UnfitError("the datum names no node", "nodeId")
                placed = Placed(node, keys[node], source_id, at, columns_of(properties), None)
            case StreamDatum(stream_id, at, _):
                known = streams[stream_id]
                columns = columns_of(named_values(known, item))
                placed = Placed(known.node_id, known.key, known.path, at, columns, stream_id)
            case _:
                return item
    except UnfitError as error:
        return error
    if not who.policy.allows_source(placed.source_id):
        raise forbidden(ACCESS_DENIED)
    return placed


async def _take(
    hub: Hub, who: Signed, raws: Sequence[bytes], verdicts: list[Verdict], now: int
) -> list[Placed]:
    """Hand what is good to intake and the rest to quarantine; return once both are durable."""
    readings = _readings(verdicts)
    await _judge(hub, who, readings, verdicts, now)
    good = [place for place, verdict in enumerate(verdicts) if isinstance(verdict, Placed)]
    bad = [(place, v) for place, v in enumerate(verdicts) if isinstance(v, UnfitError)]
    try:
        if good:
            await hub.intake.accept(who.organization_id, [readings[place] for place in good])
        await asyncio.gather(
            *(
                hub.intake.keep(who.organization_id, ORIGIN, raws[place], error)
                for place, error in bad[:MAX_KEPT]
            )
        )
    except hub.intake_errors:
        raise RefusedError(429, BUSY[1], BUSY[0], headers={"Retry-After": "5"}) from None
    return [verdict for verdict in verdicts if isinstance(verdict, Placed)]


def _readings(verdicts: Sequence[Verdict]) -> dict[int, Reading]:
    """Return the reading of each good datum by its place; equal shapes are one object."""
    shapes: dict[Shape, Shape] = {}
    readings = {}
    for place, verdict in enumerate(verdicts):
        if isinstance(verdict, Placed):
            shape = Shape(verdict.key, verdict.source_id, verdict.columns.channels)
            shape = shapes.setdefault(shape, shape)
            columns = verdict.columns
            readings[place] = Reading(shape, verdict.time, columns.values, columns.texts)
    return readings


async def _judge(
    hub: Hub, who: Signed, readings: Mapping[int, Reading], verdicts: list[Verdict], now: int
) -> None:
    """Replace datums that intake would refuse by the reason, in place."""
    try:
        await hub.intake.check_loading(who.organization_id, list(readings.values()), now)
    except UnfitError:
        for place, reading in readings.items():
            try:
                await hub.intake.check_loading(who.organization_id, [reading], now)
            except UnfitError as error:
                verdicts[place] = error


def _identity(placed: Placed) -> dict[str, Any]:
    at = utc_text(to_instant(placed.time))
    if placed.stream_id is not None:
        return {"streamId": str(placed.stream_id), "timestamp": at}
    return {
        "kind": "n",
        "nodeId": placed.node_id,
        "objectId": placed.node_id,
        "sourceId": placed.source_id,
        "created": at,
        "timestamp": at,
    }
