"""Who is calling: requests that a token has signed, and uploads over a node's own certificate.

A route takes `signed: SignedBy` (any token), `signed: UserSigned` (no read-only one) or, to upload,
`who: Uploader`; the check at the start of the API refuses a route of this room that has none.

A write is carried out once: its signature is remembered in the database until its date is too old,
so that a captured request cannot be sent again, through whichever process of the API. Dates have
seconds: two equal writes that one client signs within the same second are one. (A second DELETE
finds nothing to delete, and is told so.) How fast a token may ask is counted in each process.
"""

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal, cast
from uuid import UUID

from fastapi import Depends, Request

from wattwire.api.contract import Hub
from wattwire.api.wire import CERTIFICATE
from wattwire.settings import Network
from wattwire.solarnetwork import snws2
from wattwire.solarnetwork.certificates import NodeCertificates
from wattwire.solarnetwork.envelope import MEDIA_TYPE, RefusedError
from wattwire.solarnetwork.pace import Pace
from wattwire.solarnetwork.policy import Policy
from wattwire.store import solarnetwork as tokens
from wattwire.store.watch import EVERYTHING

Kind = Literal["User", "ReadNodeData"]

_REMEMBERED_SECONDS: Final = 10.0
_MAX_REMEMBERED: Final = 10_000
_TOUCH_SECONDS: Final = 60.0
_ID_LETTERS: Final = tokens.ID_LETTERS
#: Carried out a second time these change nothing: ids are never given out again.
_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})

BAD_CREDENTIALS: Final = "Bad credentials"
_ANONYMOUS: Final = "Full authentication is required to access this resource"
_CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
    "Access-Control-Allow-Headers": "Authorization, Content-MD5, Content-Type, Digest, X-SN-Date",
}


@dataclass(frozen=True, slots=True)
class Signed:
    """On whose behalf a request is carried out."""

    organization_id: UUID  #: the only organization whose things the request may touch
    token_id: str  #: or the number of the certificate
    kind: Kind
    policy: Policy
    user_id: int  #: SolarNetwork's number of the organization
    proof: Literal["token", "certificate"] = "token"

    @property
    def actor(self) -> str:
        """Return whom the audit names."""
        return f"solarnetwork-{self.proof}:{self.token_id}"


@dataclass(slots=True)
class _Remembered:
    """A token used lately, or, with no `who`, one that does not exist."""

    secret: str = field(repr=False)
    who: Signed | None
    until: float
    touched: float = 0.0
    keys: dict[date, bytes] = field(default_factory=dict, repr=False)

    def key(self, day: date) -> bytes:
        """Return the key of a day; few are kept, for anybody may name any day."""
        found = self.keys.get(day)
        if found is None:
            found = snws2.signing_key(self.secret, day)
            if len(self.keys) < snws2.KEY_DAYS:
                self.keys[day] = found
        return found


