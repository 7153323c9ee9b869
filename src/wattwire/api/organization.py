"""`/api/v1/organization`: the caller's own, and what was changed in it by whom."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from wattwire.api.fields import EXAMPLE_UUID, Body, Name, Search, Timestamp, View
from wattwire.api.identity import Authorized
from wattwire.api.once import Change, change
from wattwire.api.paging import Cursors, CursorText, Limit, Page, page
from wattwire.api.problems import documented, not_found
from wattwire.store import audit, organizations

router = APIRouter(prefix="/api/v1", tags=["organization"])


class OrganizationView(View):
    """A customer, and how its readings are treated."""

    id: UUID = Field(description="The organization.", examples=[EXAMPLE_UUID])
    name: str = Field(description="Its name.", examples=["Acme"])
    auto_register: bool = Field(
        description="Unknown devices are registered; else they go to quarantine.", examples=[True]
    )
    detect_resets: bool = Field(
        description="A register that falls starts again from zero.", examples=[False]
    )
    created_at: Timestamp = Field(description="When it was made.")


class OrganizationUpdate(Body):
    """What to change; what is left out stays."""

    name: Name | None = Field(default=None, description="Its name.", examples=["Acme Energy"])
    auto_register: bool | None = Field(
        default=None, description="Register unknown devices.", examples=[False]
    )
    detect_resets: bool | None = Field(
        default=None, description="Registers that fall start again from zero.", examples=[True]
    )


class AuditView(View):
    """One change."""

    id: int = Field(description="Number of the change.", examples=[11])
    at: Timestamp = Field(description="When.")
    actor: str = Field(
        description="Who: account, token or command line.", examples=["account:a@example.com"]
    )
    action: str = Field(description="What.", examples=["device.deleted"])
    object: str = Field(description="Of what.", examples=["7"])
    detail: dict[str, Any] = Field(
        description="More; never a secret.", examples=[{"key": "meter-1"}]
    )


@router.get("/organization", response_model=OrganizationView, responses=documented())
async def get_organization(call: Authorized) -> Any:
    """Show the organization that the token belongs to."""
    return await organizations.find(call.pool, call.organization_id)


@router.patch("/organization", response_model=OrganizationView, responses=documented(409))
async def update_organization(call: Authorized, body: OrganizationUpdate) -> Any:
    """Change how readings are treated from now on."""

    async def work(now: Change) -> organizations.Organization:
        given = body.model_dump(exclude_none=True)
        row = await organizations.update(now.db, call.organization_id, **given)
        if row is None:
            raise not_found("organization", call.organization_id)
        await now.record("organization.updated", row.id, given)
        return row

    return await change(call, work)


@router.get("/audit", response_model=Page[AuditView], responses=documented())
async def list_audit(
    call: Authorized,
    limit: Limit = 100,
    cursor: CursorText = None,
    action: Annotated[Search, Query(description="Only this action.")] = None,
) -> Any:
    """List who changed what, newest first."""
    cursors = Cursors("audit", (action,), int)
    rows = await audit.list_page(
        call.pool,
        call.organization_id,
        before=cursors.decode(cursor),
        action=action,
        limit=limit + 1,
    )
    return page(rows, limit, cursors, lambda row: row.id)
