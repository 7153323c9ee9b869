"""# Amazon SNS

Publishes every message to one topic, standard or FIFO.

**You need** a topic and credentials that may do `sns:Publish` on it: an access key, a profile of
the hub, and on top of either a role to assume (with an external ID if its trust policy asks for
one). Nothing else is asked of the account, not even when you press *Test*: the test publishes a
real message.

**Repeats.** The message attribute `message_id` stays the same over all attempts. `topic` and
`device` are attributes, too, for subscriptions to filter by; the subject is the event's topic.

**FIFO.** Messages of a device keep their order (or all of them, with a `message_group_id`), and
repeats within five minutes are dropped by SNS, because the deduplication ID is the message's.
Batches leave one at a time.

**Refusals.** SNS answers for each message. One that it calls the sender's fault is rejected and
kept as a dead letter; any other refusal is retried. Wrong credentials, a missing permission and a
missing topic pause the integration, with AWS' own words as the reason:

    AuthorizationError: User: arn:aws:iam::940497413619:user/CXASubCloudPush is not authorized to
    perform: SNS:Publish on resource: arn:aws:sns:us-east-2:393221637266:MainSolar because no
    resource-based policy allows the SNS:Publish action
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal, Self
from urllib.parse import urlencode

from pydantic import Field, model_validator

from wattwire.integrations import _aws, _aws_answers, _aws_batches
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
)
from wattwire.model import Message

# https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
# (10 entries, 256 KiB together unless the topic's MaximumMessageSize says more; read 2026-08)
LIMITS: Final = Limits(max_messages=10, max_bytes=262_144, overhead_bytes=2048)
_VERSION: Final = "2010-03-31"
_HEADERS: Final = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
_SUBJECT_CHARACTERS: Final = 100


class Settings(IntegrationSettings):
    """Fields of the form, the API schema and the reference table."""

    type: Literal["aws_sns"] = "aws_sns"
    topic_arn: str = Field(
        pattern=r"^arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$",
        description="ARN of the topic.",
        examples=["arn:aws:sns:us-east-2:393221637266:MainSolarData"],
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
        """Return whether the topic keeps order, which SNS says in its name."""
        return self.topic_arn.endswith(".fifo")

    @model_validator(mode="after")
    def _the_topic_is_in_the_region(self) -> Self:
        check_region(self.topic_arn, self.aws.region)
        return self


@dataclass(frozen=True, slots=True)
class Sns:
    """One topic, opened by connect()."""

    settings: Settings
    caller: _aws.Caller

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Send the batch in one call, without what SNS could not take."""
        return await _aws_batches.send_written(batch, _DIALECT, self._send)

    async def test(self, probe: Message) -> Outcome:
        """Publish the probe as an ordinary message."""
        return (await self.deliver([probe]))[probe.id]

    async def _send(self, batch: Sequence[Message], texts: Mapping[str, str]) -> _aws.Answer:
        form = {"Action": "PublishBatch", "Version": _VERSION, "TopicArn": self.settings.topic_arn}
        for number, message in enumerate(batch, 1):
            prefix = f"PublishBatchRequestEntries.member.{number}."
            fields = self._fields(message, texts[message.id])
            form |= {prefix + name: value for name, value in fields.items()}
        return await self.caller.request("POST", "/", _HEADERS, urlencode(form).encode())

    def _fields(self, message: Message, text: str) -> dict[str, str]:
        fields = {"Id": message.id, "Message": text}
        if message.topic:
            fields["Subject"] = message.topic[:_SUBJECT_CHARACTERS]
        attributes = _aws_batches.attributes_of(message)
        for number, (name, value) in enumerate(attributes.items(), 1):
            prefix = f"MessageAttributes.entry.{number}."
            fields[f"{prefix}Name"] = name
            fields[f"{prefix}Value.DataType"] = "String"
            fields[f"{prefix}Value.StringValue"] = value
        if self.settings.fifo:
            fields["MessageGroupId"] = _aws_batches.group_of(
                message, self.settings.message_group_id
            )
            fields["MessageDeduplicationId"] = message.id
        return fields


def _entries(body: bytes, _batch: Sequence[Message]) -> Sequence[Entry]:
    tree = _aws_answers.xml_tree(body)
    taken = [
        Entry(e.findtext("Id", ""), receipt=e.findtext("MessageId", ""))
        for e in tree.iterfind(".//Successful/member")
    ]
    failed = [
        Entry(
            e.findtext("Id", ""),
            code=e.findtext("Code", ""),
            text=e.findtext("Message", ""),
            sender_fault=e.findtext("SenderFault", "") == "true",
        )
        for e in tree.iterfind(".//Failed/member")
    ]
    return [*taken, *failed]


_DIALECT: Final = Dialect(
    write=_aws_batches.text_of,
    unfit="not text that SNS takes",
    read=_entries,
    refusal=_aws_answers.xml_refusal,
)


@asynccontextmanager
async def connect(settings: Settings, surroundings: Surroundings) -> AsyncIterator[Sns]:
    """Open the topic for as long as the context lasts."""
    async with _aws.open_caller("sns", settings.aws, surroundings) as caller:
        yield Sns(settings, caller)


TYPE = IntegrationType(
    docs=__doc__,
    settings=Settings,
    limits=LIMITS,
    connect=connect,
    address=lambda settings: settings.topic_arn,
    presets=Presets(),
    verdicts=_aws_answers.VERDICTS,
    timeout_seconds=lambda _: _aws.CALL_SECONDS,
    ordered=lambda settings: settings.fifo,
)
