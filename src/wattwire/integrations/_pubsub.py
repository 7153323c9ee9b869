"""Publishing to one Pub/Sub topic over REST, which both Google types do.

A call is taken or refused as a whole. When Google calls one invalid, a single message may be at
fault (one that does not fit the topic's schema, say): the batch is halved until that one is found.
"""

import io
import os
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from wattwire.integrations import _calls, _google, _http
from wattwire.integrations.contract import (
    HTTP_VERDICTS,
    Delivered,
    Limits,
    Outcome,
    Outcomes,
    Rejected,
    Retry,
    Surroundings,
    Verdict,
)
from wattwire.model import Message

# https://cloud.google.com/pubsub/quotas#resource_limits
# (1,000 messages and 10 MB a request; 100 attributes, keys of 256 bytes, values of 1,024; read
# 2026-08.) The request is counted as it is sent: bodies grow by a third in base64.
MOST_MESSAGES: Final = 1000
MOST_REQUEST_BYTES: Final = 10_000_000
LIMITS: Final = Limits(max_messages=MOST_MESSAGES, max_bytes=7_000_000, overhead_bytes=512)
LONGEST_NAME: Final = 256
LONGEST_VALUE: Final = 1024

PUBLIC: Final = "https://pubsub.googleapis.com"
#: Of a signed token, wherever it is sent: regional endpoints take the same.
AUDIENCE: Final = f"{PUBLIC}/"
SCOPE: Final = "https://www.googleapis.com/auth/pubsub"
#: The operator's word that all of the hub publishes to an emulator, as Google's libraries know it.
EMULATOR_VARIABLE: Final = "PUBSUB_EMULATOR_HOST"
#: A topic's name: https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
PROJECT: Final = r"[a-z0-9.:-]{1,100}"
TOPIC: Final = r"(?!goog)[A-Za-z][-A-Za-z0-9_.~+%]{2,254}"

#: Calls for one batch: enough to find a bad message among 1,000 five times over.
MOST_CALLS: Final = 100
#: Above this aiohttp warns of bodies that are sent at one go.
_LARGE_BYTES: Final = 1_048_576
#: A message id for each of 1,000 messages, and room.
MOST_ANSWER_BYTES: Final = 131_072

VERDICTS: Final[Mapping[str, Verdict]] = {
    **HTTP_VERDICTS,
    "UNAUTHENTICATED": Verdict.PARK,
    "PERMISSION_DENIED": Verdict.PARK,
    "NOT_FOUND": Verdict.PARK,  # the topic: as little use in sending on as with a wrong key
    "FAILED_PRECONDITION": Verdict.PARK,  # its encryption key or its schema is gone
    "RESOURCE_EXHAUSTED": Verdict.THROTTLE,
    "UNAVAILABLE": Verdict.DOWN,
    "DEADLINE_EXCEEDED": Verdict.RETRY,
    # of the token endpoint
    "invalid_grant": Verdict.PARK,
    "invalid_client": Verdict.PARK,
    "unauthorized_client": Verdict.PARK,
    "invalid_scope": Verdict.PARK,
}
_INVALID: Final = "INVALID_ARGUMENT"
_WAITS: Final = Retry("waits for an earlier message that was not taken")
_UNTOLD: Final = Retry("sent with messages that Pub/Sub refuses; not told apart from them yet")
_HEADERS: Final = {"Content-Type": "application/json"}


class _Written(msgspec.Struct, omit_defaults=True):
    attributes: dict[str, str]
    data: bytes = b""
    ordering_key: str = msgspec.field(name="orderingKey", default="")


@dataclass(frozen=True, slots=True)
class Item:
    """One message as Pub/Sub is to get it."""

    id: str
    written: bytes  #: JSON


_encode: Final = msgspec.json.Encoder().encode


def item(message: Message, attributes: Mapping[str, str], ordering_key: str = "") -> Item:
    """Write one message; attributes that Pub/Sub would refuse are left out."""
    fitting = {n: v for n, v in attributes.items() if _fits(n, v)}
    return Item(message.id, _encode(_Written(fitting, message.body, ordering_key)))


def _fits(name: str, value: str) -> bool:
    sizes = len(name.encode(errors="replace")), len(value.encode(errors="replace"))
    return 0 < sizes[0] <= LONGEST_NAME and sizes[1] <= LONGEST_VALUE


def check_attributes(attributes: Mapping[str, str]) -> Mapping[str, str]:
    """Return attributes that a person set. Raises ValueError for what Pub/Sub refuses."""
    for name, value in attributes.items():
        if not _fits(name, value) or name.startswith("goog"):
            raise ValueError(
                f"{name!r}: a name has 1 to 256 bytes and does not begin with goog, "
                "a value has at most 1,024"
            )
    if (
        sum(len(n.encode()) + len(v.encode()) for n, v in attributes.items())
        > LIMITS.overhead_bytes
    ):
        raise ValueError("are longer than 512 bytes together: they travel with every message")
    return attributes


