"""What AWS' answers mean: its codes, and its ways of saying no."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Final, TypeAlias
from xml.etree.ElementTree import Element, ParseError, fromstring

import msgspec

from wattwire.integrations import _http
from wattwire.integrations._aws import GOOD, Answer
from wattwire.integrations.contract import (
    HTTP_VERDICTS,
    UNREACHABLE,
    Retry,
    UnreachableError,
    Verdict,
)

#: Long enough for the longest refusal of IAM, which names the user, the action and the resource.
REASON_CHARACTERS: Final = 2000
#: Understands a refusal: returns (code, text).
Refusal: TypeAlias = Callable[[Answer], tuple[str, str]]

_ACCESS_CODES: Final = """AccessDenied AccessDeniedException AuthFailure AuthorizationError
    AuthorizationErrorException AuthorizationHeaderMalformed ExpiredToken ExpiredTokenException
    ForbiddenException IncompleteSignature InvalidAccessKeyId InvalidClientTokenId InvalidSecurity
    InvalidSignatureException InvalidToken KMSAccessDeniedException KMSDisabledException
    KMSInvalidStateException KMSNotFoundException KMSOptInRequired MissingAuthenticationToken
    MissingAuthenticationTokenException NotAuthorized OptInRequired SignatureDoesNotMatch
    UnauthorizedException UnauthorizedOperation UnrecognizedClientException"""
#: Where it should go is not there: as little use in sending on as with wrong credentials.
_ABSENCE_CODES: Final = """AWS.SimpleQueueService.NonExistentQueue NoSuchBucket NotFound
    NotFoundException PermanentRedirect QueueDoesNotExist ResourceNotFoundException"""
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


async def answer_of(call: Awaitable[Answer], refusal: Refusal) -> Answer | Retry:
    """Await a call: return a good answer, or what a bad one means for all that was in it.

    Raises UnreachableError or TimeoutError when there is no answer.
    """
    try:
        answer = await call
    except UnreachableError:
        raise
    except Exception as error:
        if (outcome := _refused_role(error)) is None:
            raise
        return outcome
    if answer.status == GOOD:
        return answer
    code, text = refusal(answer)
    wish = _http.retry_after(answer.headers.get("retry-after"), datetime.now(UTC))
    return Retry(reason_of(code, text), after=wish, status=answer.status, code=own_code(code))


def _refused_role(error: Exception) -> Retry | None:
    """Return what it means that the SDK could not assume the role; None for anything else."""
    errors = import_module("botocore.exceptions")
    if isinstance(error, errors.ClientError):
        said, status = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
        code, text = str(said.get("Code", "")), str(said.get("Message", ""))
        status = status.get("HTTPStatusCode") or None
        return Retry(reason_of(code, text), status=status, code=own_code(code))
    if isinstance(error, errors.HTTPClientError | errors.ConnectionError):
        return Retry(_http.printable(str(error)), code=UNREACHABLE)
    return None


def own_code(code: str) -> str:
    """SNS answers with `AuthorizationError`, its SDK with `AuthorizationErrorException`."""
    bare = code.removesuffix("Exception")
    return bare if code not in VERDICTS and bare in VERDICTS else code


def reason_of(code: str, text: str) -> str:
    """Return what is shown of a refusal: the code, then AWS' own words in full."""
    text = text or "no detail given"
    return _http.printable(f"{code}: {text}" if code else text, REASON_CHARACTERS)


def json_refusal(answer: Answer) -> tuple[str, str]:
    """Return code and text of a refusal in JSON.

    `__type` is `com.amazonaws.sqs#Code`. Before it goes what a header says: SQS' older code
    (`Code;Sender`), or the code of a service that speaks REST (`Code:http://…`).
    """
    if answer.body.startswith(b"<"):  # the front door's own words
        return xml_refusal(answer)
    try:
        said = msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.DecodeError:
        return unreadable(answer)
    older = answer.headers.get("x-amzn-query-error", "").partition(";")[0]
    rest = answer.headers.get("x-amzn-errortype", "").partition(":")[0]
    code = older or (rest or str(said.get("__type", ""))).rpartition("#")[2]
    return code, str(said.get("message") or said.get("Message") or "")


def xml_refusal(answer: Answer) -> tuple[str, str]:
    """Return code and text of a refusal in XML; the beginning of what it is, if it is none."""
    try:
        tree = xml_tree(answer.body)
    except ValueError:
        return unreadable(answer)
    error = tree if tree.tag == "Error" else tree.find(".//Error")
    if error is None:
        return unreadable(answer)
    return error.findtext("Code", ""), error.findtext("Message", "")


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


def unreadable(answer: Answer) -> tuple[str, str]:
    """Return what there is to say of an answer that is not in AWS' words."""
    return "", f"HTTP {answer.status}: {_http.printable(answer.body.decode(errors='replace'))}"
