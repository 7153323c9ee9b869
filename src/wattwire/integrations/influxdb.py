"""# InfluxDB

Writes events as line protocol: to InfluxDB 2 and Cloud (`/api/v2/write`), to InfluxDB 1
(`/write`), and to whatever else understands one of the two.

**You need** for version 2 the organization, a bucket and a token that may write to that bucket, for
version 1 a database and, if it asks for one, a user that may write to it. Nothing is read, not even
when you press *Test*: the test writes a point. Private networks are refused unless the operator of
the hub allows them (`WATTWIRE_WEBHOOK_ALLOW`).

**Batches.** Up to 1,000 messages travel in one write, compressed. Messages wait up to
`flush_seconds` for others to travel with.

**Refused lines.** InfluxDB may keep some points of a write and refuse others (*partial write*).
Where it names the lines, their messages are rejected and the others are delivered. Where it only
counts them, the write is repeated in halves until the messages are found; what it wrote before, it
only writes again. A message of several lines is rejected when any of them is refused, though the
others may be kept.

**Repeats.** A point that is written again replaces itself: same measurement, tags and time. A
message may so be sent any number of times.

**Refusals.** Wrong credentials, a missing permission, an unknown organization, bucket, database or
retention policy pause the integration until its settings change or a test succeeds. 429 and 503
are waited out as `Retry-After` asks. A write that is too large is split. Lines that cannot be
parsed, points of a conflicting type or beyond the retention period make dead letters.
"""

import asyncio
import gzip
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, Self

import aiohttp
import msgspec
from pydantic import Field, SecretStr, field_validator, model_validator
from yarl import URL

from wattwire.integrations import _http, _line_refusals
from wattwire.integrations._line_refusals import NOT_FOUND, Answer
from wattwire.integrations.contract import (
    HTTP_VERDICTS,
    ConfigurationError,
    IntegrationSettings,
    IntegrationType,
    Limits,
    Outcome,
    Outcomes,
    Presets,
    Rejected,
    Surroundings,
    Verdict,
)
from wattwire.model import Message

# The official clients write 1,000 points at once; a write may have 25 MB (v1, `max-body-size`) or
# 50 MB (Cloud). https://docs.influxdata.com/influxdb/v2/write-data/best-practices/ (read 2026-08)
LIMITS: Final = Limits(max_messages=1000, max_bytes=4 * 1024 * 1024, overhead_bytes=1)
PRESETS: Final = Presets(rate_per_minute=None, max_concurrent=4, max_payload_bytes=262_144)
VERDICTS: Final = {**HTTP_VERDICTS, "404": Verdict.PARK, NOT_FOUND: Verdict.PARK}
#: InfluxDB 1's words for what version 2 calls by its unit.
_PRECISIONS: Final = {"ns": "n", "us": "u", "ms": "ms", "s": "s"}
_ANSWER_BYTES: Final = 65_536  #: a refusal may quote many lines
_IN_A_THREAD: Final = 262_144  #: more than this is not compressed on the event loop
_REQUEST_IDS: Final = ("X-Request-Id", "Request-Id", "Trace-Id", "X-Trace-Id")


class Settings(IntegrationSettings):
    """Fields of the form, the API schema and the reference table."""

    type: Literal["influxdb"] = "influxdb"
    url: str = Field(
        max_length=2048,
        description="Address of the server, without the path of the API.",
        examples=["https://influx.example.com:8086"],
    )
    version: Literal["2", "1"] = Field(default="2", description="Which API to write to.")
    org: str | None = Field(
        default=None, min_length=1, max_length=500, description="2: organization, name or ID."
    )
    bucket: str | None = Field(
        default=None, min_length=1, max_length=500, description="2: bucket, name or ID."
    )
    token: SecretStr | None = Field(
        default=None, min_length=1, max_length=1000, description="2: token that may write there."
    )
    database: str | None = Field(
        default=None, min_length=1, max_length=500, description="1: database."
    )
    retention_policy: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description="1: retention policy; unset: the database's default.",
    )
    username: str | None = Field(
        default=None, min_length=1, max_length=500, description="1: user, if asked for."
    )
    password: SecretStr | None = Field(
        default=None, max_length=1000, description="1: password, if asked for."
    )
    precision: Literal["ns", "us", "ms", "s"] = Field(
        default="ns", description="Unit of the timestamps in the lines."
    )
    compress: bool = Field(default=True, description="Send writes compressed (gzip).")
    flush_seconds: float = Field(
        default=1.0, ge=0, le=60, description="How long messages wait to be written together."
    )
    timeout_seconds: float = Field(
        default=30.0, ge=1, le=120, description="How long a write may take, its parts included."
    )

    @field_validator("url")
    @classmethod
    def _is_plain_http(cls, value: str) -> str:
        url = URL(value.strip())
        if url.scheme not in {"http", "https"} or not url.host:
            raise ValueError("must be an address such as https://influx.example.com:8086")
        if url.user is not None or url.password is not None or url.query_string:
            raise ValueError("must hold no password and no query: they are fields of their own")
        return str(url.with_fragment(None)).rstrip("/")

    @model_validator(mode="after")
    def _has_what_its_version_needs(self) -> Self:
        needed = {"2": ("org", "bucket", "token"), "1": ("database",)}[self.version]
        foreign = {"1": ("org", "bucket", "token"), "2": ("database", "retention_policy")}
        for name in needed:
            if getattr(self, name) is None:
                raise ValueError(f"version {self.version} needs {name}")
        for name in foreign[self.version]:
            if getattr(self, name) is not None:
                raise ValueError(f"version {self.version} has no {name}")
        if self.password is not None and self.username is None:
            raise ValueError("a password needs a username")
        return self