@dataclass(frozen=True, slots=True)
class Publisher:
    """One topic. Each message gets the outcome of the call that it was in."""

    client: aiohttp.ClientSession
    url: URL
    tokens: _google.Tokens | None  #: None: an emulator, which asks for none
    ordered: bool = False

    async def publish(self, items: Sequence[Item]) -> Outcomes:
        """Send items in their order, in as few calls as there can be; halve what is invalid."""
        outcomes: dict[str, Outcome] = {}
        waiting = list(reversed(list(_pieces(items))))
        stopped: Outcome | None = None
        for _ in range(MOST_CALLS):
            if not waiting or stopped is not None:
                break
            piece = waiting.pop()
            said = await self._call(piece)
            if _is_invalid(said[0]) and len(piece) > 1:
                half = len(piece) // 2
                waiting += [piece[half:], piece[:half]]
                continue
            outcomes |= {one.id: outcome for one, outcome in zip(piece, said, strict=True)}
            stopped = self._stopped_by(said[0])
        left = stopped or _UNTOLD
        return {**dict.fromkeys((one.id for piece in waiting for one in piece), left), **outcomes}

    def _stopped_by(self, outcome: Outcome) -> Outcome | None:
        """Return what the messages that were not sent get, if no more are to be."""
        if _calls.halts(outcome, VERDICTS):
            return outcome
        return _WAITS if self.ordered and isinstance(outcome, Retry) else None

    async def _call(self, piece: Sequence[Item]) -> Sequence[Outcome]:
        answer = await _calls.outcome_of(self._post(piece))
        if isinstance(answer, Retry):
            return [answer] * len(piece)
        return answer

    async def _post(self, piece: Sequence[Item]) -> Sequence[Outcome]:
        headers = dict(_HEADERS)
        try:
            if self.tokens is not None:
                headers["Authorization"] = f"Bearer {await self.tokens.bearer()}"
        except _google.RefusedKeyError as error:
            return [error.outcome] * len(piece)
        body = b'{"messages":[' + b",".join(one.written for one in piece) + b"]}"
        with _http.explained():
            async with self.client.post(
                self.url, data=_sendable(body), headers=headers, allow_redirects=False
            ) as response:
                answer = await _calls.read_answer(response, MOST_ANSWER_BYTES)
                return self._read(response, answer, len(piece))

    def _read(self, response: aiohttp.ClientResponse, body: bytes, count: int) -> Sequence[Outcome]:
        if response.status == 200:  # noqa: PLR2004 - the only good answer
            return _taken(body, count)
        if response.status == 401 and self.tokens is not None:  # noqa: PLR2004 - not the token's time
            self.tokens.forget()
        return [_refused(response, body)] * count


def _sendable(body: bytes) -> bytes | io.BytesIO:
    """Return a body so that aiohttp hands it to the socket bit by bit when it is large."""
    return body if len(body) <= _LARGE_BYTES else io.BytesIO(body)


def _pieces(items: Sequence[Item]) -> Iterable[Sequence[Item]]:
    """Cut items into calls; the engine did, but what is around the bodies is not its to know."""
    start = size = 0
    for at, one in enumerate(items):
        size += len(one.written) + 1
        if at > start and (size > MOST_REQUEST_BYTES - 100 or at - start >= MOST_MESSAGES):
            yield items[start:at]
            start, size = at, len(one.written) + 1
    if items:
        yield items[start:]


def _is_invalid(outcome: Outcome) -> bool:
    return isinstance(outcome, Rejected) and outcome.code == _INVALID


class _Result(msgspec.Struct):
    ids: list[str] = msgspec.field(name="messageIds", default_factory=list)


_read_result: Final = msgspec.json.Decoder(_Result).decode


def _taken(body: bytes, count: int) -> Sequence[Outcome]:
    try:
        ids = _read_result(body).ids
    except (msgspec.MsgspecError, UnicodeDecodeError):
        ids = []
    if len(ids) != count:
        return [Retry("HTTP 200, but not with a message ID for each message", status=200)] * count
    return [Delivered(receipt=_http.printable(i, 200), status=200) for i in ids]


class _Error(msgspec.Struct):
    message: str = ""
    status: str = ""


class _Refusal(msgspec.Struct):
    error: _Error


_read_refusal: Final = msgspec.json.Decoder(_Refusal).decode
_STATUS: Final = re.compile("[A-Z_]{2,40}")


def _refused(response: aiohttp.ClientResponse, body: bytes) -> Outcome:
    """Return what a refusal means: https://cloud.google.com/pubsub/docs/reference/error-codes."""
    status = response.status
    try:
        said = _read_refusal(body).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = _Error(message=body[: _http.EXCERPT_BYTES].decode(errors="replace"))
    code = said.status if _STATUS.fullmatch(said.status) else ""
    reason = f"HTTP {status} {code}".rstrip() + f": {_http.printable(said.message, 1000)}"
    if code == _INVALID:
        return Rejected(reason, status=status, code=code)
    wish = _http.retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    return Retry(reason, after=wish, status=status, code=code)


def emulator() -> str | None:
    """Return the address of the operator's emulator, None where there is none."""
    host = os.environ.get(EMULATOR_VARIABLE, "").strip()
    return f"http://{host}" if host else None


@asynccontextmanager
async def open_publisher(
    surroundings: Surroundings,
    topic: str,
    account: _google.ServiceAccount | None,
    *,
    way: _google.Way = "signed",
    endpoint: str | None = None,
    ordered: bool = False,
) -> AsyncIterator[Publisher]:
    """Open the way to a topic (`projects/P/topics/T`).

    Where it is not encrypted (an emulator) no token is sent, as Google's own libraries do it.
    """
    base = endpoint or emulator() or PUBLIC
    url = URL(f"{base}/v1/{quote(topic, safe='/')}:publish", encoded=True)
    async with _http.open_client(surroundings) as client:
        tokens: _google.Tokens | None = None
        if account is not None and url.scheme == "https":
            tokens = (
                _google.SignedTokens(account, AUDIENCE)
                if way == "signed"
                else _google.ExchangedTokens(account, SCOPE, client)
            )
        yield Publisher(client, url, tokens, ordered)
