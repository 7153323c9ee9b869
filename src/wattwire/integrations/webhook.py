"""# Webhook

Sends every event as one HTTP POST to an address of yours.

**You need** an HTTP or HTTPS endpoint that answers with a status of 200 to 299 within 30 seconds.
It must be reachable from the hub; private networks are refused unless the operator of the hub
allows them (`WATTWIRE_WEBHOOK_ALLOW`).

**Signatures.** With a secret key each request carries `X-Signature`, the hexadecimal HMAC-SHA256
of the body, and the headers `webhook-id`, `webhook-timestamp` and `webhook-signature` of
[Standard Webhooks](https://www.standardwebhooks.com). To change the key, put the old one under
`previous_secret_key`: both sign until you remove it (`X-Signature` has room for the new one
only).

    def verify_signature(payload, signature, secret):
        expected = hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()
        return hmac.compare_digest(signature, expected)

**Addresses that are passwords.** Who knows the address of a Zap, an IFTTT applet or a workflow
may start it. Give such a one as `secret_url` in place of `url`: it is sealed, write-only, and shown
as its origin and `/…` in the ledger, in errors and in logs; what a receiver answers is shown
without it. It is as guarded as any `url`.

**Repeats.** `webhook-id` stays the same over all attempts of a message: an endpoint that
remembers it for a while takes each message once.

**Refusals.** Redirects are not followed: they count as failures. 401 and 403 pause the
integration until its settings change, 410 switches it off, 413 makes a dead letter; 429, 502 and
504 slow it down, and `Retry-After` is honoured; 503 and no answer at all count nothing against
the message. Any other status is retried as often as `retry_attempts` says.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, Self

import aiohttp
from multidict import CIMultiDict
from pydantic import Field, SecretStr, field_validator, model_validator
from yarl import URL

from wattwire.integrations import _hidden_urls, _http, _signing
from wattwire.integrations.contract import (
    Delivered,
    IntegrationSettings,
    IntegrationType,
    Limits,
    Outcome,
    Outcomes,
    Presets,
    Retry,
    Surroundings,
)
from wattwire.model import Message

LIMITS: Final = Limits(max_messages=1, max_bytes=16 * 1024 * 1024)
LONGEST_URL: Final = 2048
PRESETS: Final = Presets(rate_per_minute=50, max_concurrent=10, max_payload_bytes=1_048_576)

FIRST_DELAY_SECONDS: Final = 5.0
LONGEST_DELAY_SECONDS: Final = 36_000.0
_OURS: Final = frozenset(("x-signature", "webhook-id", "webhook-timestamp", "webhook-signature"))


class Settings(IntegrationSettings):
    """Fields of the form, the API schema and the reference table."""

    type: Literal["webhook"] = "webhook"
    url: str | None = Field(
        default=None,
        max_length=LONGEST_URL,
        description="Address that takes the POST requests, http or https.",
        examples=["https://example.com/hooks/wattwire"],
    )
    secret_url: SecretStr | None = Field(
        default=None,
        max_length=LONGEST_URL,
        description="In place of `url`: an address that is a password, as Zapier's; never shown.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        max_length=500,
        description="Shared secret that signs each request; whsec_… or any text.",
    )
    previous_secret_key: SecretStr | None = Field(
        default=None, max_length=500, description="The secret before it, while receivers change."
    )
    headers: dict[str, SecretStr] = Field(
        default_factory=dict,
        max_length=_http.MOST_HEADERS,
        description="HTTP headers to add; their values are kept as secrets.",
    )
    retry_attempts: int = Field(
        default=3, ge=1, le=20, description="Attempts of a message in all, ever further apart."
    )
    timeout_seconds: float = Field(
        default=30.0, ge=1, le=120, description="How long an answer may take."
    )

    @field_validator("url")
    @classmethod
    def _is_plain_http(cls, value: str | None) -> str | None:
        return None if value is None else _checked_url(value)

    @field_validator("secret_url")
    @classmethod
    def _is_plain_http_too(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else SecretStr(_checked_url(value.get_secret_value()))

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            _http.check_header(name, value.get_secret_value(), _OURS)
        return headers

    @model_validator(mode="after")
    def _has_one_address(self) -> Self:
        if (self.url is None) == (self.secret_url is None):
            raise ValueError("give either a url or a secret_url; null drops the one that is kept")
        return self

    @model_validator(mode="after")
    def _secrets_are_usable(self) -> Self:
        for secret in (self.secret_key, self.previous_secret_key):
            if secret is not None and not _signing.key_bytes(secret.get_secret_value()):
                raise ValueError("a secret must not be empty")
        if self.previous_secret_key is not None and self.secret_key is None:
            raise ValueError("previous_secret_key needs a secret_key that follows it")
        return self


def _checked_url(text: str) -> str:
    """Return an address without its fragment. Raises ValueError that does not repeat it."""
    try:
        url = URL(text.strip())
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("must be an address such as https://example.com/hooks")
    if url.user is not None or url.password is not None:
        raise ValueError("must not hold a password: use a header named Authorization")
    return str(url.with_fragment(None))


@dataclass(frozen=True, slots=True)
class Webhook:
    """One endpoint, opened by connect()."""

    settings: Settings
    client: aiohttp.ClientSession
    url: URL = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    secret: str | None = field(repr=False)
    keys: Sequence[bytes] = field(repr=False)
    hide: Callable[[str], str] = str  #: what a receiver says, without an address that is secret

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Send each message as one POST."""
        return {message.id: await self._post(message) for message in batch}

    async def test(self, probe: Message) -> Outcome:
        """Send the probe as an ordinary message."""
        return await self._post(probe)

    async def _post(self, message: Message) -> Outcome:
        with _http.explained(self.hide):
            async with self.client.post(
                self.url, data=message.body, headers=self._headers(message), allow_redirects=False
            ) as response:
                return await _outcome(response, self.hide)

    def _headers(self, message: Message) -> CIMultiDict[str]:
        now = int(time.time())
        headers = CIMultiDict(self.headers)
        headers.setdefault("Content-Type", message.content_type)
        headers["webhook-id"] = message.id
        headers["webhook-timestamp"] = str(now)
        if self.secret is not None:
            headers["X-Signature"] = _signing.plain_signature(self.secret, message.body)
            headers["webhook-signature"] = _signing.standard_signature(
                self.keys, message.id, now, message.body
            )
        return headers