class Access:
    """Checks signatures with the secrets of tokens, which it remembers for seconds."""

    def __init__(self, hub: Hub) -> None:
        self._pool = hub.pool
        self._sealers = hub.sealer
        self._proxies = hub.settings.trusted_proxies
        self._pace = Pace(hub.settings.solarnetwork_requests_per_second)
        self._certificates = NodeCertificates(hub.pool)
        self._known: OrderedDict[str, _Remembered] = OrderedDict()
        self._unknown: OrderedDict[str, _Remembered] = OrderedDict()
        self._changes = 0
        # Whoever names a token that does not exist is compared with this, opened each time anew.
        self._decoy = self._sealers.bound("decoy").seal(secrets.token_hex(20).encode())

    def forget(self, table: str, key: str) -> None:
        """Drop what a changed row of configuration may have made wrong."""
        self._changes += 1
        self._certificates.forget(table, key)
        if table == "solarnetwork_token":
            self._known.pop(key, None)
            self._unknown.pop(key, None)
        elif table in {"organization", EVERYTHING}:
            self._known.clear()
            self._unknown.clear()

    async def identify(self, request: Request) -> Signed:
        """Return whose request this is. Raises RefusedError.

        The checks are in SolarNetwork's order, but that nobody hears of a token's end, or waits
        for its pace, who cannot sign with it.
        """
        try:
            return await self._identify(request)
        except snws2.BadCredentialsError as error:
            raise refused(403, str(error)) from None

    async def _identify(self, request: Request) -> Signed:
        received = _received(request)
        authorization = snws2.parse(received.header("authorization"))
        if authorization is None:
            raise refused(401, _ANONYMOUS)
        at = snws2.request_date(received)
        snws2.check_signed(authorization.signed, received)
        received = _with_body(received, await request.body())
        snws2.check_digest(received)
        entry = await self._find(authorization.token_id)
        texts = snws2.candidates(authorization, received, at, self._hosts(request, received))
        keys = [entry.key(day) for day in snws2.days_of(at)]
        if not snws2.fits(authorization.signature, keys, texts) or entry.who is None:
            raise snws2.BadCredentialsError(BAD_CREDENTIALS)
        _check_standing(entry.who, at)
        self._keep_pace(entry.who)
        if received.method not in _REPEATABLE:
            await self._spend(authorization.signature, at)
        await self._touch(entry)
        return entry.who

    async def recognize(self, certificate: bytes) -> Signed:
        """Return for which node a connection's certificate may upload. Raises RefusedError."""
        bearer = await self._certificates.identify(certificate)
        if bearer is None:
            raise refused(403, BAD_CREDENTIALS)
        policy = Policy(node_ids=frozenset({bearer.device_id}), not_after=bearer.expires_at)
        who = Signed(
            bearer.organization_id, str(bearer.id), "User", policy, bearer.user_id, "certificate"
        )
        self._keep_pace(who)
        return who

    def _keep_pace(self, who: Signed) -> None:
        wait = self._pace.wait_seconds(who.actor)
        if wait:
            raise RefusedError(429, "Too many requests", headers={"Retry-After": str(wait)})

    async def _spend(self, signature: str, at: datetime) -> None:
        if not await tokens.spend(self._pool, bytes.fromhex(signature), at + snws2.SKEW):
            raise snws2.BadCredentialsError("Signature used before")

    def _hosts(self, request: Request, received: snws2.Request) -> tuple[str, ...]:
        """Return what may have been signed as host; only a proxy we know may say more."""
        host = received.header("host")
        if not self._proxies or not _is_within(request, self._proxies):
            return snws2.hosts_of(host)
        names = [_last(received, "x-forwarded-host")]
        port = _last(received, "x-forwarded-port")
        return snws2.hosts_of(host, filter(None, names), port if port.isdigit() else "")

    async def _find(self, token_id: str) -> _Remembered:
        """Return what to check with; for an unknown token, by the same work, a secret of nobody."""
        now = time.monotonic()
        entry = self._known.get(token_id) or self._unknown.get(token_id)
        if entry is not None and entry.until > now:
            return entry
        changes = self._changes
        fits = len(token_id) == _ID_LETTERS and token_id.isascii()
        signer = await tokens.find_signer(self._pool, token_id) if fits else None
        found = self._opened(signer, now + _REMEMBERED_SECONDS)
        found.touched = entry.touched if entry else 0.0
        if fits and changes == self._changes:  # else it may have changed while it was fetched
            _keep(self._known if signer else self._unknown, token_id, found)
        return found

    def _opened(self, signer: tokens.Signer | None, until: float) -> _Remembered:
        if signer is None:
            return _Remembered(self._sealers.bound("decoy").open(self._decoy).decode(), None, until)
        opened = self._sealers.bound(tokens.secret_context(signer.id)).open(signer.secret)
        policy = Policy.read(signer.policy, signer.expires_at)
        kind = cast("Kind", signer.kind)
        who = Signed(signer.organization_id, signer.id, kind, policy, signer.user_id)
        return _Remembered(opened.decode(), who, until)

    async def _touch(self, entry: _Remembered) -> None:
        now = time.monotonic()
        if entry.who is not None and (not entry.touched or now - entry.touched >= _TOUCH_SECONDS):
            entry.touched = now
            await tokens.touch(self._pool, entry.who.token_id)


