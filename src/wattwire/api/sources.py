"""`/api/v1/sources`: other places that readings come from, such as another broker."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from wattwire.api.configured import Configured, read_settings, schema_of
from wattwire.api.fields import Body, Name, RowId, Timestamp, View
from wattwire.api.identity import Authorized
from wattwire.api.once import Change, IdempotencyKey, change, once
from wattwire.api.paging import Cursors, CursorText, Limit, Page, page
from wattwire.api.problems import documented, invalid, not_found
from wattwire.store import sources
from wattwire.store.sealing import SEALING, Sealer

router = APIRouter(prefix="/api/v1", tags=["sources"])
_CURSORS = Cursors("sources", (), int)
_EXAMPLE = {"host": "broker.example.com", "client_id": "hub-1", "topics": [{"filter": "meters/#"}]}
TypeName = Annotated[str, Field(max_length=50)]


class SourceTypeView(View):
    """A kind of source."""

    type: str = Field(description="Its name.", examples=["mqtt"])
    docs: str = Field(description="Its page, Markdown.", examples=["# MQTT"])
    settings_schema: dict[str, Any] = Field(
        description="JSON Schema of its settings.", examples=[{"type": "object"}]
    )


class SourceView(View):
    """A configured source, without its secrets."""

    id: int = Field(description="Number of the source.", examples=[1])
    name: str = Field(description="What people call it.", examples=["Old broker"])
    type: str = Field(description="What kind.", examples=["mqtt"])
    settings: dict[str, Any] = Field(description="Its settings.", examples=[_EXAMPLE])
    enabled: bool = Field(description="Whether it runs.", examples=[True])
    created_at: Timestamp = Field(description="When it was made.")


class SourceCreate(Body):
    """A new source."""

    name: Name = Field(description="Unique in the organization.", examples=["Old broker"])
    type: TypeName = Field(description="What kind.", examples=["mqtt"])
    settings: dict[str, Any] = Field(
        description="As its type's schema says, secrets included.", examples=[_EXAMPLE]
    )
    enabled: bool = Field(default=True, description="Whether it runs.", examples=[True])


class SourceUpdate(Body):
    """What to change; what is left out stays."""

    name: Name | None = Field(default=None, description="Its name.", examples=["Old broker"])
    settings: dict[str, Any] | None = Field(
        default=None,
        description="Replaced whole, but secrets that are left out stay; null drops one.",
        examples=[_EXAMPLE],
    )
    enabled: bool | None = Field(default=None, description="Whether it runs.", examples=[False])


def _sealer(call: Authorized) -> Sealer:
    return call.hub.sealer.bound(SEALING)


def _kind(call: Authorized, name: str) -> Any:
    kind = call.hub.source_types.get(name)
    if kind is None:
        raise invalid("type", f"must be one of {', '.join(sorted(call.hub.source_types))}")
    return kind


@router.get("/source-types", response_model=Page[SourceTypeView], responses=documented())
async def list_source_types(call: Authorized) -> Any:
    """List the kinds of sources there are."""
    items = [
        {"type": name, "docs": kind.docs or "", "settings_schema": schema_of(kind.settings)}
        for name, kind in sorted(call.hub.source_types.items())
    ]
    return {"items": items, "next_cursor": None}


@router.get("/sources", response_model=Page[SourceView], responses=documented())
async def list_sources(call: Authorized, limit: Limit = 100, cursor: CursorText = None) -> Any:
    """List sources by their number."""
    after = _CURSORS.decode(cursor) or 0
    rows = await sources.list_page(call.pool, call.organization_id, after=after, limit=limit + 1)
    return page(rows, limit, _CURSORS, lambda row: row.id)


@router.post("/sources", status_code=201, response_model=SourceView, responses=documented(409))
async def create_source(
    call: Authorized, body: SourceCreate, idempotency_key: IdempotencyKey = None
) -> Response:
    """Read from another place. The hub begins at once; its state is in `/readyz`."""
    given = read_settings(_kind(call, body.type), body.settings, _sealer(call))

    async def work(now: Change) -> SourceView:
        row = await sources.create(
            now.db,
            call.organization_id,
            name=body.name,
            type=body.type,
            settings=given.settings,
            secrets=given.secrets,
            enabled=body.enabled,
        )
        await now.record("source.created", row.id, {"name": row.name, "type": row.type})
        return SourceView.model_validate(row)

    return await once(call, idempotency_key, 201, work)


@router.get("/sources/{source_id}", response_model=SourceView, responses=documented(404))
async def get_source(call: Authorized, source_id: RowId) -> Any:
    """Show one source."""
    row = await sources.find(call.pool, call.organization_id, source_id)
    if row is None:
        raise not_found("source", source_id)
    return row


@router.patch("/sources/{source_id}", response_model=SourceView, responses=documented(404, 409))
async def update_source(call: Authorized, source_id: RowId, body: SourceUpdate) -> Any:
    """Change a source. It starts again with what is new."""

    async def work(now: Change) -> sources.SourceRow:
        old = await sources.find(now.db, call.organization_id, source_id, lock=True)
        if old is None:
            raise not_found("source", source_id)
        given = Configured(old.settings, old.secrets)
        if body.settings is not None:
            given = read_settings(_kind(call, old.type), body.settings, _sealer(call), old.secrets)
        await now.record("source.updated", source_id, {"changed": sorted(body.model_fields_set)})
        return await sources.replace(
            now.db,
            source_id,
            name=body.name or old.name,
            settings=given.settings,
            secrets=given.secrets,
            enabled=old.enabled if body.enabled is None else body.enabled,
        )

    return await change(call, work)


@router.delete("/sources/{source_id}", status_code=204, responses=documented(404))
async def delete_source(call: Authorized, source_id: RowId) -> None:
    """Stop reading from a place and forget it."""

    async def work(now: Change) -> None:
        if not await sources.delete(now.db, call.organization_id, source_id):
            raise not_found("source", source_id)
        await now.record("source.deleted", source_id)

    await change(call, work)
