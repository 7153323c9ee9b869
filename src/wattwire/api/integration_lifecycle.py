"""An integration copied, and what stands in the way of deleting one."""

from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from wattwire.api.fields import IntegrationId
from wattwire.api.identity import Authorized
from wattwire.api.integrations import IntegrationView, view
from wattwire.api.once import Change, IdempotencyKey, once
from wattwire.api.problems import Problem, documented, not_found
from wattwire.store import integrations
from wattwire.store.integrations import IntegrationFields
from wattwire.store.ledger import Counters

router = APIRouter(prefix="/api/v1/integrations/{integration_id}", tags=["integrations"])

LONGEST_NAME: Final = 200
_MOST_COPIES: Final = 1000


@router.post(
    "/duplicate", status_code=201, response_model=IntegrationView, responses=documented(404, 409)
)
async def duplicate_integration(
    call: Authorized, integration_id: IntegrationId, idempotency_key: IdempotencyKey = None
) -> Response:
    """Make a paused copy, secrets included, named `… (copy)`; nothing of its queue or ledger."""

    async def work(now: Change) -> IntegrationView:
        old = await integrations.find(now.db, call.organization_id, integration_id, lock=True)
        if old is None:
            raise not_found("integration", integration_id)
        name = await _free_name(now.db, call.organization_id, old.name)
        fields = {field: getattr(old, field) for field in IntegrationFields.__dataclass_fields__}
        copy = replace(IntegrationFields(**fields), name=name, enabled=False)
        row = await integrations.create(now.db, call.organization_id, old.type, copy)
        detail = {"name": row.name, "type": row.type, "copy_of": integration_id}
        await now.record("integration.created", row.id, detail)
        return view(row)

    return await once(call, idempotency_key, 201, work)


async def _free_name(db: Any, organization_id: Any, name: str) -> str:
    """Return the name of a copy that no integration has yet."""
    for number in range(1, _MOST_COPIES):
        free = copy_name(name, number)
        if not await integrations.find_by_name(db, organization_id, free):
            return free
    raise Problem(409, f"There are {_MOST_COPIES} copies of {name}: rename some.")


def copy_name(name: str, number: int) -> str:
    """Return the name of the so-manieth copy, within what a name may be long."""
    ending = " (copy)" if number == 1 else f" (copy {number})"
    return name[: LONGEST_NAME - len(ending)] + ending


def still_queued(name: str, counters: Counters) -> Problem:
    """Return the problem that an integration cannot go yet, with what waits and how to go on."""
    queued = counters.waiting + counters.in_flight
    return Problem(
        409,
        f"{queued} messages of {name} are still queued ({counters.waiting} waiting, "
        f"{counters.in_flight} in flight; {counters.dead} dead): wait until they are delivered, "
        "or repeat with ?discard=true to discard them.",
        slug="still-queued",
        queued=queued,
        waiting=counters.waiting,
        in_flight=counters.in_flight,
        dead=counters.dead,
    )
