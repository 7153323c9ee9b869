"""# Amazon Kinesis Data Streams

Puts every message on one stream, up to 500 in one call.

**You need** a stream and credentials that may do `kinesis:PutRecords` on it (and
`kms:GenerateDataKey` on its key, if the stream is encrypted with one of yours): an access key, a
profile of the hub, and on top of either a role to assume (with an external ID if its trust policy
asks for one). Nothing else is asked of the account, not even when you press *Test*: the test puts a
real record.

**Partitions.** The partition key is the device, so that readings of a device share a shard; an
event of no device is spread by its message's id. Kinesis may refuse some records of a call and take
those after them: consumers that need order go by the time inside. `ordered` makes calls leave one
at a time, which keeps a device's order as long as nothing is refused.

**Repeats.** A record that is a JSON object carries the message's id as `message_id` (unless
`add_message_id` is off), the same over all attempts. A call whose answer got lost is repeated as a
whole.

**Refusals.** Kinesis answers for each record. Those over a shard's throughput (1,000 records or
1 MB a second) are sent again by themselves after a pause, and so are those that met a fault inside
Kinesis. Wrong credentials, a missing permission and a missing stream pause the integration, with
AWS' own words as the reason. A record is at most 1 MiB, its key included, unless the stream was
configured for more.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal, Self

import msgspec
from pydantic import Field, model_validator

from wattwire.integrations import _aws, _aws_answers, _aws_batches, _json_bodies
from wattwire.integrations._aws_access import Access, check_region
from wattwire.integrations._aws_batches import Entry
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

# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
# (500 records; up to 10 MiB together with their keys, 5 MiB where that is not there yet, and larger
# calls gain nothing; a record is 1 MiB with its key by default; read 2026-11)
LIMITS: Final = Limits(max_messages=500, max_bytes=5_242_880, overhead_bytes=384)
PRESETS: Final = Presets(max_payload_bytes=1_048_576 - LIMITS.overhead_bytes)
_HEADERS: Final = {
    "content-type": "application/x-amz-json-1.1",
    "x-amz-target": "Kinesis_20131202.PutRecords",
}
_LONGEST_KEY: Final = 256
_encode: Final = msgspec.json.Encoder().encode


class Settings(IntegrationSettings):
    """Fields of the form, the API schema and the reference table."""

    type: Literal["aws_kinesis"] = "aws_kinesis"
    stream: str = Field(
        pattern=r"^(arn:[a-z-]+:kinesis:[a-z0-9-]+:\d{12}:stream/)?[A-Za-z0-9_.-]{1,128}$",
        description="Name of the stream, or its ARN if it belongs to another account.",
        examples=["readings", "arn:aws:kinesis:eu-central-1:123456789012:stream/readings"],
    )
    ordered: bool = Field(default=False, description="Make calls one at a time.")
    add_message_id: bool = Field(
        default=True, description="Write the message's id into records that are JSON objects."
    )
    aws: Access = Field(description="Where, and as whom.")

    @property
    def place(self) -> dict[str, str]:
        """Return the stream as the call names it."""
        name = "StreamARN" if self.stream.startswith("arn:") else "StreamName"
        return {name: self.stream}

    @model_validator(mode="after")
    def _the_stream_is_in_the_region(self) -> Self:
        if self.stream.startswith("arn:"):
            check_region(self.stream, self.aws.region)
        return self


class _Record(msgspec.Struct):
    data: bytes = msgspec.field(name="Data")  # JSON has it in base64
    key: str = msgspec.field(name="PartitionKey")


class _Placed(msgspec.Struct):
    number: str | None = msgspec.field(name="SequenceNumber", default=None)
    shard: str | None = msgspec.field(name="ShardId", default=None)
    code: str | None = msgspec.field(name="ErrorCode", default=None)
    text: str | None = msgspec.field(name="ErrorMessage", default=None)


class _Result(msgspec.Struct):
    records: list[_Placed] = msgspec.field(name="Records")


_read_result: Final = msgspec.json.Decoder(_Result).decode


@dataclass(frozen=True, slots=True)
class Kinesis:
    """One stream, opened by connect()."""

    settings: Settings
    caller: _aws.Caller

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Send the batch in one call."""
        records = [self._record(message) for message in batch]
        body = _encode({**self.settings.place, "Records": records})
        call = self.caller.request("POST", "/", _HEADERS, body)
        return await _aws_batches.send_batch(batch, call, _entries, _aws_answers.json_refusal)

    async def test(self, probe: Message) -> Outcome:
        """Put the probe as an ordinary record."""
        return (await self.deliver([probe]))[probe.id]

    def _record(self, message: Message) -> _Record:
        data = _json_bodies.identified(message) if self.settings.add_message_id else None
        return _Record(message.body if data is None else data, partition_key(message))


def partition_key(message: Message) -> str:
    """Return what decides the shard: the device, else the message's own id."""
    key = message.device or message.id
    return key if len(key) <= _LONGEST_KEY else hashlib.sha256(key.encode()).hexdigest()


def _entries(body: bytes, batch: Sequence[Message]) -> Sequence[Entry]:
    """Read the records' fates, which come in the order of the records."""
    placed = zip(batch, _read_result(body).records, strict=True)
    return [
        Entry(m.id, f"{p.shard} {p.number}" if p.number else "", _code(p), p.text or "")
        for m, p in placed
    ]


def _code(placed: _Placed) -> str:
    """Return why it was refused; what has neither number nor code was not taken for sure."""
    return placed.code or ("" if placed.number else "NoSequenceNumber")


@asynccontextmanager
async def connect(settings: Settings, surroundings: Surroundings) -> AsyncIterator[Kinesis]:
    """Open the stream for as long as the context lasts."""
    async with _aws.open_caller("kinesis", settings.aws, surroundings) as caller:
        yield Kinesis(settings, caller)


TYPE = IntegrationType(
    docs=__doc__,
    settings=Settings,
    limits=LIMITS,
    connect=connect,
    address=lambda settings: settings.stream,
    presets=PRESETS,
    verdicts=_aws_answers.VERDICTS,
    timeout_seconds=lambda _: _aws.CALL_SECONDS,
    ordered=lambda settings: settings.ordered,
)
