"""What every AWS integration composes: access, and one guarded, signed way to a service.

The SDK finds endpoints, reads profiles and assumes roles. It is loaded when the first AWS
integration is opened, in a thread: that takes half a second and 10 MB that nobody else should pay
for. The calls themselves are signed and sent here, because the SDK spends two milliseconds on each,
more than on ten messages of a batch together. Nothing is retried: the delivery engine does that.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from typing import Any, Final, Self

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from yarl import URL

from wattwire.integrations import _http
from wattwire.integrations._sigv4 import Credentials, Scope, signed
from wattwire.integrations.contract import ConfigurationError, Surroundings, UnreachableError

CONNECT_SECONDS: Final = 5
CALL_SECONDS: Final = 30.0
#: SQS answers with at most a few hundred bytes for each of ten messages.
MOST_ANSWER_BYTES: Final = 262_144
SESSION_NAME: Final = "wattwire"


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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered: its status, the beginning of its body, a header that explains."""

    status: int
    body: bytes
    query_error: str  #: SQS: the code that older clients know, then whose fault it is


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls one service: signs, posts, reads. One attempt, no more."""

    client: aiohttp.ClientSession
    url: URL
    scope: Scope
    keys: Callable[[], Awaitable[Credentials]]

    async def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request. Raises UnreachableError, TimeoutError."""
        keys = await self.keys()
        host = self.url.host or ""
        if self.url.explicit_port is not None and not self.url.is_default_port():
            host = f"{host}:{self.url.port}"
        ready = signed(headers, body, host, self.scope, keys, datetime.now(UTC))
        with _http.explained():
            async with self.client.post(
                self.url, data=body, headers=ready, allow_redirects=False
            ) as response:
                said = response.headers.get("x-amzn-query-error", "")
                return Answer(response.status, await _read(response), said)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    while not response.content.at_eof():
        body += await response.content.read(MOST_ANSWER_BYTES - len(body))
        if len(body) >= MOST_ANSWER_BYTES:
            raise UnreachableError("the answer is longer than any that AWS gives")
    return body


@asynccontextmanager
async def open_caller(
    service: str, access: Access, surroundings: Surroundings
) -> AsyncIterator[Caller]:
    """Open the way to a service; the SDK finds its endpoint and sees to the credentials.

    Raises ConfigurationError for a profile that does not exist or may not be used.
    """
    await asyncio.to_thread(import_module, "aiobotocore.session")
    async with AsyncExitStack() as stack:
        session = _session(access, surroundings)
        options = _options(access, surroundings)
        keys = _static_keys(access) or await _profile_keys(session)
        async with session.create_client(service, **options) as sdk:
            url = URL(sdk.meta.endpoint_url).with_path("/")
            region = str(sdk.meta.region_name)
        if access.role_arn is not None:
            sts = await stack.enter_async_context(session.create_client("sts", **options))
            keys = _frozen(_role_credentials(sts, access))
        client = await stack.enter_async_context(_http.open_client(surroundings))
        yield Caller(client, url, Scope(region, service), keys)


def _session(access: Access, surroundings: Surroundings) -> Any:
    if access.profile is None:
        return _shared_session()
    if access.profile not in surroundings.aws_profiles:
        raise ConfigurationError(
            f"The profile {access.profile} is not released: "
            "the operator of the hub has to name it in WATTWIRE_AWS_PROFILES"
        )
    session = import_module("aiobotocore.session").get_session()
    session.set_config_variable("profile", access.profile)
    return session


@cache
def _shared_session() -> Any:
    """Return the session of all integrations with keys of their own; it keeps service models."""
    return import_module("aiobotocore.session").get_session()


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
        read_timeout=CALL_SECONDS,
        warm_up_loader_caches=True,
        proxies={},
        connector_args=connector,
    )


_Keys = Callable[[], Awaitable[Credentials]]


def _static_keys(access: Access) -> _Keys | None:
    if access.access_key_id is None or access.secret_access_key is None:
        return None
    token = access.session_token.get_secret_value() if access.session_token else None
    keys = Credentials(access.access_key_id, access.secret_access_key.get_secret_value(), token)

    async def same() -> Credentials:
        return keys

    return same


async def _profile_keys(session: Any) -> _Keys:
    errors = import_module("botocore.exceptions")
    try:
        credentials = await session.get_credentials()
    except errors.BotoCoreError as error:
        raise ConfigurationError(str(error)) from error
    if credentials is None:
        raise ConfigurationError("The profile holds no credentials")
    return _frozen(credentials)


def _frozen(credentials: Any) -> _Keys:
    async def current() -> Credentials:
        frozen = await credentials.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    return current


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
