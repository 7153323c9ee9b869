"""# Amazon SQS

Puts every message on one queue, standard or FIFO.

**You need** a queue and credentials that may do `sqs:SendMessage` on it: an access key, a profile of
the hub, and on top of either a role to assume (with an external ID if its trust policy asks for one).
Nothing else is asked of the account, not even when you press *Test*: the test sends a real message.

**FIFO.** Messages of a device keep their order (or all of them, with a `message_group_id`), and
repeats within five minutes are dropped by SQS, because the deduplication ID is the message's. Batches
leave one at a time; a message that is refused and sent again later has lost its place.

**Repeats.** The attribute `message_id` stays the same over all attempts; `topic` and `device` are
attributes, too.

**Refusals.** SQS answers for each message. One that it calls the sender's fault is rejected and kept
as a dead letter; any other refusal is retried. Wrong credentials, a missing permission and a missing
queue pause the integration until its settings change or a test succeeds.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import Field

from wattwire.integrations import _aws
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
    aws: _aws.Access = Field(description="Region and credentials.")

    @property
    def fifo(self) -> bool:
        """Return whether the queue keeps order, which SQS says in its name."""
        return self.queue_url.endswith(".fifo")


@dataclass(frozen=True, slots=True)
class Sqs:
    """One queue, opened by connect()."""

    settings: Settings
    client: Any

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Send the batch in one SendMessageBatch call, without what SQS could not take."""
        texts = {message.id: _aws.text_of(message) for message in batch}
        refused = {
            id_: Rejected("not text that SQS takes") for id_, t in texts.items() if t is None
        }
        rest = [message for message in batch if message.id not in refused]
        if not rest:
            return refused
        entries = [self._entry(message, texts[message.id] or "") for message in rest]
        call = self.client.send_message_batch(QueueUrl=self.settings.queue_url, Entries=entries)
        return {**refused, **await _aws.send_batch(rest, call)}

    async def test(self, probe: Message) -> Outcome:
        """Send the probe as an ordinary message."""
        return (await self.deliver([probe]))[probe.id]

    def _entry(self, message: Message, text: str) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "Id": message.id,
            "MessageBody": text,
            "MessageAttributes": _aws.attributes_of(message),
        }
        if self.settings.fifo:
            entry["MessageGroupId"] = _aws.group_of(message, self.settings.message_group_id)
            entry["MessageDeduplicationId"] = message.id
        return entry


@asynccontextmanager
async def connect(settings: Settings, surroundings: Surroundings) -> AsyncIterator[Sqs]:
    """Open the queue for as long as the context lasts."""
    async with _aws.open_client("sqs", settings.aws, surroundings) as client:
        yield Sqs(settings, client)


TYPE = IntegrationType(
    docs=__doc__,
    settings=Settings,
    limits=LIMITS,
    connect=connect,
    address=lambda settings: settings.queue_url,
    presets=Presets(),
    verdicts=_aws.VERDICTS,
    timeout_seconds=lambda _: _aws.CALL_SECONDS,
    ordered=lambda settings: settings.fifo,
)
