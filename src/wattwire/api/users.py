"""`/api/v1/users`: the people of the organization."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from wattwire.api.fields import Body, Email, Password, RoleName, RowId, Timestamp, View
from wattwire.api.identity import Authorized
from wattwire.api.once import Change, IdempotencyKey, change, once
from wattwire.api.paging import Cursors, CursorText, Limit, Page, page
from wattwire.api.problems import Problem, documented, not_found
from wattwire.store import accounts
from wattwire.store.passwords import hash_password

router = APIRouter(prefix="/api/v1/users", tags=["users and tokens"])
_CURSORS = Cursors("users", (), int)


class UserView(View):
    """A person who may act in the organization."""

    id: int = Field(description="Number of the user.", examples=[2])
    email: str = Field(description="Unique on the hub.", examples=["ada@example.com"])
    name: str = Field(description="What people call them.", examples=["Ada"])
    role: RoleName = Field(description="What they may do.", examples=["editor"])
    created_at: Timestamp = Field(description="When they joined.")
    disabled_at: Timestamp | None = Field(description="When they were shut out.")


class UserCreate(Body):
    """A new user."""

    email: Email = Field(description="Unique on the hub.", examples=["ada@example.com"])
    name: str = Field(default="", max_length=200, description="Their name.", examples=["Ada"])
    role: RoleName = Field(description="What they may do.", examples=["editor"])
    password: Password = Field(
        description="At least 12 characters.", examples=["correct horse battery staple"]
    )


class UserUpdate(Body):
    """What to change; what is left out stays."""

    name: str | None = Field(
        default=None, max_length=200, description="Their name.", examples=["Ada L."]
    )
    role: RoleName | None = Field(
        default=None, description="What they may do.", examples=["viewer"]
    )
    password: Password | None = Field(
        default=None,
        description="A new password. It ends their sessions and tokens.",
        examples=["correct horse battery staple"],
    )
    disabled: bool | None = Field(default=None, description="true shuts them out.", examples=[True])


@router.get("", response_model=Page[UserView], responses=documented())
async def list_users(call: Authorized, limit: Limit = 100, cursor: CursorText = None) -> Any:
    """List users by their number."""
    after = _CURSORS.decode(cursor) or 0
    rows = await accounts.list_page(call.pool, call.organization_id, after=after, limit=limit + 1)
    return page(rows, limit, _CURSORS, lambda row: row.id)


@router.post("", status_code=201, response_model=UserView, responses=documented(409))
async def create_user(
    call: Authorized, body: UserCreate, idempotency_key: IdempotencyKey = None
) -> Response:
    """Let a person in."""
    password_hash = await hash_password(body.password)

    async def work(now: Change) -> UserView:
        row = await accounts.create(
            now.db,
            call.organization_id,
            email=body.email,
            name=body.name,
            role=body.role,
            password_hash=password_hash,
        )
        await now.record("user.created", row.id, {"email": row.email, "role": row.role})
        return UserView.model_validate(row)

    return await once(call, idempotency_key, 201, work)


@router.get("/{user_id}", response_model=UserView, responses=documented(404))
async def get_user(call: Authorized, user_id: RowId) -> Any:
    """Show one user."""
    row = await accounts.find(call.pool, call.organization_id, user_id)
    if row is None:
        raise not_found("user", user_id)
    return row


@router.patch("/{user_id}", response_model=UserView, responses=documented(404, 409))
async def update_user(call: Authorized, user_id: RowId, body: UserUpdate) -> Any:
    """Change a user. The last owner stays an owner."""
    password_hash = await hash_password(body.password) if body.password else None

    async def work(now: Change) -> accounts.Account:
        if body.disabled or body.role in {"editor", "viewer"}:
            await _keep_an_owner(now, user_id)
        row = await accounts.update(
            now.db,
            call.organization_id,
            user_id,
            name=body.name,
            role=body.role,
            password_hash=password_hash,
            disabled=body.disabled,
        )
        if row is None:
            raise not_found("user", user_id)
        detail = body.model_dump(exclude_none=True, exclude={"password"})
        await now.record("user.updated", user_id, detail | {"password": body.password is not None})
        return row

    return await change(call, work)


async def _keep_an_owner(now: Change, user_id: int) -> None:
    """Refuse to take the last owner away."""
    if await accounts.lock_owners(now.db, now.call.organization_id) == {user_id}:
        raise Problem(409, "This is the last owner: make another one first.", slug="last-owner")


@router.delete("/{user_id}", status_code=204, responses=documented(404, 409))
async def delete_user(call: Authorized, user_id: RowId) -> None:
    """Delete a user and their tokens."""

    async def work(now: Change) -> None:
        await _keep_an_owner(now, user_id)
        if not await accounts.delete(now.db, call.organization_id, user_id):
            raise not_found("user", user_id)
        await now.record("user.deleted", user_id)

    await change(call, work)
