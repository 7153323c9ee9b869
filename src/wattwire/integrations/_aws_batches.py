"""What SQS and SNS have in common: batches in, an answer for each message out."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element, ParseError, fromstring

from wattwire.integrations import _http
from wattwire.integrations._aws import Answer
from wattwire.integrations.contract import (
    HTTP_VERDICTS,
    UNREACHABLE,
    Delivered,
    Outcome,
    Outcomes,
    Rejected,
    Retry,
    UnreachableError,
    Verdict,
)
from wattwire.model import Message

#: Long enough for the longest refusal of IAM, which names the user, the action and the resource.
REASON_CHARACTERS: Final = 2000

_ACCESS_CODES: Final = """AccessDenied AccessDeniedException AuthFailure AuthorizationError
    AuthorizationErrorException ExpiredToken ExpiredTokenException IncompleteSignature
    InvalidAccessKeyId InvalidClientTokenId InvalidSecurity InvalidSignatureException
    MissingAuthenticationToken NotAuthorized OptInRequired SignatureDoesNotMatch
    UnauthorizedOperation UnrecognizedClientException"""
#: Where it should go is not there: as little use in sending on as with wrong credentials.
_ABSENCE_CODES: Final = """AWS.SimpleQueueService.NonExistentQueue NotFound NotFoundException
    QueueDoesNotExist ResourceNotFoundException"""
_THROTTLE_CODES: Final = """BandwidthLimitExceeded KMSThrottling KmsThrottled LimitExceededException
    OverLimit PriorRequestNotComplete ProvisionedThroughputExceededException
    RequestLimitExceeded RequestThrottled RequestThrottledException SlowDown Throttled
    ThrottledException Throttling ThrottlingException TooManyRequestsException"""

#: AWS answers 400 to much of this: the code says it, not the status.
VERDICTS: Final[Mapping[str, Verdict]] = {
    **HTTP_VERDICTS,
    **dict.fromkeys(_ACCESS_CODES.split(), Verdict.PARK),
    **dict.fromkeys(_ABSENCE_CODES.split(), Verdict.PARK),
    **dict.fromkeys(_THROTTLE_CODES.split(), Verdict.THROTTLE),
    "RequestExpired": Verdict.RETRY,
    "ServiceUnavailable": Verdict.DOWN,
}

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


async def send_batch(
    batch: Sequence[Message],
    call: Awaitable[Answer],
    read: Callable[[bytes], Sequence[Entry]],
    refusal: Callable[[Answer], tuple[str, str]],
) -> Outcomes:
    """Await a batch call and return what it says of each message.

    `read` understands a good answer, `refusal` returns (code, text) of a bad one. Raises
    UnreachableError or TimeoutError when there is no answer, ValueError for one of no sense.
    """
    try:
        answer = await call
    except UnreachableError:
        raise
    except Exception as error:
        if (outcome := _refused_role(error)) is None:
            raise
        return dict.fromkeys((message.id for message in batch), outcome)
    if answer.status != 200:  # noqa: PLR2004 - what AWS answers to a batch, whatever is in it
        code, text = refusal(answer)
        outcome = refused_call(code, text, answer.status)
        return dict.fromkeys((message.id for message in batch), outcome)
    return {entry.id: _outcome(entry) for entry in read(answer.body)}


def _refused_role(error: Exception) -> Outcome | None:
    """Return what it means that the SDK could not assume the role; None for anything else."""
    errors = import_module("botocore.exceptions")
    if isinstance(error, errors.ClientError):
        said, status = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
        return refused_call(
            str(said.get("Code", "")), str(said.get("Message", "")), status.get("HTTPStatusCode", 0)
        )
    if isinstance(error, errors.HTTPClientError | errors.ConnectionError):
        return Retry(_http.printable(str(error)), code=UNREACHABLE)
    return None


def _outcome(entry: Entry) -> Outcome:
    if not entry.code:
        return Delivered(receipt=entry.receipt)
    code = _own_code(entry.code)
    reason = _reason(entry.code, entry.text)
    if entry.sender_fault and code not in VERDICTS:
        return Rejected(reason, code=code)
    return Retry(reason, code=code)


def refused_call(code: str, text: str, status: int) -> Outcome:
    """Return what a refusal of the whole call means for each of its messages."""
    return Retry(_reason(code, text), status=status or None, code=_own_code(code))


def _own_code(code: str) -> str:
    """SNS answers with `AuthorizationError`, its SDK with `AuthorizationErrorException`."""
    bare = code.removesuffix("Exception")
    return bare if code not in VERDICTS and bare in VERDICTS else code


def _reason(code: str, text: str) -> str:
    text = text or "no detail given"
    return _http.printable(f"{code}: {text}" if code else text, REASON_CHARACTERS)


def xml_tree(body: bytes) -> Element:
    """Return the XML of an answer without its namespaces. Raises ValueError."""
    if b"<!" in body:
        raise ValueError("an answer of AWS declares no entities")
    try:
        tree = fromstring(body)  # noqa: S314 - without declarations there is nothing to expand
    except ParseError as error:
        raise ValueError(f"the answer is not XML: {error}") from error
    for element in tree.iter():
        element.tag = element.tag.rpartition("}")[2]
    return tree


def xml_refusal(answer: Answer) -> tuple[str, str]:
    """Return code and text of a refusal in XML; the beginning of what it is, if it is none."""
    try:
        error = xml_tree(answer.body).find(".//Error")
    except ValueError:
        error = None
    if error is None:
        return unreadable(answer)
    return error.findtext("Code", ""), error.findtext("Message", "")


def unreadable(answer: Answer) -> tuple[str, str]:
    """Return what there is to say of an answer that is not in AWS' words."""
    return "", f"HTTP {answer.status}: {_http.printable(answer.body.decode(errors='replace'))}"


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
