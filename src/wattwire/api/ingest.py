"""Readings from HTTP on their way into the log: each judged, the good taken, the rest kept."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from wattwire.api.contract import IntakeUnavailableError, Origin
from wattwire.api.identity import Call
from wattwire.api.problems import Problem
from wattwire.formats import json_readings
from wattwire.model import Reading, RefusedError, StatusChange

#: What of one batch is kept in quarantine item by item; beyond it, only the verdicts tell.
MAX_KEPT: Final = 1000
HTTP_JSON: Final = Origin(source="http", format="json")

Verdict = Reading | RefusedError


class Refusal(msgspec.Struct, frozen=True):
    """Why one item was refused."""

    index: int
    reason: str
    where: str
    quarantined: bool


class Taken(msgspec.Struct, frozen=True):
    """What became of a batch."""

    accepted: int
    refused: int
    items: Sequence[Refusal]


class _RawBody(msgspec.Struct):
    readings: list[msgspec.Raw]


async def take_json(call: Call, body: bytes, now: int) -> Taken:
    """Take the body of `POST /readings`. Raises Problem when nothing of it can be taken."""
    try:
        verdicts = json_readings.decode(body, now)
    except RefusedError as error:
        raise refused_whole(error) from error
    await judge(call, verdicts, now)
    good = [v for v in verdicts if isinstance(v, Reading)]
    refused = await _keep_items(call, body, verdicts) if len(good) < len(verdicts) else []
    if refused and not good:
        raise _nothing_taken(refused)
    await accept(call, good)
    return Taken(len(good), len(refused), refused)


def refused_whole(error: RefusedError) -> Problem:
    """Return the problem of a body that is not understood at all."""
    field = {"field": error.where or "body", "message": error.reason, "rule": "refused"}
    status = 400 if error.reason.startswith("not JSON") else 422
    return Problem(status, error.reason, errors=[field])


async def judge(call: Call, verdicts: list[Verdict], now: int) -> None:
    """Replace readings that intake would refuse by the reason, in place."""
    good = [v for v in verdicts if isinstance(v, Reading)]
    try:
        await call.hub.intake.check_loading(call.organization_id, good, now)
    except RefusedError:
        for index, verdict in enumerate(verdicts):
            if isinstance(verdict, Reading):
                verdicts[index] = await _judge_one(call, verdict, now)


async def _judge_one(call: Call, reading: Reading, now: int) -> Verdict:
    try:
        await call.hub.intake.check_loading(call.organization_id, [reading], now)
    except RefusedError as error:
        return RefusedError(error.reason, error.where.removeprefix("readings[0]").lstrip("."))
    return reading


async def check(call: Call, readings: Sequence[Reading]) -> None:
    """Raise RefusedError for the first reading that cannot be taken."""
    now = time.time_ns() // 1000
    await call.hub.intake.check_loading(call.organization_id, readings, now)


async def accept(
    call: Call, readings: Sequence[Reading], statuses: Sequence[StatusChange] = ()
) -> None:
    """Return once everything is durable. Raises IntakeUnavailableError."""
    if not readings and not statuses:
        return
    try:
        await call.hub.intake.accept(call.organization_id, readings, statuses=statuses)
    except call.hub.intake_errors as error:
        raise IntakeUnavailableError(str(error)) from error


async def keep(call: Call, origin: Origin, raw: bytes, error: RefusedError) -> None:
    """Keep something refused in quarantine. Raises IntakeUnavailableError."""
    try:
        await call.hub.intake.keep(call.organization_id, origin, raw, error)
    except call.hub.intake_errors as fault:
        raise IntakeUnavailableError(str(fault)) from fault


async def _keep_items(call: Call, body: bytes, verdicts: Sequence[Verdict]) -> list[Refusal]:
    """Keep each refused item as a batch of its own, so that it can be mended and fed back alone."""
    raws = msgspec.json.decode(body, type=_RawBody).readings
    faults = [(i, v) for i, v in enumerate(verdicts) if isinstance(v, RefusedError)]
    kept = faults[:MAX_KEPT]
    await asyncio.gather(
        *(keep(call, HTTP_JSON, b'{"readings":[%b]}' % bytes(raws[i]), e) for i, e in kept)
    )
    return [
        Refusal(index, error.reason, _where(index, error), quarantined=place < MAX_KEPT)
        for place, (index, error) in enumerate(faults)
    ]


def _where(index: int, error: RefusedError) -> str:
    item = f"readings[{index}]"
    return error.where if error.where.startswith(item) else f"{item}.{error.where}".rstrip(".")


def _nothing_taken(refused: Sequence[Refusal]) -> Problem:
    errors = [{"field": r.where, "message": r.reason, "rule": "refused"} for r in refused[:50]]
    return Problem(
        422,
        f"None of the {len(refused)} readings can be taken.",
        errors=errors,
        accepted=0,
        refused=len(refused),
        items=msgspec.to_builtins(refused[:MAX_KEPT]),
    )
