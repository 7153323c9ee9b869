"""# Slack

Posts events to a channel: coloured by severity, with the device's values, a link to its dashboard
and, for what is urgent, a mention.

**You need** one of two things, from <https://api.slack.com/apps>:

* an *incoming webhook* (its URL is a secret). Slack fixes its channel, name and icon when it is
  made: `channel`, `username` and `icon` are sent along, but only old, custom webhooks heed them.
  A webhook's messages cannot form threads.
* a *bot token* (`xoxb-…`) of an app with the scope `chat:write`, invited to the channel with
  `/invite @app`. `username` and `icon` need `chat:write.customize` as well.

**Threads** need the token: what happens to an alert is posted as replies to its first message. The
hub remembers the first messages of the latest alerts in the memory of the process that delivers;
after a restart the next message stands in the channel again, and begins a new thread.

**Digests.** One message a second leaves; events that come faster are folded into one message that
lists them, the worst first. A critical event is never folded. What does not fit is cut, and it is
said how much. An event of more than 4 KB is kept as a dead letter unless you raise its limit
(`max_payload_bytes`).

**Preview.** `POST /api/v1/integration-types/slack/preview`, for one that exists
`POST /api/v1/integrations/{id}/preview`, and `wattwire integration preview --type slack` or `--id`
show the `text` (of notifications), the `blocks` and the coloured `attachments` of an event, or of a
digest (`count`), as Slack is sent them. Nothing is sent, and no token is needed.

**Repeats.** Slack does not recognise them: an attempt that was not answered may appear twice. The
message's id stands below it.

**Refusals.** A revoked token or webhook, a channel that is archived, unknown or closed to the app
pauses the integration until its settings change. 429 slows it down for as long as Slack asks. A
message that Slack cannot read (`invalid_blocks`, `msg_too_long`) is a dead letter. Anything else is
retried.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, Self

import aiohttp
import msgspec
from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator
from yarl import URL

from wattwire.integrations import _hidden_urls, _http
from wattwire.integrations._slack_answers import VERDICTS, api_answer, failed, webhook_outcome
from wattwire.integrations._slack_blocks import Style, check_places, written
from wattwire.integrations._telling import SeverityWord, deliver_folded, tell
from wattwire.integrations.contract import (
    TIMED_OUT,
    UNREACHABLE,
    Delivered,
    IntegrationSettings,
    IntegrationType,
    Limits,
    Outcome,
    Outcomes,
    Part,
    Presets,
    Preview,
    Retry,
    Surroundings,
    UnreachableError,
)
from wattwire.model import Message

LIMITS: Final = Limits(max_messages=500, max_bytes=4_194_304)
# seeds' table of limits: 1 message a second, 1 connection, 4 KB;
# https://docs.slack.dev/apis/web-api/rate-limits (1 per second and channel; read 2026-08)
PRESETS: Final = Presets(rate_per_minute=60, max_concurrent=1, max_payload_bytes=4096)
_ANSWER_BYTES: Final = 262_144  #: chat.postMessage repeats the whole message
_MOST_THREADS: Final = 10_000
_MESSAGES_PATIENCE: Final = 2

#: The first message of each alert, by its place (token and channel) and the alert; the oldest is
#: forgotten first. It outlives the connection, which is closed whenever a minute was silent.
_THREADS: Final[dict[tuple[str, str], str]] = {}

Mention = Annotated[
    str, StringConstraints(pattern=r"^([UWS][A-Z0-9]{2,20}|here|channel|everyone)$")
]


class Settings(IntegrationSettings):
    """Fields of the form, the API schema and the reference table."""

    type: Literal["slack"] = "slack"
    webhook_url: SecretStr | None = Field(
        default=None,
        max_length=2048,
        description="URL of an incoming webhook; or give a token. Webhooks cannot make threads.",
    )
    token: SecretStr | None = Field(
        default=None,
        max_length=500,
        description="Bot token (xoxb-…) with chat:write; needed for threads.",
    )
    channel: str | None = Field(
        default=None,
        pattern=r"^[#@]?[^\s#@<>&,|]{1,80}$",
        description="Channel, #alerts or its id. Needed with a token; most webhooks ignore it.",
        examples=["#alerts"],
    )
    username: str | None = Field(
        default=None,
        min_length=1,
        max_length=80,
        description="Name that messages bear; most webhooks ignore it.",
    )
    icon: str | None = Field(
        default=None,
        max_length=500,
        pattern=r"^(:[a-z0-9_+'-]{1,100}:|https://\S+)$",
        description="Emoji (:zap:) or URL of an image; most webhooks ignore it.",
    )
    threads: Literal["alerts", "none"] = Field(
        default="alerts",
        description="Whether follow-ups of an alert are replies to its first message (token only).",
    )
    mentions: list[Mention] = Field(
        default_factory=list,
        max_length=20,
        description="Who is called: ids of users (U…) and groups (S…), here, channel, everyone.",
    )
    mention_for: list[SeverityWord] = Field(
        default=["critical"], max_length=4, description="For which severities they are called."
    )
    dashboard_url: str | None = Field(
        default=None,
        max_length=1000,
        pattern=r"^https?://[^\s<>|]+$",
        description="Link of the button; may hold {device_key}, {device_id}, {site}, {stream}, "
        "{topic}, {severity}, {organization_id}.",
        examples=["https://hub.example.com/devices/{device_id}"],
    )
    api_url: str = Field(
        default="https://slack.com/api/",
        max_length=500,
        pattern=r"^https?://[^\s?#@]+/$",
        description="Where Slack's Web API is; for GovSlack https://slack-gov.com/api/.",
    )
    timeout_seconds: float = Field(
        default=30.0, ge=1, le=120, description="How long an answer may take."
    )

    @field_validator("webhook_url")
    @classmethod
    def _is_plain_http(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            url = URL(value.get_secret_value())
            if url.scheme not in {"http", "https"} or not url.host or url.user is not None:
                raise ValueError("must be an address such as https://hooks.slack.com/services/…")
        return value

    @field_validator("token")
    @classmethod
    def _is_a_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"xox[a-z.-]+[!-~]+", value.get_secret_value()):
            raise ValueError("must be a token such as xoxb-…")
        return value

    @field_validator("username")
    @classmethod
    def _is_one_line(cls, value: str | None) -> str | None:
        if value is not None and value != _http.printable(value):
            raise ValueError("must be one line of printable text")
        return value

    @field_validator("dashboard_url")
    @classmethod
    def _has_known_places(cls, value: str | None) -> str | None:
        check_places(value or "")
        return value

    @model_validator(mode="after")
    def _goes_one_way(self) -> Self:
        if (self.webhook_url is None) == (self.token is None):
            raise ValueError("give either a webhook_url or a token")
        if self.token is not None and self.channel is None:
            raise ValueError("a token needs a channel")
        return self


@dataclass(frozen=True, slots=True)
class Slack:
    """One channel, opened by connect()."""

    settings: Settings
    client: aiohttp.ClientSession
    url: URL = field(repr=False)
    style: Style
    fixed: Mapping[str, Any]  #: what every message holds
    headers: Mapping[str, str] = field(repr=False)
    place: str  #: tells this channel from all others
    hide: Callable[[str], str]  #: what Slack says, without the URL of a webhook

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Post each critical message, and one message about all the others."""
        seconds = _MESSAGES_PATIENCE * self.settings.timeout_seconds
        return await deliver_folded(batch, self._send, VERDICTS, seconds)

    async def test(self, probe: Message) -> Outcome:
        """Post the probe as an ordinary message."""
        return await self._send([probe])

    async def _send(self, batch: Sequence[Message]) -> Outcome:
        thread = self._thread(batch)
        payload = {**self.fixed, **written(batch, self.style)}
        if thread in _THREADS:
            payload["thread_ts"] = _THREADS[thread]
        try:
            async with asyncio.timeout(self.settings.timeout_seconds):
                status, headers, body = await self._post(msgspec.json.encode(payload))
        except TimeoutError:
            text = f"no answer within {self.settings.timeout_seconds:g} s"
            return Retry(text, code=TIMED_OUT)
        except UnreachableError as error:
            return Retry(str(error), code=UNREACHABLE)
        if self.settings.token is None:
            said = self.hide(body.decode("utf-8", "replace"))
            return webhook_outcome(status, headers, said.encode())
        return _api_outcome(status, headers, body, thread)

    async def _post(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        with _http.explained(self.hide):
            async with self.client.post(
                self.url, data=body, headers=self.headers, allow_redirects=False
            ) as response:
                answer = b""
                while len(answer) < _ANSWER_BYTES and not response.content.at_eof():
                    answer += await response.content.read(_ANSWER_BYTES - len(answer))
                return response.status, response.headers, answer

    def _thread(self, batch: Sequence[Message]) -> tuple[str, str]:
        alone = self.settings.threads == "alerts" and len(batch) == 1
        return self.place, tell(batch[0]).alert if alone else ""


def _api_outcome(
    status: int, headers: Mapping[str, str], body: bytes, thread: tuple[str, str]
) -> Outcome:
    answer = api_answer(body)
    error = str(answer.get("error", ""))
    if status != 200 or answer.get("ok") is not True:  # noqa: PLR2004 - what the Web API says even of failures
        if error == "thread_not_found":  # its first message was deleted
            _THREADS.pop(thread, None)
        return failed(status, headers, error, body)
    ts = _http.printable(str(answer.get("ts", "")), 50)
    if thread[1] and ts:
        _remember(thread, ts)
    channel = _http.printable(str(answer.get("channel", "")), 50)
    return Delivered(receipt=f"{channel} {ts}".strip() or "ok", status=status)


def _remember(thread: tuple[str, str], ts: str) -> None:
    _THREADS.setdefault(thread, ts)
    while len(_THREADS) > _MOST_THREADS:
        del _THREADS[next(iter(_THREADS))]


@asynccontextmanager
async def connect(settings: Settings, surroundings: Surroundings) -> AsyncIterator[Slack]:
    """Open a client for the channel for as long as the context lasts."""
    headers = {"Content-Type": "application/json; charset=utf-8", "Accept-Encoding": "identity"}
    if settings.token is not None:
        headers["Authorization"] = f"Bearer {settings.token.get_secret_value()}"
    async with _http.open_client(surroundings) as client:
        yield Slack(
            settings=settings,
            client=client,
            url=_url(settings),
            style=_style(settings),
            fixed=_fixed(settings),
            headers=headers,
            place=_place(settings),
            hide=_hidden_urls.hider(_url(settings)) if settings.webhook_url else str,
        )


def _style(settings: Settings) -> Style:
    return Style(settings.mentions, frozenset(settings.mention_for), settings.dashboard_url)


def _parts(settings: Settings, batch: Sequence[Message]) -> Sequence[Part]:
    said = written(batch, _style(settings))
    shown = {name: msgspec.json.encode(said[name]).decode() for name in ("blocks", "attachments")}
    return [
        Part("text", "text/plain", said["text"]),
        *(Part(name, "application/json", text) for name, text in shown.items()),
    ]


def _place(settings: Settings) -> str:
    token = settings.token.get_secret_value() if settings.token else ""
    text = "\n".join((settings.api_url, token, settings.channel or ""))
    return hashlib.sha256(text.encode()).hexdigest()


def _url(settings: Settings) -> URL:
    if settings.webhook_url is not None:
        return URL(settings.webhook_url.get_secret_value())
    return URL(settings.api_url) / "chat.postMessage"


def _fixed(settings: Settings) -> Mapping[str, Any]:
    icon = settings.icon or ""
    known = {
        "channel": settings.channel,
        "username": settings.username,
        "icon_emoji": icon if icon.startswith(":") else None,
        "icon_url": icon if icon.startswith("http") else None,
    }
    given = {name: value for name, value in known.items() if value is not None}
    return {**given, "unfurl_links": False, "unfurl_media": False}


def address(settings: Settings) -> str:
    """Return where messages go, without the part of a webhook's URL that is its secret."""
    place = f" {settings.channel}" if settings.channel else ""
    if settings.webhook_url is not None:
        return f"{_url(settings).origin()}/…{place}"
    return f"{_url(settings)}{place}"


TYPE = IntegrationType(
    docs=__doc__,
    settings=Settings,
    limits=LIMITS,
    connect=connect,
    address=address,
    presets=PRESETS,
    verdicts=VERDICTS,
    timeout_seconds=lambda settings: (_MESSAGES_PATIENCE + 1) * settings.timeout_seconds,
    folds=True,
    preview=Preview(
        parts=_parts,
        unseen=frozenset(("webhook_url", "token")),
        stand_ins={"webhook_url": "https://hooks.slack.com/services/preview"},
    ),
)