async def _outcome(response: aiohttp.ClientResponse, hide: Callable[[str], str]) -> Outcome:
    status = response.status
    if 200 <= status < 300:  # noqa: PLR2004 - what HTTP calls success
        if not response.content.is_eof():  # what came with the headers needs no reading
            await _http.read_excerpt(response)
        return Delivered(receipt=f"HTTP {status}", status=status)
    excerpt = await _http.read_excerpt(response, hide)
    wish = _http.retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    reason = f"HTTP {status} {_http.printable(hide(response.reason or ''), 100)}".rstrip()
    return Retry(f"{reason}: {excerpt}" if excerpt else reason, after=wish, status=status)


@asynccontextmanager
async def connect(settings: Settings, surroundings: Surroundings) -> AsyncIterator[Webhook]:
    """Open a client for the endpoint for as long as the context lasts."""
    secrets = [
        secret.get_secret_value()
        for secret in (settings.secret_key, settings.previous_secret_key)
        if secret is not None
    ]
    async with _http.open_client(surroundings) as client:
        yield Webhook(
            settings=settings,
            client=client,
            url=_url(settings),
            headers={name: value.get_secret_value() for name, value in settings.headers.items()},
            secret=secrets[0] if secrets else None,
            keys=[_signing.key_bytes(secret) for secret in secrets],
            hide=_hidden_urls.hider(_url(settings)) if settings.secret_url else str,
        )


def _url(settings: Settings) -> URL:
    secret = settings.secret_url
    return URL(secret.get_secret_value() if secret is not None else settings.url or "")


def schedule(settings: Settings) -> list[float]:
    """Return 0, 5, 10, 20 … seconds, as many as there are attempts."""
    later = (FIRST_DELAY_SECONDS * 2**n for n in range(settings.retry_attempts - 1))
    return [0.0, *(min(delay, LONGEST_DELAY_SECONDS) for delay in later)]


def address(settings: Settings) -> str:
    """Return the URL without its query, which may hold a token; of a secret one the origin."""
    if settings.secret_url is not None:
        return f"{_url(settings).origin()}/…"
    return str(_url(settings).with_query(None))


TYPE = IntegrationType(
    docs=__doc__,
    settings=Settings,
    limits=LIMITS,
    connect=connect,
    address=address,
    presets=PRESETS,
    schedule=schedule,
    timeout_seconds=lambda settings: settings.timeout_seconds,
)
