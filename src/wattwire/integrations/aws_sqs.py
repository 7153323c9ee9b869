"""# Amazon SQS

Puts every message on one queue, standard or FIFO.

**You need** a queue and credentials that may do `sqs:SendMessage` on it: an access key, a profile
of the hub, and on top of either a role to assume (with an external ID if its trust policy asks
for one). Nothing else is asked of the account, not even when you press *Test*: the test sends a
real message.

**FIFO.** Messages of a device keep their order (or all of them, with a `message_group_id`), and
repeats within five minutes are dropped by SQS, because the deduplication ID is the message's.
Batches leave one at a time; a message that is refused and sent again later has lost its place.

**Repeats.** The attribute `message_id` stays the same over all attempts; `topic` and `device` are
attributes, too.

**Refusals.** SQS answers for each message. One that it calls the sender's fault is rejected and
kept as a dead letter; any other refusal is retried. Wrong credentials, a missing permission and a
missing queue pause the integration until its settings change or a test succeeds.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
from pydantic import Field

from wattwire.integrations import _aws, _aws_batches
from wattwire.integrations._aws_batches import Entry
from wattwire.integrations.contract import (
    IntegrationSettings,
    IntegrationType,
    Limits,
    Outcome,
    Outcomes,
    Presets,
    Rejected,
    Surroundings,
)
from wattwire.model import Message

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
# (10 entries, 1 MiB together with their attributes; read 2026-08)
LIMITS: Final = Limits(max_messages=10, max_bytes=1_048_576, overhead_bytes=2048)
_HEADERS: Final = {
    "content-type": "application/x-amz-json-1.0",
    "x-amz-target": "AmazonSQS.SendMessageBatch",
}
_encode: Final = msgspec.json.Encoder().encode


class Settings(IntegrationSettings):
    """Fields of the form, the API schema and the reference table."""

    type: Literal["aws_sqs"] = "aws_sqs"
    queue_url: str = Field(
        pattern=r"^https?://\S+$",
        max_length=2048,
        description="URL of the queue.",
        examples=["https://sqs.eu-central-1.amazonaws.com/123456789012/readings"],
    )
    message_group_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        description="FIFO only: one group for all messages instead of one for each device.",
    )
    aws: _aws.Access = Field(description="Where, and as whom.")

    @property
    def fifo(self) -> bool:
        """Return whether the queue keeps order, which SQS says in its name."""
        return self.queue_url.endswith(".fifo")


@dataclass(frozen=True, slots=True)
class Sqs:
    """One queue, opened by connect()."""

    settings: Settings
    caller: _aws.Caller

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Send the batch in one call, without what SQS could not take."""
        texts = {message.id: _aws_batches.text_of(message) for message in batch}
        refused = {i: Rejected("not text that SQS takes") for i, t in texts.items() if t is None}
        rest = [message for message in batch if message.id not in refused]
        if not rest:
            return refused
        call = self._post(rest, texts)
        answered = await _aws_batches.send_batch(rest, call, _entries, _refusal)
        return {**refused, **answered}

    async def test(self, probe: Message) -> Outcome:
        """Send the probe as an ordinary message."""
        return (await self.deliver([probe]))[probe.id]

    async def _post(self, batch: Sequence[Message], texts: Mapping[str, str | None]) -> _aws.Answer:
        entries = [self._entry(message, texts[message.id] or "") for message in batch]
        body = _encode({"QueueUrl": self.settings.queue_url, "Entries": entries})
        return await self.caller.post(_HEADERS, body)

    def _entry(self, message: Message, text: str) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "Id": message.id,
            "MessageBody": text,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value}
                for name, value in _aws_batches.attributes_of(message).items()
            },
        }
        if self.settings.fifo:
            fixed = self.settings.message_group_id
            entry["MessageGroupId"] = _aws_batches.group_of(message, fixed)
            entry["MessageDeduplicationId"] = message.id
        return entry


class _Taken(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    message_id: str = msgspec.field(name="MessageId")


class _Failed(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    code: str = msgspec.field(name="Code", default="")
    text: str | None = msgspec.field(name="Message", default=None)
    sender_fault: bool = msgspec.field(name="SenderFault", default=False)


class _Result(msgspec.Struct):
    taken: list[_Taken] | None = msgspec.field(name="Successful", default=None)
    failed: list[_Failed] | None = msgspec.field(name="Failed", default=None)


_read_result: Final = msgspec.json.Decoder(_Result).decode


def _entries(body: bytes) -> Sequence[Entry]:
    result = _read_result(body)
    taken = [Entry(e.id, receipt=e.message_id) for e in result.taken or ()]
    failed = [Entry(e.id, "", e.code, e.text or "", e.sender_fault) for e in result.failed or ()]
    return [*taken, *failed]


def _refusal(answer: _aws.Answer) -> tuple[str, str]:
    """Return code and text: `__type` is `com.amazonaws.sqs#Code`; the header has the older code."""
    if answer.body.startswith(b"<"):  # the front door's own words
        return _aws_batches.xml_refusal(answer)
    try:
        said = msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.DecodeError:
        return _aws_batches.unreadable(answer)
    code = answer.query_error.partition(";")[0] or str(said.get("__type", "")).rpartition("#")[2]
    return code, str(said.get("message") or said.get("Message") or "")


@asynccontextmanager
async def connect(settings: Settings, surroundings: Surroundings) -> AsyncIterator[Sqs]:
    """Open the queue for as long as the context lasts."""
    async with _aws.open_caller("sqs", settings.aws, surroundings) as caller:
        yield Sqs(settings, caller)


TYPE = IntegrationType(
    docs=__doc__,
    settings=Settings,
    limits=LIMITS,
    connect=connect,
    address=lambda settings: settings.queue_url,
    presets=Presets(),
    verdicts=_aws_batches.VERDICTS,
    timeout_seconds=lambda _: _aws.CALL_SECONDS,
    ordered=lambda settings: settings.fifo,
)
