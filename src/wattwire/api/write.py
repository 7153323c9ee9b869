"""`POST /api/v1/write`: InfluxDB line protocol in, with the semantics of InfluxDB v2.

Telegraf and InfluxDB's clients can be pointed at the hub: they add `/api/v2/write` to its address.
Errors here carry InfluxDB's `code` and `message` beside the members that every problem has.
https://docs.influxdata.com/influxdb/v2/api/#operation/PostWrite
"""

import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from wattwire.api import ingest
from wattwire.api.contract import Origin
from wattwire.api.identity import Authorized, Call
from wattwire.api.incoming import read_body
from wattwire.api.problems import WRITE_PATHS, Problem, documented
from wattwire.formats import line_protocol
from wattwire.model import Reading, RefusedError
from wattwire.store import organizations

router = APIRouter(tags=["readings"])
LINES: Final = Origin(source="http", format="line_protocol")

_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "Lines. May be sent with `Content-Encoding: gzip`.",
        "content": {
            "text/plain": {
                "schema": {"type": "string"},
                "example": "power,device=meter-1 active_power_w=100 1748779200000000000",
            }
        },
    }
}
Org = Annotated[
    str | None,
    Query(
        max_length=200, description="Name or id of the organization; must be the token's, if given."
    ),
]
Bucket = Annotated[
    str | None, Query(max_length=255, description="Any; kept for InfluxDB's clients.")
]
Precision = Annotated[str, Query(max_length=8, description="`ns`, `us`, `ms` or `s`.")]


@router.post(
    WRITE_PATHS[0], status_code=204, responses=documented(404, 413, 415), openapi_extra=_BODY
)
async def write_lines(
    call: Authorized,
    request: Request,
    org: Org = None,
    bucket: Bucket = None,  # noqa: ARG001 - every client sends it; there is one place to write to
    precision: Precision = "ns",
) -> Response:
    """Hand over line protocol. 204 means that every line is durable.

    A line that cannot be read makes the answer 400 and nothing is taken, as in InfluxDB. Lines that
    can be read but not taken (an implausible time, an unknown device) make it 422: they are in
    quarantine and the others are stored.
    """
    return await _write(call, request, org, precision)


@router.post(
    WRITE_PATHS[1], status_code=204, responses=documented(404, 413, 415), openapi_extra=_BODY
)
async def write_lines_v2(
    call: Authorized,
    request: Request,
    org: Org = None,
    bucket: Bucket = None,  # noqa: ARG001 - as above
    precision: Precision = "ns",
) -> Response:
    """Hand over line protocol under the address that InfluxDB's clients use."""
    return await _write(call, request, org, precision)


async def _write(call: Call, request: Request, org: str | None, precision: str) -> Response:
    await _check_organization(call, org)
    now = time.time_ns() // 1000
    body = await read_body(request)
    try:
        lines = line_protocol.decode(body, now, precision=precision)
    except RefusedError as error:
        raise Problem(413 if "payload has" in error.reason else 400, error.reason) from error
    await _refuse_unreadable(call, lines)
    await _take(call, lines, now)
    return Response(status_code=204)


async def _check_organization(call: Call, org: str | None) -> None:
    """Refuse to write into another organization than the token's, or one that is not there."""
    if not org or org == str(call.organization_id):
        return
    own = await organizations.find(call.pool, call.organization_id)
    if own is None or own.name != org:
        raise Problem(404, f'organization name "{org}" not found')


async def _refuse_unreadable(call: Call, lines: list[line_protocol.Line]) -> None:
    """Nothing is taken when a line cannot be read. What cannot be read is kept."""
    bad = [(line, line.result) for line in lines if isinstance(line.result, RefusedError)]
    if not bad:
        return
    for line, fault in bad[: ingest.MAX_KEPT]:
        await ingest.keep(call, LINES, line.raw, fault)
    line, fault = bad[0]
    shown = line.raw[:200].decode(errors="replace")
    errors = [{"field": f.where, "message": f.reason, "rule": "refused"} for _, f in bad[:50]]
    raise Problem(400, f"unable to parse '{shown}': {fault}", errors=errors)


async def _take(call: Call, lines: list[line_protocol.Line], now: int) -> None:
    """Store what can be stored; raise the partial write's 422 for the rest, after that."""
    verdicts = [line.result for line in lines]
    await ingest.judge(call, verdicts, now)
    await ingest.accept(call, [v for v in verdicts if isinstance(v, Reading)])
    faults = [
        (line, v) for line, v in zip(lines, verdicts, strict=True) if isinstance(v, RefusedError)
    ]
    if not faults:
        return
    for line, fault in faults[: ingest.MAX_KEPT]:
        await ingest.keep(call, LINES, line.raw, fault)
    errors = [
        {"field": f"line {line.number} {f.where}".rstrip(), "message": f.reason, "rule": "refused"}
        for line, f in faults[:50]
    ]
    raise Problem(
        422,
        f"failure writing points to database: partial write: {faults[0][1].reason} "
        f"dropped={len(faults)}",
        slug="partial-write",
        errors=errors,
    )
