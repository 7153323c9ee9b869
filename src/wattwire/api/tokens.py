"""`/api/v1/tokens` for programs, `/api/v1/session` for people."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from wattwire.api.fields import (
    EXAMPLE_TOKEN,
    EXAMPLE_UUID,
    Body,
    RoleName,
    Text,
    Timestamp,
    View,
)
from wattwire.api.identity import Authorized, face_of
from wattwire.api.once import Change, IdempotencyKey, change, once
from wattwire.api.paging import Cursors, CursorText, Limit, Page, page
from wattwire.api.problems import Problem, documented, invalid, not_found
from wattwire.store import accounts, audit, tokens
from wattwire.store.passwords import verify_password

router = APIRouter(prefix="/api/v1", tags=["users and tokens"])
SESSION: Final = timedelta(hours=12)
_CURSORS = Cursors("tokens", (), tuple[datetime, str])
TokenId = Annotated[str, Path(pattern=r"^[a-z2-7]{20}$", description="The token's id.")]
_EXAMPLE_ID: Final = EXAMPLE_TOKEN.partition(".")[0]


class TokenView(View):
    """A token, without its secret."""

    id: str = Field(description="The part before the dot.", examples=[_EXAMPLE_ID])
    name: str = Field(description="What it is for.", examples=["Grafana"])
    role: RoleName = Field(description="What it allows.", examples=["viewer"])
    account_id: int | None = Field(description="Whose session it is, if one's.", examples=[None])
    created_at: Timestamp = Field(description="When it was made.")
    expires_at: Timestamp | None = Field(description="When it ends.")
    last_used_at: Timestamp | None = Field(description="When it was last used, to the minute.")
    revoked_at: Timestamp | None = Field(description="When it was revoked.")


class TokenCreated(TokenView):
    """A new token. Its text is shown this once."""

    token: str = Field(description="Send it as `Bearer`.", examples=[EXAMPLE_TOKEN])


class TokenCreate(Body):
    """A new token."""

    name: Annotated[str, Field(max_length=200), Text] = Field(
        default="", description="What it is for.", examples=["Grafana"]
    )
    role: RoleName = Field(description="What it allows.", examples=["viewer"])
    expires_at: AwareDatetime | None = Field(
        default=None, description="When it ends; null: never.", examples=["2099-01-01T00:00:00Z"]
    )


class SessionCreate(Body):
    """Who signs in."""

    email: str = Field(max_length=320, description="Their email.", examples=["ada@example.com"])
    password: str = Field(
        max_length=1024, description="Their password.", examples=["correct horse battery staple"]
    )


class SessionView(View):
    """Whom a token speaks for."""

    organization_id: UUID = Field(description="The organization.", examples=[EXAMPLE_UUID])
    token_id: str = Field(description="The token.", examples=[_EXAMPLE_ID])
    role: RoleName = Field(description="What it may do.", examples=["editor"])
    actor: str = Field(description="Whom the audit names.", examples=["account:ada@example.com"])


@router.get("/tokens", response_model=Page[TokenView], responses=documented())
async def list_tokens(call: Authorized, limit: Limit = 100, cursor: CursorText = None) -> Any:
    """List tokens, newest first, revoked ones included."""
    rows = await tokens.list_page(
        call.pool, call.organization_id, after=_CURSORS.decode(cursor), limit=limit + 1
    )
    return page(rows, limit, _CURSORS, lambda row: (row.created_at, row.id))


@router.post("/tokens", status_code=201, response_model=TokenCreated, responses=documented())
async def create_token(
    call: Authorized, body: TokenCreate, idempotency_key: IdempotencyKey = None
) -> Response:
    """Make a token for a program."""
    if body.expires_at is not None and body.expires_at <= datetime.now(UTC):
        raise invalid("expires_at", "must be in the future")

    async def work(now: Change) -> TokenCreated:
        row, text = await tokens.create(
            now.db,
            call.organization_id,
            name=body.name,
            role=body.role,
            expires_at=body.expires_at,
        )
        await now.record("token.created", row.id, {"name": row.name, "role": row.role})
        return TokenCreated(**TokenView.model_validate(row).model_dump(), token=text)

    return await once(call, idempotency_key, 201, work)


@router.get("/tokens/{token_id}", response_model=TokenView, responses=documented(404))
async def get_token(call: Authorized, token_id: TokenId) -> Any:
    """Show one token, without its secret."""
    row = await tokens.find(call.pool, call.organization_id, token_id)
    if row is None:
        raise not_found("token", token_id)
    return row


@router.delete("/tokens/{token_id}", status_code=204, responses=documented(404))
async def revoke_token(call: Authorized, token_id: TokenId) -> None:
    """End a token now."""

    async def work(now: Change) -> None:
        if await tokens.revoke(now.db, call.organization_id, token_id) is None:
            raise not_found("token", token_id)
        await now.record("token.revoked", token_id)

    await change(call, work)
    call.face.tokens.forget("token", token_id)


@router.post("/session", status_code=201, response_model=TokenCreated, responses=documented(429))
async def create_session(request: Request, body: SessionCreate) -> Any:
    """Sign in with email and password; the token ends after twelve hours.

    Ten failures a minute, per address or per email, and you have to wait.
    """
    face = face_of(request)
    keys = (f"email:{body.email.lower()}", f"from:{request.client.host if request.client else ''}")
    wait = face.logins.wait_seconds(*keys)
    if wait:
        raise Problem(429, f"Try again in {wait} seconds.", headers={"Retry-After": str(wait)})
    face.logins.count(*keys)
    found = await accounts.find_by_email(face.hub.pool, body.email.replace("\x00", ""))
    account, password_hash = found or (None, None)
    if not await verify_password(body.password, password_hash) or account is None:
        raise Problem(401, "Email or password is wrong.")
    face.logins.forgive(*keys)
    return await _open_session(face.hub.pool, account)


async def _open_session(pool: Any, account: accounts.Account) -> TokenCreated:
    async with pool.acquire(timeout=10) as db, db.transaction():
        row, text = await tokens.create(
            db,
            account.organization_id,
            name="session",
            role=account.role,
            expires_at=datetime.now(UTC) + SESSION,
            account_id=account.id,
        )
        await audit.record(
            db,
            account.organization_id,
            actor=f"account:{account.email}",
            action="session.opened",
            object=row.id,
        )
    return TokenCreated(**TokenView.model_validate(row).model_dump(), token=text)


@router.get("/session", response_model=SessionView, responses=documented())
async def get_session(call: Authorized) -> Any:
    """Show whom the token speaks for."""
    caller = call.caller
    return {
        "organization_id": caller.organization_id,
        "token_id": caller.token_id,
        "role": caller.role.name.lower(),
        "actor": caller.actor,
    }


@router.delete("/session", status_code=204, responses=documented())
async def delete_session(call: Authorized) -> None:
    """Sign out: the token that is sent ends now."""
    await tokens.revoke(call.pool, call.organization_id, call.caller.token_id)
    call.face.tokens.forget("token", call.caller.token_id)
