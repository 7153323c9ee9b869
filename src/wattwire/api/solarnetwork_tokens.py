"""`/api/v1/solarnetwork-tokens`: who may call SolarNetwork's API."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from wattwire.api.fields import BIGINT, Body, Text, Timestamp, View
from wattwire.api.identity import Authorized
from wattwire.api.once import Change, IdempotencyKey, change, once
from wattwire.api.paging import Cursors, CursorText, Limit, Page, page
from wattwire.api.problems import documented, invalid, not_found
from wattwire.formats.ant_patterns import MAX_PATTERN
from wattwire.store import solarnetwork

router = APIRouter(prefix="/api/v1", tags=["users and tokens"])
_CURSORS = Cursors("solarnetwork-tokens", (), tuple[datetime, str])
_EXAMPLE_ID: Final = "aB3dE6gH9jK2mN5pQ8sT"
TokenId = Annotated[str, Path(pattern=r"^[A-Za-z0-9]{20}$", description="The token's id.")]
Kind = Literal["User", "ReadNodeData"]
Node = Annotated[int, Field(ge=1, le=BIGINT)]
Source = Annotated[str, Field(min_length=1, max_length=MAX_PATTERN), Text]


class PolicyBody(Body):
    """What a token may see; what is left out or null is not limited."""

    node_ids: Annotated[list[Node], Field(min_length=1, max_length=1000)] | None = Field(
        default=None, description="Nodes: numbers of devices.", examples=[[7]]
    )
    source_ids: Annotated[list[Source], Field(min_length=1, max_length=100)] | None = Field(
        default=None,
        description="Sources: Ant patterns of stream paths.",
        examples=[["/power/**"]],
    )


class SolarNetworkTokenView(View):
    """A token that signs requests, without its secret."""

    id: str = Field(description="What clients send as `Credential`.", examples=[_EXAMPLE_ID])
    name: str = Field(description="What it is for.", examples=["Dashboard"])
    kind: Kind = Field(description="User: all it may; ReadNodeData: readings.", examples=["User"])
    policy: PolicyBody = Field(description="What it may see.")
    created_at: Timestamp = Field(description="When it was made.")
    expires_at: Timestamp | None = Field(description="When it ends.")
    last_used_at: Timestamp | None = Field(description="When it was last used, to the minute.")
    revoked_at: Timestamp | None = Field(description="When it was revoked.")


class SolarNetworkTokenCreated(SolarNetworkTokenView):
    """A new token. Its secret is shown this once."""

    secret: str = Field(
        description="What clients sign with.",
        examples=["Zx8cV5bN2mQ9wE6rT3yU0iO7pA4sD1fG8hJ5kL2z"],
    )


class SolarNetworkTokenCreate(Body):
    """A new token that signs requests."""

    name: Annotated[str, Field(max_length=200), Text] = Field(
        default="", description="What it is for.", examples=["Dashboard"]
    )
    kind: Kind = Field(
        default="User",
        description="User may manage hooks, too; ReadNodeData only reads.",
        examples=["ReadNodeData"],
    )
    policy: PolicyBody = Field(default=PolicyBody(), description="What it may see.")
    expires_at: AwareDatetime | None = Field(
        default=None, description="When it ends; null: never.", examples=["2099-01-01T00:00:00Z"]
    )


@router.get(
    "/solarnetwork-tokens", response_model=Page[SolarNetworkTokenView], responses=documented()
)
async def list_solarnetwork_tokens(
    call: Authorized, limit: Limit = 100, cursor: CursorText = None
) -> Any:
    """List tokens of SolarNetwork's API, newest first, revoked ones included."""
    rows = await solarnetwork.list_page(
        call.pool, call.organization_id, after=_CURSORS.decode(cursor), limit=limit + 1
    )
    return page(rows, limit, _CURSORS, lambda row: (row.created_at, row.id))


@router.post(
    "/solarnetwork-tokens",
    status_code=201,
    response_model=SolarNetworkTokenCreated,
    responses=documented(),
)
async def create_solarnetwork_token(
    call: Authorized, body: SolarNetworkTokenCreate, idempotency_key: IdempotencyKey = None
) -> Response:
    """Make a token for a SolarNetwork client, which signs its requests with the secret."""
    if body.expires_at is not None and body.expires_at <= datetime.now(UTC):
        raise invalid("expires_at", "must be in the future")

    async def work(now: Change) -> SolarNetworkTokenCreated:
        row, secret = await solarnetwork.create(
            now.db,
            call.hub.sealer,
            call.organization_id,
            name=body.name,
            kind=body.kind,
            policy=body.policy.model_dump(exclude_none=True),
            expires_at=body.expires_at,
        )
        detail = {"name": row.name, "kind": row.kind, "policy": dict(row.policy)}
        await now.record("solarnetwork_token.created", row.id, detail)
        shown = SolarNetworkTokenView.model_validate(row).model_dump()
        return SolarNetworkTokenCreated(**shown, secret=secret)

    return await once(call, idempotency_key, 201, work)


@router.get(
    "/solarnetwork-tokens/{token_id}",
    response_model=SolarNetworkTokenView,
    responses=documented(404),
)
async def get_solarnetwork_token(call: Authorized, token_id: TokenId) -> Any:
    """Show one token of SolarNetwork's API, without its secret."""
    row = await solarnetwork.find(call.pool, call.organization_id, token_id)
    if row is None:
        raise not_found("SolarNetwork token", token_id)
    return row


@router.delete("/solarnetwork-tokens/{token_id}", status_code=204, responses=documented(404))
async def revoke_solarnetwork_token(call: Authorized, token_id: TokenId) -> None:
    """End a token of SolarNetwork's API now."""

    async def work(now: Change) -> None:
        if await solarnetwork.revoke(now.db, call.organization_id, token_id) is None:
            raise not_found("SolarNetwork token", token_id)
        await now.record("solarnetwork_token.revoked", token_id)

    await change(call, work)
    call.request.app.state.solarnetwork.forget("solarnetwork_token", token_id)
