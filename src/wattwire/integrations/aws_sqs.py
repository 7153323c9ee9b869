"""# Amazon SQS

Puts every message on one queue, standard or FIFO.

**You need** a queue and credentials that may do `sqs:SendMessage` on it: an access key, a profile
of the hub, and on top of either a role to assume (with an external ID if its trust policy asks
for one). Nothing else is asked of the account, not even when you press *Test*: the test sends a
real message.

**By name.** With a `queue_name` in place of a `queue_url` the hub asks SQS for the address, in the
region and the account of the credentials, once for each connection: that needs `sqs:GetQueueUrl`
as well. A queue that is not there is told as `Queue [name] does not exist (using region r).`

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
from functools import partial
from typing import Any, Final, Literal, Self

import msgspec
from pydantic import Field, model_validator

from wattwire.integrations import _aws, _aws_answers, _aws_batches
from wattwire.integrations._aws_access import Access
from wattwire.integrations._aws_batches import Dialect, Entry
from wattwire.integrations._sqs_queues import Queue
from wattwire.integrations.contract import (
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
    queue_url: str | None = Field(
        default=None,
        pattern=r"^https?://\S+$",
        max_length=2048,
        description="URL of the queue.",
        examples=["https://sqs.eu-central-1.amazonaws.com/123456789012/readings"],
    )
    queue_name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]+(\.fifo)?$",
        max_length=80,
        description="In place of its URL: its name in the region and account of the credentials.",
        examples=["readings"],
    )
    message_group_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        description="FIFO only: one group for all messages instead of one for each device.",
    )
    aws: Access = Field(description="Where, and as whom.")

    @property
    def fifo(self) -> bool:
        """Return whether the queue keeps order, which SQS says in its name."""
        return (self.queue_url or self.queue_name or "").endswith(".fifo")

    @model_validator(mode="after")
    def _names_one_queue(self) -> Self:
        if (self.queue_url is None) == (self.queue_name is None):
            raise ValueError("give either a queue_url or a queue_name")
        return self


@dataclass(frozen=True, slots=True)
class Sqs:
    """One queue, opened by connect()."""

    settings: Settings
    caller: _aws.Caller
    queue: Queue

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Send the batch in one call, without what SQS could not take."""
        url = await self.queue.url()
        if isinstance(url, Retry):
            return dict.fromkeys((message.id for message in batch), url)
        return await _aws_batches.send_written(batch, _DIALECT, partial(self._send, url))

    async def test(self, probe: Message) -> Outcome:
        """Send the probe as an ordinary message."""
        return (await self.deliver([probe]))[probe.id]

    async def _send(
        self, url: str, batch: Sequence[Message], texts: Mapping[str, str]
    ) -> _aws.Answer:
        entries = [self._entry(message, texts[message.id]) for message in batch]
        body = _encode({"QueueUrl": url, "Entries": entries})
        return await self.caller.request("POST", "/", _HEADERS, body)

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


def _entries(body: bytes, _batch: Sequence[Message]) -> Sequence[Entry]:
    result = _read_result(body)
    taken = [Entry(e.id, receipt=e.message_id) for e in result.taken or ()]
    failed = [Entry(e.id, "", e.code, e.text or "", e.sender_fault) for e in result.failed or ()]
    return [*taken, *failed]


_DIALECT: Final = Dialect(
    write=_aws_batches.text_of,
    unfit="not text that SQS takes",
    read=_entries,
    refusal=_aws_answers.json_refusal,
)


@asynccontextmanager
async def connect(settings: Settings, surroundings: Surroundings) -> AsyncIterator[Sqs]:
    """Open the queue for as long as the context lasts."""
    async with _aws.open_caller("sqs", settings.aws, surroundings) as caller:
        queue = Queue(
            caller, settings.queue_name or "", settings.aws.region, known=settings.queue_url
        )
        yield Sqs(settings, caller, queue)


def address(settings: Settings) -> str:
    """Return the queue's URL, or where it is looked for: `sqs://eu-central-1/readings`."""
    return settings.queue_url or f"sqs://{settings.aws.region}/{settings.queue_name}"


TYPE = IntegrationType(
    docs=__doc__,
    settings=Settings,
    limits=LIMITS,
    connect=connect,
    address=address,
    presets=Presets(),
    verdicts=_aws_answers.VERDICTS,
    timeout_seconds=lambda _: _aws.CALL_SECONDS,
    ordered=lambda settings: settings.fifo,
)
