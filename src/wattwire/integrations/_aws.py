"""What every AWS integration composes: access, one guarded client, what the answers mean.

The SDK is loaded when the first AWS integration is opened, in a thread: it takes half a second and
10 MB that nobody else should pay for. Its own retries are off: the delivery engine retries, and a
client that also retries would do so unseen.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from importlib import import_module
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from wattwire.integrations import _http
from wattwire.integrations.contract import (
    HTTP_VERDICTS,
    ConfigurationError,
    Delivered,
    Outcome,
    Outcomes,
    Rejected,
    Retry,
    Surroundings,
    UnreachableError,
    Verdict,
)
from wattwire.model import Message

CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 20
CALL_SECONDS: Final = 30.0
#: Long enough for the longest refusal of IAM, which names the user, the action and the resource.
REASON_CHARACTERS: Final = 2000
SESSION_NAME: Final = "wattwire"

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


class Access(BaseModel):
    """Region and credentials."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    region: str = Field(
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="AWS region.", examples=["eu-central-1"]
    )
    access_key_id: str | None = Field(
        default=None, max_length=128, description="Access key ID of an IAM user."
    )
    secret_access_key: SecretStr | None = Field(
        default=None, max_length=256, description="Secret of that access key."
    )
    session_token: SecretStr | None = Field(
        default=None, max_length=8192, description="Session token, with temporary keys only."
    )
    profile: str | None = Field(
        default=None,
        max_length=128,
        description="Profile of the hub's own AWS configuration instead of an access key; "
        "the operator must have released it (WATTWIRE_AWS_PROFILES).",
    )
    role_arn: str | None = Field(
        default=None,
        pattern=r"^arn:[a-z-]+:iam::\d{12}:role/\S+$",
        description="Role to assume with these credentials.",
    )
    external_id: str | None = Field(
        default=None,
        min_length=2,
        max_length=1224,
        description="External ID that the role's trust policy asks for.",
    )
    endpoint_url: str | None = Field(
        default=None, pattern=r"^https?://\S+$", description="Replaces the AWS endpoint."
    )

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key belong together")
        if (self.access_key_id is None) == (self.profile is None):
            raise ValueError("give either an access key or a profile")
        if self.external_id is not None and self.role_arn is None:
            raise ValueError("external_id needs a role_arn")
        return self


@asynccontextmanager
async def open_client(
    service: str, access: Access, surroundings: Surroundings
) -> AsyncIterator[Any]:
    """Open the client of a service. Raises ConfigurationError for a profile that may not be used."""
    await asyncio.to_thread(import_module, "aiobotocore.session")
    session = _session(access, surroundings)
    options = _options(access, surroundings)
    if access.role_arn is None:
        async with session.create_client(service, **options) as client:
            yield client
        return
    async with session.create_client("sts", **options) as sts:
        assumed = _new_session()
        assumed._credentials = _role_credentials(sts, access)  # noqa: SLF001 - there is no public way
        keyless = {k: v for k, v in options.items() if not k.startswith("aws_")}
        async with assumed.create_client(service, **keyless) as client:
            yield client


def _session(access: Access, surroundings: Surroundings) -> Any:
    if access.profile is None:
        return _shared_session()
    if access.profile not in surroundings.aws_profiles:
        raise ConfigurationError(
            f"The profile {access.profile} is not released: "
            "the operator of the hub has to name it in WATTWIRE_AWS_PROFILES"
        )
    session = _new_session()
    session.set_config_variable("profile", access.profile)
    return session


def _new_session() -> Any:
    return import_module("aiobotocore.session").get_session()


@cache
def _shared_session() -> Any:
    """Return the session of all integrations with keys of their own: it holds the service models."""
    return _new_session()


def _options(access: Access, surroundings: Surroundings) -> dict[str, Any]:
    secret, token = access.secret_access_key, access.session_token
    return {
        "region_name": access.region,
        "endpoint_url": access.endpoint_url,
        "aws_access_key_id": access.access_key_id,
        "aws_secret_access_key": secret.get_secret_value() if secret else None,
        "aws_session_token": token.get_secret_value() if token else None,
        "config": _config(surroundings),
    }


