"""Who is calling: bearer tokens, remembered for seconds and forgotten when they change."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from wattwire.api.contract import Hub
from wattwire.api.live import LiveEvents
from wattwire.api.logins import LoginGuard
from wattwire.api.memory import Memory
from wattwire.api.permissions import NEEDED, Role
from wattwire.api.problems import Problem
from wattwire.store import tokens
from wattwire.store.watch import EVERYTHING

_bearer: Final = HTTPBearer(
    auto_error=False, scheme_name="token", description="`Authorization: Bearer ID.SECRET`"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a request is carried out."""

    organization_id: UUID
    token_id: str
    role: Role
    actor: str
    account_id: int | None


class TokenMemory:
    """Grants of tokens used lately. A revoked token is told by `forget` and gone at once."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._grants: Memory[str, tokens.Grant | None] = Memory(
            lambda key: tokens.find_grant(pool, key), worth_keeping=bool
        )

    def forget(self, table: str, key: str) -> None:
        """Drop what a changed row of configuration may have made wrong."""
        if table == "token":
            self._grants.forget(key)
        elif table in {"account", "organization", EVERYTHING}:
            self._grants.clear()

    async def identify(self, text: str) -> Caller:
        """Return whose token this is. Raises Problem 401; all reasons sound alike."""
        parsed = tokens.parse(text)
        if parsed is None:
            raise refused()
        token_id, secret = parsed
        entry = await self._grants.find(token_id)
        grant = entry.value
        if grant is None or not grant.fits(secret) or _is_over(grant):
            raise refused()
        if entry.must_be_touched():
            await tokens.touch(self._pool, grant.id)
        return _caller(grant)

    async def check(self, caller: Caller) -> None:
        """Raise Problem 401 when the token of a lasting request has ended meanwhile."""
        grant = (await self._grants.find(caller.token_id)).value
        if grant is None or _is_over(grant):
            raise refused()


def refused() -> Problem:
    """Return the one answer to everybody whom we do not know."""
    return Problem(
        401, "A valid token is needed.", headers={"WWW-Authenticate": 'Bearer realm="wattwire"'}
    )


def _is_over(grant: tokens.Grant) -> bool:
    return grant.expires_at is not None and grant.expires_at <= datetime.now(UTC)


def _caller(grant: tokens.Grant) -> Caller:
    return Caller(
        grant.organization_id, grant.id, Role.named(grant.role), grant.actor, grant.account_id
    )


@dataclass(frozen=True, slots=True)
class Face:
    """The hub and what the API itself remembers; one per app."""

    hub: Hub
    tokens: TokenMemory
    live: LiveEvents
    logins: LoginGuard


@dataclass(frozen=True, slots=True)
class Call:
    """One authorized request."""

    face: Face
    caller: Caller
    request: Request

    @property
    def hub(self) -> Hub:
        """The rest of the hub."""
        return self.face.hub

    @property
    def pool(self) -> Any:
        """Connections to the store."""
        return self.face.hub.pool

    @property
    def organization_id(self) -> UUID:
        """The only organization whose things the call may touch."""
        return self.caller.organization_id


def face_of(request: Request) -> Face:
    """Return what `create_app` hung on the app."""
    face: Face = request.app.state.face
    return face


def _presented(request: Request) -> str:
    """Return the token of the header; InfluxDB's clients say `Token` where others say `Bearer`."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" or (scheme.lower() == "token" and _takes_lines(request)):
        return text.strip()
    return ""


def _takes_lines(request: Request) -> bool:
    return bool(request.scope["path"].endswith("/write"))


async def authorize(request: Request, _documented: Annotated[Any, Depends(_bearer)] = None) -> Call:
    """Let a request through whose token has the role that its operation needs."""
    face = face_of(request)
    caller = await face.tokens.identify(_presented(request))
    request.scope["caller"] = caller
    needed = NEEDED[request.scope["route"].name]
    if caller.role < needed:
        raise Problem(403, f"This needs the role {needed.name.lower()}.")
    return Call(face, caller, request)


Authorized = Annotated[Call, Depends(authorize)]
