"""What the Google types compose: a service account's key, and tokens made of it.

Two ways lead from the key to a bearer token: a JWT that the key signs is one itself where the API
takes it (https://google.aip.dev/auth/4111, Pub/Sub does), and it can be exchanged for one at the
key's `token_uri` (https://developers.google.com/identity/protocols/oauth2/service-account). Either
is good for an hour, kept, and renewed five minutes before its end.
"""

import asyncio
import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol
from urllib.parse import urlencode

import aiohttp
import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from wattwire.integrations import _http
from wattwire.integrations._endpoints import check_endpoint
from wattwire.integrations.contract import Retry

#: The audience of every exchange, whatever address the key names for it.
TOKEN_AUDIENCE: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
LIFETIME_SECONDS: Final = 3600
RENEW_BEFORE_SECONDS: Final = 300
LONGEST_KEY: Final = 16_384
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"

Way = Literal["signed", "exchanged"]


class RefusedKeyError(Exception):
    """The token endpoint gave no token; the outcome says what it said instead."""

    def __init__(self, outcome: Retry) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """The parts of a service account's key that are of use."""

    email: str
    project_id: str
    token_uri: str
    key_id: str = field(repr=False)
    private_key: RSAPrivateKey = field(repr=False)

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a JWT (RFC 7515, RS256) of these claims."""
        header = {"alg": "RS256", "typ": "JWT", "kid": self.key_id}
        text = b".".join(_base64url(msgspec.json.encode(part)) for part in (header, claims))
        signature = self.private_key.sign(text, PKCS1v15(), hashes.SHA256())
        return b".".join((text, _base64url(signature))).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def read_account(text: str) -> ServiceAccount:
    """Read the JSON of a service account's key. Raises ValueError, never quoting from it."""
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        raise ValueError("is not the JSON file of a service account's key") from None
    if found.get("type") != "service_account":
        raise ValueError("is not a service account's key: its type must be service_account")
    parts = [found.get(name) for name in ("client_email", "token_uri", "private_key")]
    if not all(isinstance(part, str) and part for part in parts):
        raise ValueError("lacks client_email, token_uri or private_key")
    email, token_uri, pem = (str(part) for part in parts)
    return ServiceAccount(
        email=email,
        project_id=str(found.get("project_id", "")),
        token_uri=check_endpoint(token_uri),
        key_id=str(found.get("private_key_id", "")),
        private_key=_private_key(pem),
    )


def _private_key(pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        raise ValueError("its private_key cannot be read") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("its private_key is not an RSA key")  # noqa: TRY004 - a wrong setting
    return key


class Tokens(Protocol):
    """Gives what is sent in the header Authorization."""

    async def bearer(self) -> str:
        """Return a token that is good for a while. Raises RefusedKeyError, UnreachableError."""

    def forget(self) -> None:
        """Make a new one next time: the service took the last one for wrong."""


@dataclass(slots=True)
class SignedTokens:
    """JWTs of an hour for one API, signed here; nobody is asked."""

    account: ServiceAccount
    audience: str  #: https://pubsub.googleapis.com/
    _token: str = field(default="", repr=False)
    _good_until: float = 0.0

    async def bearer(self) -> str:
        """Return the kept token, or sign another."""
        now = time.time()
        if now >= self._good_until:
            who = {"iss": self.account.email, "sub": self.account.email, "aud": self.audience}
            self._token = self.account.sign({**who, **_lifetime(now)})
            self._good_until = now + LIFETIME_SECONDS - RENEW_BEFORE_SECONDS
        return self._token

    def forget(self) -> None:
        """Sign another next time."""
        self._good_until = 0.0


@dataclass(slots=True)
class ExchangedTokens:
    """Access tokens that the token endpoint gives for a signed JWT; one exchange at a time."""

    account: ServiceAccount
    scope: str
    client: aiohttp.ClientSession
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _token: str = field(default="", repr=False)
    _good_until: float = 0.0

    async def bearer(self) -> str:
        """Return the kept token, or ask for another."""
        async with self._asking:
            now = time.time()
            if now >= self._good_until:
                token, seconds = await self._exchange(now)
                self._token = token
                self._good_until = now + max(seconds - RENEW_BEFORE_SECONDS, seconds / 2)
            return self._token

    def forget(self) -> None:
        """Ask for another next time."""
        self._good_until = 0.0

    async def _exchange(self, now: float) -> tuple[str, float]:
        who = {"iss": self.account.email, "scope": self.scope, "aud": TOKEN_AUDIENCE}
        assertion = self.account.sign({**who, **_lifetime(now)})
        form = urlencode({"grant_type": _GRANT, "assertion": assertion})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        with _http.explained():
            async with self.client.post(
                self.account.token_uri, data=form, headers=headers, allow_redirects=False
            ) as response:
                return _granted(response, await _http.read_excerpt(response))


class _Grant(msgspec.Struct):
    access_token: str = ""
    expires_in: float = float(LIFETIME_SECONDS)
    error: str = ""
    error_description: str = ""


def _granted(response: aiohttp.ClientResponse, text: str) -> tuple[str, float]:
    status = response.status
    try:
        said = msgspec.json.decode(text.encode(), type=_Grant, strict=False)
    except msgspec.MsgspecError:
        said = _Grant(error_description=text)
    if status == 200 and said.access_token and said.access_token.isascii():  # noqa: PLR2004 - the only good one
        return said.access_token, said.expires_in
    wish = _http.retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    words = f"{said.error} {_http.printable(said.error_description)}".strip()
    reason = f"no token for the service account: HTTP {status} {words}".rstrip()
    raise RefusedKeyError(Retry(reason, after=wish, status=status, code=said.error))


def _lifetime(now: float) -> dict[str, int]:
    return {"iat": int(now), "exp": int(now) + LIFETIME_SECONDS}