def _keep(kept: OrderedDict[str, _Remembered], token_id: str, found: _Remembered) -> None:
    kept[token_id] = found
    kept.move_to_end(token_id)
    if len(kept) > _MAX_REMEMBERED:
        kept.popitem(last=False)


def _check_standing(who: Signed, at: datetime) -> None:
    now = datetime.now(UTC)
    if who.policy.not_after is not None and who.policy.not_after <= now:
        raise refused(401, "Expired token")
    if not snws2.is_timely(at, now):
        raise snws2.BadCredentialsError("Date skew too large")


def refused(status: int, message: str) -> RefusedError:
    """Return a refusal with the headers that SolarNetwork's clients look at."""
    headers = {"WWW-Authenticate": snws2.SCHEME, "X-SN-ErrorMessage": _line(message), **_CORS}
    return RefusedError(status, message, headers=headers)


def denied() -> RefusedError:
    """Return the refusal of what the token's kind may not do."""
    return refused(403, "Access denied")


def _line(message: str) -> str:
    """Return a message as a header can carry it."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in message)


def _received(request: Request) -> snws2.Request:
    headers: dict[str, list[str]] = {}
    for name, value in request.headers.raw:
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    scope = request.scope
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    return snws2.Request(request.method, path, scope["query_string"].decode("latin-1"), headers)


def _with_body(received: snws2.Request, body: bytes) -> snws2.Request:
    return snws2.Request(received.method, received.path, received.query, received.headers, body)


def _is_within(request: Request, networks: tuple[Network, ...]) -> bool:
    try:
        address = ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    plain = getattr(address, "ipv4_mapped", None) or address  # as a socket of both kinds tells it
    return any(plain in network for network in networks)


def _last(received: snws2.Request, name: str) -> str:
    """Return what the nearest proxy wrote: the last of a list."""
    values = received.headers.get(name, ())
    return values[-1].rpartition(",")[2].strip() if values else ""


async def signed(request: Request) -> Signed:
    """Let a request through that a token has signed. Raises RefusedError."""
    access: Access = request.app.state.solarnetwork
    who = await access.identify(request)
    request.scope["caller"] = who
    return who


SignedBy = Annotated[Signed, Depends(signed)]


async def signed_by_user(request: Request) -> Signed:
    """Let a request through that a token of kind User has signed. Raises RefusedError."""
    who = await signed(request)
    if who.kind != "User":
        raise denied()
    return who


UserSigned = Annotated[Signed, Depends(signed_by_user)]


async def uploader(request: Request) -> Signed:
    """Let an upload through that a User's token signed, or else that of a node's own certificate.

    A browser shows a certificate for whatever page asks it to; but it sends no JSON for pages of
    others without asking first, and so nothing else is taken. Raises RefusedError.
    """
    certificate: bytes | None = request.scope.get(CERTIFICATE)
    scheme = request.headers.get("authorization", "").partition(" ")[0]
    if certificate is None or scheme == snws2.SCHEME:
        return await signed_by_user(request)
    access: Access = request.app.state.solarnetwork
    who = await access.recognize(certificate)
    request.scope["caller"] = who
    said = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if said != MEDIA_TYPE:
        raise refused(403, f"The Content-Type must be {MEDIA_TYPE}")
    return who


Uploader = Annotated[Signed, Depends(uploader)]

#: A route of this room depends on one of these, whoever adds another way in adds it here.
GUARDS: Final[set[Any]] = {signed, signed_by_user, uploader}
