"""What the AWS SDK is used for: it finds endpoints, reads profiles and assumes roles.

It is loaded when the first AWS integration is opened, in a thread: that takes half a second and
10 MB that nobody else should pay for.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from importlib import import_module
from typing import Any, Final, NamedTuple, TypeAlias

from wattwire.integrations import _http
from wattwire.integrations._aws_access import Access
from wattwire.integrations._sigv4 import Credentials, Scope
from wattwire.integrations.contract import ConfigurationError, Surroundings

CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 30.0
SESSION_NAME: Final = "wattwire"

Keys: TypeAlias = Callable[[], Awaitable[Credentials]]


class Way(NamedTuple):
    """How to reach a service, and with which keys."""

    endpoint: str  #: https://kinesis.eu-central-1.amazonaws.com
    scope: Scope
    keys: Keys


@asynccontextmanager
async def find_way(service: str, access: Access, surroundings: Surroundings) -> AsyncIterator[Way]:
    """Find the way to a service; it lasts as long as the context.

    Raises ConfigurationError for a profile that does not exist or may not be used.
    """
    await asyncio.to_thread(import_module, "aiobotocore.session")
    async with AsyncExitStack() as stack:
        session = _session(access, surroundings)
        options = _options(access, surroundings)
        keys = _static_keys(access) or await _profile_keys(session)
        async with session.create_client(service, **options) as sdk:
            endpoint = str(sdk.meta.endpoint_url)
            scope = Scope(str(sdk.meta.region_name), str(sdk.meta.service_model.signing_name))
        if access.role_arn is not None:
            sts = await stack.enter_async_context(session.create_client("sts", **options))
            keys = _frozen(_role_credentials(sts, access))
        yield Way(endpoint, scope, keys)


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
        read_timeout=READ_SECONDS,
        warm_up_loader_caches=True,
        proxies={},
        connector_args=connector,
    )


def _static_keys(access: Access) -> Keys | None:
    if access.access_key_id is None or access.secret_access_key is None:
        return None
    token = access.session_token.get_secret_value() if access.session_token else None
    keys = Credentials(access.access_key_id, access.secret_access_key.get_secret_value(), token)

    async def same() -> Credentials:
        return keys

    return same


async def _profile_keys(session: Any) -> Keys:
    errors = import_module("botocore.exceptions")
    try:
        credentials = await session.get_credentials()
    except errors.BotoCoreError as error:
        raise ConfigurationError(str(error)) from error
    if credentials is None:
        raise ConfigurationError("The profile holds no credentials")
    return _frozen(credentials)


def _frozen(credentials: Any) -> Keys:
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