def _config(surroundings: Surroundings) -> Any:
    guard = _http.Guard(surroundings.allowed_networks)
    connector: dict[str, Any] = {"resolver": guard, "socket_factory": guard.make_socket}
    if surroundings.tls is not None:
        connector["ssl_context"] = surroundings.tls
    return import_module("aiobotocore.config").AioConfig(
        retries={"total_max_attempts": 1},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=100,
        parameter_validation=False,
        warm_up_loader_caches=True,
        proxies={},
        user_agent_extra=SESSION_NAME,
        connector_args=connector,
    )


def _role_credentials(sts: Any, access: Access) -> Any:
    async def assume() -> dict[str, str]:
        outside = {"ExternalId": access.external_id} if access.external_id else {}
        answer = await sts.assume_role(
            RoleArn=access.role_arn, RoleSessionName=SESSION_NAME, **outside
        )
        keys = answer["Credentials"]
        return {
            "access_key": keys["AccessKeyId"],
            "secret_key": keys["SecretAccessKey"],
            "token": keys["SessionToken"],
            "expiry_time": keys["Expiration"].isoformat(),
        }

    module = import_module("aiobotocore.credentials")
    return module.AioDeferredRefreshableCredentials(assume, "assume-role")


async def send_batch(batch: Sequence[Message], call: Awaitable[Mapping[str, Any]]) -> Outcomes:
    """Await a batch call of SQS or SNS and return what it says of each message.

    Raises UnreachableError, TimeoutError or ConfigurationError when there is no answer.
    """
    errors = import_module("botocore.exceptions")
    try:
        response = await call
    except errors.ClientError as error:
        return dict.fromkeys((message.id for message in batch), refused_call(error))
    except errors.ReadTimeoutError as error:
        raise TimeoutError(f"no answer within {READ_SECONDS} s") from error
    except errors.HTTPClientError as error:
        raise UnreachableError(_http.printable(str(error))) from error
    except (errors.NoCredentialsError, errors.ProfileNotFound) as error:
        raise ConfigurationError(str(error)) from error
    taken = {e["Id"]: Delivered(receipt=e["MessageId"]) for e in response.get("Successful") or ()}
    return {**taken, **{e["Id"]: refused_entry(e) for e in response.get("Failed") or ()}}


def refused_call(error: Any) -> Outcome:
    """Return what a refusal of the whole call means for each of its messages."""
    response = error.response
    code = str(response.get("Error", {}).get("Code", ""))
    text = str(response.get("Error", {}).get("Message", "")) or "no detail given"
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return Retry(_reason(code, text), status=status, code=_own_code(code))


def refused_entry(entry: Mapping[str, Any]) -> Outcome:
    """Return what a refusal of one message means; the sender's fault cannot be cured by repeating."""
    code = str(entry.get("Code", ""))
    reason = _reason(code, str(entry.get("Message") or "no detail given"))
    if entry.get("SenderFault") and _own_code(code) not in VERDICTS:
        return Rejected(reason, code=code)
    return Retry(reason, code=_own_code(code))


def _own_code(code: str) -> str:
    """SNS answers with `AuthorizationError`, its SDK with `AuthorizationErrorException`."""
    bare = code.removesuffix("Exception")
    return bare if code not in VERDICTS and bare in VERDICTS else code


def _reason(code: str, text: str) -> str:
    return _http.printable(f"{code}: {text}" if code else text, REASON_CHARACTERS)


def text_of(message: Message) -> str | None:
    """Return the body as text that SQS and SNS take, None when they would not."""
    try:
        text = message.body.decode()
    except UnicodeDecodeError:
        return None
    return None if not text or _NOT_XML.search(text) else text


def attributes_of(message: Message) -> dict[str, dict[str, str]]:
    """Return the attributes by which receivers filter, and drop repeats (`message_id`)."""
    values = {"message_id": message.id, "topic": message.topic, "device": message.device}
    return {
        name: {"DataType": "String", "StringValue": value}
        for name, value in {**message.attributes, **values}.items()
        if value and not _NOT_XML.search(value)
    }


def group_of(message: Message, fixed: str | None) -> str:
    """Return the FIFO group: the one that was configured, else one for each device."""
    group = fixed or message.device or "hub"
    return group if _GROUP.fullmatch(group) else hashlib.sha256(group.encode()).hexdigest()
