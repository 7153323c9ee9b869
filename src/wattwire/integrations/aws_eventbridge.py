"""# Amazon EventBridge

Puts every event on a bus, where rules send it on to other services of AWS.

**You need** a bus (every account has `default`) and credentials that may do `events:PutEvents` on
it: an access key, a profile of the hub, and on top of either a role to assume (with an external ID
if its trust policy asks for one). Nothing else is asked of the account, not even when you press
*Test*: the test puts a real event.

**What rules see.** `detail-type` is the event's topic, `source` is what the settings say, `time` is
when it happened, and `detail` is the body, which has to be a JSON object:

    {"source": ["wattwire"], "detail-type": ["device.alert"]}

**Repeats.** `detail.message_id` stays the same over all attempts; EventBridge itself gives each
attempt another id.

**Refusals.** EventBridge answers for each event. A body that is no JSON object, and what it calls
malformed or invalid, is rejected and kept as a dead letter; any other refusal is retried. Wrong
credentials, a missing permission and a missing bus pause the integration, with AWS' own words as
the reason. That an event was taken does not mean that a rule asked for it.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import msgspec
from pydantic import Field, field_validator, model_validator

from wattwire.integrations import _aws, _aws_answers, _aws_batches, _json_bodies
from wattwire.integrations._aws_access import Access, check_region
from wattwire.integrations._aws_batches import Dialect, Entry
from wattwire.integrations.contract import (
    IntegrationSettings,
    IntegrationType,
    Limits,
    Outcome,
    Outcomes,
    Presets,
    Surroundings,
    Verdict,
)
from wattwire.model import Message

# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
# (10 entries; together under 256 KB, in some regions 1 MB: the smaller works everywhere;
# read 2026-11)
LIMITS: Final = Limits(max_messages=10, max_bytes=262_144, overhead_bytes=768)
_HEADERS: Final = {
    "content-type": "application/x-amz-json-1.1",
    "x-amz-target": "AWSEvents.PutEvents",
}
_LONGEST_DETAIL_TYPE: Final = 128
#: What another attempt would not change.
_SENDERS_FAULTS: Final = frozenset({"InvalidArgument", "MalformedDetail"})
VERDICTS: Final[Mapping[str, Verdict]] = {
    **_aws_answers.VERDICTS,
    "NotAuthorizedForSourceException": Verdict.PARK,
    "NotAuthorizedForDetailTypeException": Verdict.PARK,
}
_encode: Final = msgspec.json.Encoder().encode


class Settings(IntegrationSettings):
    """Fields of the form, the API schema and the reference table."""

    type: Literal["aws_eventbridge"] = "aws_eventbridge"
    event_bus: str = Field(
        default="default",
        pattern=r"^(arn:[a-z-]+:events:[a-z0-9-]+:\d{12}:event-bus/)?[A-Za-z0-9/_.-]{1,256}$",
        description="Name of the bus, or its ARN if it belongs to another account.",
        examples=["default", "arn:aws:events:eu-central-1:123456789012:event-bus/energy"],
    )
    source: str = Field(
        default="wattwire",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9/_.-]{0,255}$",
        description="What rules know these events by.",
        examples=["com.example.energy"],
    )
    aws: Access = Field(description="Where, and as whom.")

    @field_validator("source")
    @classmethod
    def _is_ours_to_name(cls, value: str) -> str:
        if value.lower().startswith("aws."):
            raise ValueError("sources that begin with aws. are AWS' own")
        return value

    @model_validator(mode="after")
    def _the_bus_is_in_the_region(self) -> Self:
        if self.event_bus.startswith("arn:"):
            check_region(self.event_bus, self.aws.region)
        return self


class _Placed(msgspec.Struct):
    id: str | None = msgspec.field(name="EventId", default=None)
    code: str | None = msgspec.field(name="ErrorCode", default=None)
    text: str | None = msgspec.field(name="ErrorMessage", default=None)


class _Result(msgspec.Struct):
    entries: list[_Placed] = msgspec.field(name="Entries")


_read_result: Final = msgspec.json.Decoder(_Result).decode


@dataclass(frozen=True, slots=True)
class EventBridge:
    """One bus, opened by connect()."""

    settings: Settings
    caller: _aws.Caller

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Send the batch in one call, without what cannot be a `detail`."""
        return await _aws_batches.send_written(batch, _DIALECT, self._send)

    async def test(self, probe: Message) -> Outcome:
        """Put the probe as an ordinary event."""
        return (await self.deliver([probe]))[probe.id]

    async def _send(self, batch: Sequence[Message], texts: Mapping[str, str]) -> _aws.Answer:
        entries = [self._entry(message, texts[message.id]) for message in batch]
        return await self.caller.request("POST", "/", _HEADERS, _encode({"Entries": entries}))

    def _entry(self, message: Message, detail: str) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "EventBusName": self.settings.event_bus,
            "Source": self.settings.source,
            "DetailType": message.topic[:_LONGEST_DETAIL_TYPE] or "event",
            "Detail": detail,
        }
        if message.event is not None:
            entry["Time"] = int(message.event.time.timestamp())
        return entry


def _detail(message: Message) -> str | None:
    detail = _json_bodies.identified(message)
    return None if detail is None else detail.decode()


def _entries(body: bytes, batch: Sequence[Message]) -> Sequence[Entry]:
    """Read the events' fates, which come in the order of the events."""
    placed = zip(batch, _read_result(body).entries, strict=True)
    return [
        Entry(m.id, p.id or "", _code(p), p.text or "", p.code in _SENDERS_FAULTS)
        for m, p in placed
    ]


def _code(placed: _Placed) -> str:
    """Return why it was refused; what has neither an id nor a code was not taken for sure."""
    return placed.code or ("" if placed.id else "NoEventId")


_DIALECT: Final = Dialect(
    write=_detail,
    unfit="not a JSON object, as EventBridge asks of a detail",
    read=_entries,
    refusal=_aws_answers.json_refusal,
)


@asynccontextmanager
async def connect(settings: Settings, surroundings: Surroundings) -> AsyncIterator[EventBridge]:
    """Open the bus for as long as the context lasts."""
    async with _aws.open_caller("events", settings.aws, surroundings) as caller:
        yield EventBridge(settings, caller)


TYPE = IntegrationType(
    docs=__doc__,
    settings=Settings,
    limits=LIMITS,
    connect=connect,
    address=lambda settings: f"{settings.event_bus} as {settings.source}",
    presets=Presets(max_payload_bytes=LIMITS.max_bytes - LIMITS.overhead_bytes),
    verdicts=VERDICTS,
    timeout_seconds=lambda _: _aws.CALL_SECONDS,
)
