"""Batches in, an answer for each message out."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from wattwire.integrations._aws import Answer
from wattwire.integrations._aws_answers import (
    VERDICTS,
    Refusal,
    answer_of,
    own_code,
    reason_of,
)
from wattwire.integrations.contract import Delivered, Outcome, Outcomes, Rejected, Retry
from wattwire.model import Message

_GROUP: Final = re.compile(r"""[A-Za-z0-9!"#$%&'()*+,\-./:;<=>?@[\\\]^_`{|}~]{1,128}""")
#: Characters that XML 1.0 has no place for; SQS and SNS refuse them.
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Entry(NamedTuple):
    """What a batch call said of one message."""

    id: str
    receipt: str = ""
    code: str = ""
    text: str = ""
    sender_fault: bool = False


#: Understands a good answer to the messages that were in the call. Raises ValueError.
Reader: TypeAlias = Callable[[bytes, Sequence[Message]], Sequence[Entry]]
#: Sends messages with what was written for each, by id.
Send: TypeAlias = Callable[[Sequence[Message], Mapping[str, str]], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one service takes messages, and speaks of them."""

    write: Callable[[Message], str | None]  #: None: the service would not take it
    unfit: str  #: the reason then
    read: Reader
    refusal: Refusal


async def send_written(batch: Sequence[Message], dialect: Dialect, send: Send) -> Outcomes:
    """Send what the service can take in one call; reject the rest, each with its reason."""
    texts = {m.id: text for m in batch if (text := dialect.write(m)) is not None}
    refused = {m.id: Rejected(dialect.unfit) for m in batch if m.id not in texts}
    rest = [message for message in batch if message.id in texts]
    if not rest:
        return refused
    return {**refused, **await send_batch(rest, send(rest, texts), dialect.read, dialect.refusal)}


async def send_batch(
    batch: Sequence[Message], call: Awaitable[Answer], read: Reader, refusal: Refusal
) -> Outcomes:
    """Await a batch call and return what it says of each message.

    Raises UnreachableError or TimeoutError when there is no answer, ValueError for one of no sense.
    """
    answer = await answer_of(call, refusal)
    if isinstance(answer, Retry):
        return dict.fromkeys((message.id for message in batch), answer)
    return {entry.id: _outcome(entry) for entry in read(answer.body, batch)}


def _outcome(entry: Entry) -> Outcome:
    if not entry.code:
        return Delivered(receipt=entry.receipt)
    code = own_code(entry.code)
    reason = reason_of(entry.code, entry.text)
    if entry.sender_fault and code not in VERDICTS:
        return Rejected(reason, code=code)
    return Retry(reason, code=code)


def text_of(message: Message) -> str | None:
    """Return the body as text that SQS and SNS take, None when they would not."""
    try:
        text = message.body.decode()
    except UnicodeDecodeError:
        return None
    return None if not text or _NOT_XML.search(text) else text


def attributes_of(message: Message) -> dict[str, str]:
    """Return the attributes by which receivers filter, and drop repeats (`message_id`)."""
    values = {"message_id": message.id, "topic": message.topic, "device": message.device}
    return {
        name: value
        for name, value in {**message.attributes, **values}.items()
        if value and not _NOT_XML.search(value)
    }


def group_of(message: Message, fixed: str | None) -> str:
    """Return the FIFO group: the one that was configured, else one for each device."""
    group = fixed or message.device or "hub"
    return group if _GROUP.fullmatch(group) else hashlib.sha256(group.encode()).hexdigest()