@dataclass(frozen=True, slots=True)
class InfluxDb:
    """One bucket or database, opened by connect()."""

    settings: Settings
    client: aiohttp.ClientSession
    url: URL
    headers: Mapping[str, str]

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Write the batch at once, and in parts when the server refuses some of it."""
        for content_type in {message.content_type for message in batch}:
            self._check_precision(content_type)
        empty = {m.id: Rejected("there is no line in it") for m in batch if not m.body.strip()}
        rest = [message for message in batch if message.id not in empty]
        if not rest:
            return empty
        seconds = self.settings.timeout_seconds / 2
        return empty | dict(await _line_refusals.write(rest, self._post, seconds))

    async def test(self, probe: Message) -> Outcome:
        """Write the probe as an ordinary message."""
        return (await self.deliver([probe]))[probe.id]

    def _check_precision(self, content_type: str) -> None:
        """Refuse lines of another unit: their readings would be stored in another century."""
        _, _, said = content_type.partition("; precision=")
        if said not in {"", self.settings.precision}:
            raise ConfigurationError(
                f"The lines are written with the precision {said}, and the settings say "
                f"{self.settings.precision}: make them the same"
            )

    async def _post(self, batch: Sequence[Message]) -> Answer:
        body = b"\n".join([message.body.strip(b"\n") for message in batch])
        if self.settings.compress:
            body = await _compressed(body)
        with _http.explained():
            async with self.client.post(
                self.url, data=body, headers=self.headers, allow_redirects=False
            ) as response:
                return await _answer(response)


async def _compressed(body: bytes) -> bytes:
    if len(body) > _IN_A_THREAD:
        return await asyncio.to_thread(gzip.compress, body, 1, mtime=0)
    return gzip.compress(body, 1, mtime=0)


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    request_id = next((v for n in _REQUEST_IDS if (v := response.headers.get(n))), "")
    raw = b""
    while len(raw) < _ANSWER_BYTES and not response.content.at_eof():
        raw += await response.content.read(_ANSWER_BYTES - len(raw))
    words = _words(raw)
    return Answer(
        response.status,
        raw.decode("utf-8", "replace") if words is None else words,
        spoken=words is not None,
        request_id=_http.printable(request_id, 100),
        wish=_http.retry_after(response.headers.get("Retry-After"), datetime.now(UTC)),
    )


def _words(raw: bytes) -> str | None:
    """Return what InfluxDB says: `error` in version 1, `message` in 2; None for another's words."""
    try:
        said = msgspec.json.decode(raw, type=dict[str, object])
    except msgspec.DecodeError:
        return None
    words = said.get("error") or said.get("message")
    return words if isinstance(words, str) else None


def write_url(settings: Settings) -> URL:
    """Return where lines are posted to."""
    given = {"org": settings.org, "bucket": settings.bucket, "precision": settings.precision}
    path = "api/v2/write"
    if settings.version == "1":
        path, precision = "write", _PRECISIONS[settings.precision]
        given = {"db": settings.database, "rp": settings.retention_policy, "precision": precision}
    query = {name: value for name, value in given.items() if value is not None}
    return (URL(settings.url) / path).with_query(query)


def _headers(settings: Settings) -> dict[str, str]:
    headers = {"Content-Type": "text/plain; charset=utf-8", "Accept": "application/json"}
    if settings.compress:
        headers["Content-Encoding"] = "gzip"
    if settings.token is not None:
        headers["Authorization"] = f"Token {settings.token.get_secret_value()}"
    elif settings.username is not None:
        password = settings.password.get_secret_value() if settings.password else ""
        headers["Authorization"] = aiohttp.encode_basic_auth(settings.username, password, "utf-8")
    return headers


@asynccontextmanager
async def connect(settings: Settings, surroundings: Surroundings) -> AsyncIterator[InfluxDb]:
    """Open a client for the server for as long as the context lasts."""
    async with _http.open_client(surroundings) as client:
        yield InfluxDb(settings, client, write_url(settings), _headers(settings))


TYPE = IntegrationType(
    docs=__doc__,
    settings=Settings,
    limits=LIMITS,
    connect=connect,
    address=lambda settings: str(write_url(settings)),
    presets=PRESETS,
    verdicts=VERDICTS,
    timeout_seconds=lambda settings: settings.timeout_seconds,
    linger_seconds=lambda settings: settings.flush_seconds,
    format="line_protocol",
)
