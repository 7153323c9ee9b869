"""# Amazon S3

Writes events as gzipped JSON lines, an object for each site and day and minute:

    north/2025/06/01/123000-5f0c….jsonl.gz
    none/2025/06/01/123004-09ab….jsonl.gz

**You need** a bucket and credentials that may do `s3:PutObject` on `bucket/prefix*` (and
`kms:GenerateDataKey` and `kms:Decrypt` on the key, if objects are encrypted with one of yours): an
access key, a profile of the hub, and on top of either a role to assume (with an external ID if its
trust policy asks for one). Nothing is listed, read or deleted, not even when you press *Test*: the
test writes an object with one line. A bucket whose name holds dots, and any `endpoint_url`, is
called with the bucket in the path, other buckets by their own host names.

**Layout.** The site is the device's `site` (`none` where it has none), the day is the one of the
event's time in UTC. An object is written when 5,000 messages or 8 MiB are waiting, or when
`max_age_seconds` are over, whichever comes first; it holds what waited for that site and day.
Each line is the body with the message's id in front; other JSON than an object is a line
`{"message_id": …, "body": …}`, and what is no JSON has `body_text` or `body_base64` there.

**Repeats.** Messages leave the queue when S3 confirmed the object that they are in: a crash before
that writes them again. An object's name is made of the ids of its messages, and its bytes of
nothing else, so that a repeat of the same messages overwrites the object with itself. Messages that
are repeated in other company (after a setting was changed, or one by one after a failure) end up in
a second object: whoever counts drops repeats by `message_id`.

**Refusals.** S3 answers for each object, and so for all messages in it. Wrong credentials, a
missing permission, a missing bucket, one of another region and a key that may not be used pause the
integration, with AWS' own words as the reason. `SlowDown` and `InternalError` make everything
wait a moment and are counted against no message.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Final, Literal, Self
from urllib.parse import quote

from pydantic import Field, model_validator
from yarl import URL

from wattwire.integrations import _aws, _aws_answers, _s3_objects
from wattwire.integrations._aws_access import Access
from wattwire.integrations.contract import (
    UNREACHABLE,
    Delivered,
    IntegrationSettings,
    IntegrationType,
    Limits,
    Outcome,
    Outcomes,
    Presets,
    Retry,
    Surroundings,
    UnreachableError,
    Verdict,
)
from wattwire.model import Message

#: Objects of a few hundred kilobytes: S3 is paid by the request and read by the object.
LIMITS: Final = Limits(max_messages=5000, max_bytes=8_388_608, overhead_bytes=128)
PRESETS: Final = Presets(max_concurrent=1, max_payload_bytes=1_048_576)
CALL_SECONDS: Final = 120.0
#: After so long no further object of a batch is begun: what is left comes with the next call.
BEGIN_SECONDS: Final = 60.0
AT_ONCE: Final = 4  #: objects of one batch
NOT_SENT: Final = "not_sent"

VERDICTS: Final[Mapping[str, Verdict]] = {
    **_aws_answers.VERDICTS,
    **dict.fromkeys(
        ("AllAccessDisabled", "AccountProblem", "InvalidBucketName", "KMS.DisabledException",
         "KMS.InvalidStateException", "KMS.NotFoundException"),
        Verdict.PARK,
    ),
    # of S3's own making, and soon over: nothing is counted against the messages
    **dict.fromkeys(("InternalError", "OperationAborted", "RequestTimeout"), Verdict.THROTTLE),
    NOT_SENT: Verdict.THROTTLE,
}  # fmt: skip


class Settings(IntegrationSettings):
    """Fields of the form, the API schema and the reference table."""

    type: Literal["aws_s3"] = "aws_s3"
    bucket: str = Field(
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="Name of the bucket.",
        examples=["example-readings"],
    )
    prefix: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9!_.*'()=-]+/)*$",
        max_length=200,
        description="What all keys begin with; empty, or with a slash at its end.",
        examples=["wattwire/"],
    )
    max_age_seconds: float = Field(
        default=60.0,
        ge=0,
        le=3600,
        description="How long messages wait to share an object; 0: not at all.",
    )
    encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = Field(
        default=None, description="Encryption at rest, other than the bucket's own default."
    )
    kms_key_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9:/_-]{1,2048}$",
        description="ID or ARN of the KMS key, for encryption by KMS with a key of yours.",
    )
    storage_class: (
        Literal["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"] | None
    ) = Field(default=None, description="Storage class of the objects, other than STANDARD.")
    bucket_owner: str | None = Field(
        default=None,
        pattern=r"^\d{12}$",
        description="Account that must own the bucket; S3 refuses to write to anybody else's.",
    )
    aws: Access = Field(description="Where, and as whom.")

    @model_validator(mode="after")
    def _the_key_is_used(self) -> Self:
        if self.kms_key_id is not None and not (self.encryption or "").startswith("aws:kms"):
            raise ValueError("kms_key_id needs the encryption aws:kms or aws:kms:dsse")
        return self

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of every object."""
        said = {
            "content-type": "application/gzip",
            "x-amz-server-side-encryption": self.encryption,
            "x-amz-server-side-encryption-aws-kms-key-id": self.kms_key_id,
            "x-amz-storage-class": self.storage_class,
            "x-amz-expected-bucket-owner": self.bucket_owner,
        }
        return {name: value for name, value in said.items() if value}


