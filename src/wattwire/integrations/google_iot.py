"""# Google Cloud IoT

Google retired IoT Core on 16 August 2023: its registries, its MQTT bridge and its HTTP API no
longer exist. This type keeps what consumers of a registry saw. It publishes telemetry to a
**Pub/Sub** topic with the attributes that IoT Core gave its messages, so that functions,
dataflows and BigQuery subscriptions made for it work on unchanged. With the fields of `clearblade`
filled in it publishes as the devices of a registry at **ClearBlade IoT Core** instead, the
compatible service that took over many registries; that one passes the telemetry on to Pub/Sub
itself. Commands and configuration for devices are no part of this type.

**You need** the topic that the registry's events went to, and a service account with the role
*Pub/Sub Publisher* (`roles/pubsub.publisher`) on it. For ClearBlade you need URL, system key and
token from *API Keys* of the registry's page (the Enterprise edition takes device tokens only,
which the hub has not), and devices of the same names; the service account key is not used then.
The test publishes a real message, for ClearBlade as the device `test_device_id`.

**Attributes.** `deviceId`, `deviceRegistryId`, `deviceRegistryLocation`, `projectId`, `subFolder`
and, for devices that have `deviceNumId` in their metadata, `deviceNumId`; and `message_id`. The
device ID is the device's key here unless `device_id` or `device_ids` say otherwise. IoT Core's
IDs began with a letter (`dev-{device_key}` makes one of a serial number).

**Repeats.** Both services keep every copy; the attribute `message_id` stays the same over all
attempts (ClearBlade has no place for it).

**Refusals.** A wrong key or token, a missing permission and a missing topic pause the integration
until its settings change or a test succeeds. Exhausted quota slows it down. What is called
invalid becomes a dead letter. A device that ClearBlade does not know is retried.
"""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from wattwire.integrations import _calls, _clearblade, _devices, _google, _http, _pubsub
from wattwire.integrations._endpoints import check_endpoint
from wattwire.integrations._topics import TopicTemplate
from wattwire.integrations.contract import (
    Integration,
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

# The seed's table of limits: 100 messages a second, 100 connections, 256 KB.
PRESETS: Final = Presets(rate_per_minute=6000, max_concurrent=100, max_payload_bytes=262_144)
#: As Pub/Sub's, with room for the attributes that IoT Core gave.
LIMITS: Final = Limits(max_messages=1000, max_bytes=6_500_000, overhead_bytes=768)
_ID: Final = r"(?!goog)[a-zA-Z][-a-zA-Z0-9._+~%]{2,254}"


class Settings(IntegrationSettings):
    """Fields of the form, the API schema and the reference table."""

    type: Literal["google_iot"] = "google_iot"
    project_id: str = Field(
        pattern=f"^{_pubsub.PROJECT}$",
        description="Google Cloud project. (Google retired IoT Core in August 2023: messages go "
        "to Pub/Sub in this project, or to ClearBlade.)",
        examples=["test-project"],
    )
    region: str = Field(
        pattern="^[a-z]+(-[a-z]+)*[0-9]+$",
        description="Region of the registry, sent along as deviceRegistryLocation.",
        examples=["us-central1", "europe-west1"],
    )
    registry_id: str = Field(
        max_length=255, description="Registry, sent along as deviceRegistryId."
    )
    service_account_key: SecretStr = Field(
        max_length=_google.LONGEST_KEY,
        description="JSON file of the key of a service account that may publish to the topic.",
    )
    topic: str | None = Field(
        default=None,
        max_length=500,
        description="Pub/Sub topic of the registry's events, its own name or in full; left out, "
        "the topic named as the registry.",
        examples=["projects/test-project/topics/telemetry"],
    )
    device_id: str = Field(
        default=_devices.BY_KEY,
        max_length=500,
        description="What devices are called in the registry: text with placeholders.",
        examples=["dev-{device_key}"],
    )
    device_ids: dict[str, str] = Field(
        default_factory=dict,
        max_length=_devices.MOST_EXCEPTIONS,
        description="Exceptions to it: device ID in the registry by device key here.",
    )
    subfolder: str | None = Field(
        default=None,
        max_length=500,
        description="Subfolder of the telemetry: text with placeholders, such as {event}.",
    )
    token: Literal["signed", "exchanged"] = Field(
        default="signed",
        description="Whether tokens are signed here or come from Google's token endpoint.",
    )
    endpoint_url: str | None = Field(
        default=None,
        max_length=2048,
        description="Replaces https://pubsub.googleapis.com: a regional endpoint, an emulator.",
    )
    clearblade: _clearblade.ClearBlade | None = Field(
        default=None, description="Publish as devices of ClearBlade IoT Core, not to Pub/Sub."
    )
    test_device_id: str | None = Field(
        default=None,
        pattern=r"^[a-zA-Z][-a-zA-Z0-9._+~%]{2,254}$",
        description="ClearBlade: the device that Test publishes as.",
    )

    @field_validator("service_account_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr) -> SecretStr:
        _google.read_account(value.get_secret_value())
        return value

    @field_validator("endpoint_url")
    @classmethod
    def _is_an_endpoint(cls, value: str | None) -> str | None:
        return value if value is None else check_endpoint(value, plain=True)

    @field_validator("device_id")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        return _devices.check_name(value)

    @field_validator("subfolder")
    @classmethod
    def _is_a_template(cls, value: str | None) -> str | None:
        return value if value is None else _devices.check_template(value)

    @model_validator(mode="after")
    def _names_are_names(self) -> Self:
        if not re.fullmatch(_ID, self.registry_id):
            raise ValueError("registry_id must begin with a letter and have 3 to 255 characters")
        if not re.fullmatch(f"projects/{_pubsub.PROJECT}/topics/{_pubsub.TOPIC}", self.path):
            raise ValueError("the topic must look like projects/test-project/topics/telemetry")
        return self

    @property
    def path(self) -> str:
        """Return the topic in full."""
        topic = self.topic or self.registry_id
        return topic if "/" in topic else f"projects/{self.project_id}/topics/{topic}"

    @property
    def registry(self) -> str:
        """Return the registry's name as IoT Core had it."""
        return f"projects/{self.project_id}/locations/{self.region}/registries/{self.registry_id}"


@dataclass(frozen=True, slots=True)
class _Names:
    """What IoT Core knew of a message beside its body."""

    settings: Settings
    devices: _devices.DeviceNames
    subfolder: TopicTemplate | None

    def device(self, message: Message) -> str:
        return self.devices.name(message)

    def folder(self, message: Message) -> str:
        return "" if self.subfolder is None else _devices.filled(self.subfolder, message)

    def attributes(self, message: Message) -> Mapping[str, str]:
        """Return the attributes of a message. Raises ValueError for one without its names."""
        known = {
            "deviceId": self.device(message),
            "deviceRegistryId": self.settings.registry_id,
            "deviceRegistryLocation": self.settings.region,
            "projectId": self.settings.project_id,
            "subFolder": self.folder(message),
        }
        number = None if message.event is None else message.event.metadata.get("deviceNumId")
        if number is not None and not isinstance(number, bool):
            known["deviceNumId"] = str(number)
        return {**message.attributes, **known, "message_id": message.id}


@dataclass(frozen=True, slots=True)
class ByPubSub:
    """The topic that the registry's events went to."""

    names: _Names
    publisher: _pubsub.Publisher

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Publish the batch in one call, without what has no device."""
        items: list[_pubsub.Item] = []
        refused: dict[str, Outcome] = {}
        for message in batch:
            try:
                items.append(_pubsub.item(message, self.names.attributes(message)))
            except ValueError as error:
                refused[message.id] = Rejected(str(error))
        return {**refused, **await self.publisher.publish(items)}

    async def test(self, probe: Message) -> Outcome:
        """Publish the probe as an ordinary message."""
        return (await self.deliver([probe]))[probe.id]


@dataclass(frozen=True, slots=True)
class ByClearBlade:
    """A registry that ClearBlade took over."""

    names: _Names
    bridge: _clearblade.Bridge

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Publish each message as its device."""
        return await _calls.in_parts(
            batch, self._publish, lambda message: [message.id], _clearblade.VERDICTS
        )

    async def test(self, probe: Message) -> Outcome:
        """Publish the probe as the device that was named for it."""
        named = self.names.settings.test_device_id
        devices = replace(self.names.devices, only=named or "")
        road = replace(self, names=replace(self.names, devices=devices))
        return (await road.deliver([probe]))[probe.id]

    async def _publish(self, message: Message) -> Outcomes:
        try:
            device, folder = self.names.device(message), self.names.folder(message)
        except ValueError as error:
            return {message.id: Rejected(str(error))}
        if not re.fullmatch(_ID, device):
            return {message.id: Rejected(f"{_http.printable(device)!r} is no ID of a device")}
        outcome = await self.bridge.publish(device, folder, message.body, message.id)
        return {message.id: outcome}


@asynccontextmanager
async def connect(settings: Settings, surroundings: Surroundings) -> AsyncIterator[Integration]:
    """Open the topic, or the registry at ClearBlade, for as long as the context lasts."""
    devices = _devices.DeviceNames.of(settings.device_id, settings.device_ids)
    folder = settings.subfolder
    names = _Names(settings, devices, None if folder is None else TopicTemplate.parse(folder))
    if settings.clearblade is not None:
        async with _http.open_client(surroundings) as client:
            yield ByClearBlade(names, _clearblade.Bridge(client, settings.clearblade))
        return
    account = _google.read_account(settings.service_account_key.get_secret_value())
    async with _pubsub.open_publisher(
        surroundings, settings.path, account, way=settings.token, endpoint=settings.endpoint_url
    ) as publisher:
        yield ByPubSub(names, publisher)


def address(settings: Settings) -> str:
    """Return the topic, or the registry at ClearBlade."""
    if settings.clearblade is None:
        return settings.path
    return f"{settings.clearblade.url}/{settings.registry}"


TYPE = IntegrationType(
    docs=__doc__,
    settings=Settings,
    limits=LIMITS,
    connect=connect,
    address=address,
    presets=PRESETS,
    verdicts=_pubsub.VERDICTS,
    timeout_seconds=lambda _: _calls.TIMEOUT_SECONDS,
)
