"""The calls of AWS IoT's data plane, and where it is."""

import asyncio
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

import msgspec
from yarl import URL

from wattwire.integrations import _aws, _aws_answers
from wattwire.integrations.contract import Delivered, Outcome, Retry
from wattwire.model import Event, Message

#: Messages to a rule directly, not through the broker.
BASIC_INGEST: Final = "$aws/rules/"
_SERVICE: Final = "iotdata"
_MOST_SLASHES: Final = 7
_MOST_TOPIC_BYTES: Final = 256
_LONGEST_TOKEN: Final = 64
_THING: Final = re.compile(r"[a-zA-Z0-9:_-]{1,128}")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?")
_encode: Final = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of the data plane, and what a good answer means."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    read: Callable[[_aws.Answer], Outcome]


@dataclass(slots=True)
class DataPlane:
    """Each account has an address of its own: the one that was given, or what AWS says."""

    control: _aws.Caller
    endpoint: str | None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _caller: _aws.Caller | None = None

    async def caller(self) -> _aws.Caller | Retry:
        """Return the way there, or why it was not found. Raises UnreachableError, TimeoutError."""
        if self._caller is not None:
            return self._caller
        async with self._lock:
            if self._caller is None:
                found = self.endpoint or await self._ask()
                if isinstance(found, Retry):
                    return found
                origin = URL(f"{self.control.origin.scheme}://{found}")
                self._caller = self.control.at(origin, _SERVICE)
            return self._caller

    async def _ask(self) -> str | Retry:
        call = self.control.request("GET", "/endpoint", {}, query="endpointType=iot%3AData-ATS")
        answer = await _aws_answers.answer_of(call, _aws_answers.json_refusal)
        if isinstance(answer, Retry):
            return answer
        found = str(_said(answer).get("endpointAddress", ""))
        return found if _HOST.fullmatch(found) else Retry("AWS IoT named no endpoint")


def publication(topic: str, message: Message, *, retain: bool) -> Call:
    """Return the call that publishes with QoS 1. Raises ValueError for a topic AWS refuses."""
    check_topic(topic)
    named = b64encode(_encode([{"message_id": message.id}])).decode()
    return Call(
        "POST",
        f"/topics/{_encoded(topic)}",
        f"contentType={_encoded(message.content_type)}&qos=1{'&retain=true' * retain}",
        {"x-amz-mqtt5-user-properties": named, "content-type": "application/octet-stream"},
        message.body,
        _published,
    )


@lru_cache(maxsize=4096)
def _encoded(text: str) -> str:
    return quote(text, safe="")


def check_topic(topic: str) -> None:
    """Raise ValueError, saying why, for a topic that AWS IoT does not take."""
    bare = topic.removeprefix(BASIC_INGEST)
    if bare != topic:
        rule, _, bare = bare.partition("/")
        if not rule or not bare:
            raise ValueError(f"{BASIC_INGEST} is followed by the name of a rule and a topic")
    elif topic.startswith("$"):
        raise ValueError("a topic that begins with $ is AWS' own")
    if bare.count("/") > _MOST_SLASHES:
        raise ValueError(f"a topic of AWS IoT has at most {_MOST_SLASHES} slashes: {topic[:300]}")
    if len(topic.encode()) > _MOST_TOPIC_BYTES:
        raise ValueError(f"a topic of AWS IoT has at most {_MOST_TOPIC_BYTES} bytes: {topic[:300]}")
    if topic in {".", ".."}:
        raise ValueError(f"the topic {topic} cannot be written in an address")


def _published(answer: _aws.Answer) -> Outcome:
    said = _said(answer)
    trace = said.get("traceId") or answer.headers.get("x-amzn-requestid")
    return Delivered(receipt=str(trace or f"HTTP {answer.status}"), status=answer.status)


def shadow_update(thing: str, event: Event, message: Message) -> Call:
    """Return the call that reports readings. Raises ValueError for a name AWS refuses."""
    if not _THING.fullmatch(thing):
        raise ValueError(f"{thing[:300]!r} is no thing's name: letters, digits and : _ - only")
    update: dict[str, Any] = {"state": {"reported": reported(event)}}
    if len(message.id) <= _LONGEST_TOKEN:
        update["clientToken"] = message.id
    headers = {"content-type": "application/json"}

    def updated(answer: _aws.Answer) -> Outcome:
        version = _said(answer).get("version")
        if not isinstance(version, int):
            return Retry("the answer names no version of the shadow", status=answer.status)
        return Delivered(receipt=f"{thing} version {version}", status=answer.status)

    return Call("POST", f"/things/{quote(thing)}/shadow", "", headers, _encode(update), updated)


def reported(event: Event) -> dict[str, Any]:
    """Return what a reading adds to a shadow: its values under their stream.

    A shadow is merged: streams of one device would overwrite each other without their names, and
    what is null would be deleted, where it only was not measured.
    """
    values = event.data.get("values")
    measured = values if isinstance(values, Mapping) else event.data
    found = {name: value for name, value in measured.items() if value is not None}
    stream = event.stream.strip("/")
    return {stream: found} if stream else found


def _said(answer: _aws.Answer) -> dict[str, Any]:
    """Return an answer that is an object of JSON, {} for any other."""
    try:
        return msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