@dataclass(frozen=True, slots=True)
class S3:
    """One bucket, opened by connect()."""

    settings: Settings
    caller: _aws.Caller
    root: str  #: what the path begins with: the bucket, unless it is in the host name
    headers: Mapping[str, str]

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Write an object for each site and day in the batch."""
        gate, until = asyncio.Semaphore(AT_ONCE), monotonic() + BEGIN_SECONDS
        groups = list(_s3_objects.grouped(batch).items())
        writes = (self._write(folder, messages, gate, until) for folder, messages in groups)
        written = await asyncio.gather(*writes)
        pairs = zip(groups, written, strict=True)
        return {m.id: outcome for (_, messages), outcome in pairs for m in messages}

    async def test(self, probe: Message) -> Outcome:
        """Write an object that holds the probe alone."""
        return (await self.deliver([probe]))[probe.id]

    async def _write(
        self, folder: str, messages: Sequence[Message], gate: asyncio.Semaphore, until: float
    ) -> Outcome:
        """Write one object; a way that is cut says nothing about the other objects."""
        async with gate:
            if monotonic() > until:
                return Retry("S3 was too slow for all objects of one call", code=NOT_SENT)
            try:
                return await self._put(folder, messages)
            except UnreachableError as error:
                return Retry(str(error), code=UNREACHABLE)

    async def _put(self, folder: str, messages: Sequence[Message]) -> Outcome:
        key = f"{self.settings.prefix}{folder}/{_s3_objects.name_of(messages)}"
        body = await asyncio.to_thread(_s3_objects.packed, messages)
        path = quote(f"{self.root}/{key}", safe="/~")
        call = self.caller.request("PUT", path, self.headers, body)
        answer = await _aws_answers.answer_of(call, _aws_answers.xml_refusal)
        if isinstance(answer, Retry):
            return answer
        etag = answer.headers.get("etag", "").strip('"')
        if not etag:
            return Retry("the answer names no ETag", status=answer.status)
        return Delivered(receipt=f"{key} {etag}", status=answer.status)


@asynccontextmanager
async def connect(settings: Settings, surroundings: Surroundings) -> AsyncIterator[S3]:
    """Open the bucket for as long as the context lasts."""
    async with _aws.open_caller("s3", settings.aws, surroundings) as caller:
        if "." in settings.bucket or settings.aws.endpoint_url is not None:
            yield S3(settings, caller, f"/{settings.bucket}", settings.headers)
        else:
            own = caller.at(URL(f"https://{settings.bucket}.{caller.origin.host}"))
            yield S3(settings, own, "", settings.headers)


TYPE = IntegrationType(
    docs=__doc__,
    settings=Settings,
    limits=LIMITS,
    connect=connect,
    address=lambda settings: f"s3://{settings.bucket}/{settings.prefix}",
    presets=PRESETS,
    verdicts=VERDICTS,
    timeout_seconds=lambda _: CALL_SECONDS,
    ordered=lambda _: True,
    linger_seconds=lambda settings: settings.max_age_seconds,
)
