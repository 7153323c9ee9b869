"""# Azure IoT Hub

Sends every message as a device-to-cloud message of the device it is about, over HTTPS. What the
hub routes on goes where your routes say: Event Hubs, Stream Analytics, Functions, storage.

**You need** an IoT hub in which the devices are registered, and a connection string. With that of
a **shared access policy** messages go out as whichever device they are about; the policy must have
the permission *Device connect* and needs no other (the built-in policy `device` is made for this;
`service` cannot send as a device; `iothubowner` can, and far too much besides). With the
connection string of **one device** all messages go out as that device. The key never leaves: each
device gets a token of its own, good for an hour.

**Devices.** The device ID in Azure is the device's key here, unless `device_id` (a template such as
`meter-{device_key}` or `{metadata.azure_id}`) or `device_ids` (single exceptions) say otherwise.
Register a device for *Test*, too, and name it under `test_device_id`: the test really sends.

**Properties.** System properties are the message ID, the content type and its encoding (`utf-8`),
so that routes can query JSON bodies. Application properties are `topic`, `device`, and what you put
under `properties`. Over HTTPS they may hold only ASCII letters, digits and ``!#$%&'*+-.^_`|~``:
anything else is percent-encoded (`datum%2Fagg%2Fupdate`).

**Batches.** Messages of one device that wait together travel as one batch of at most 255 KB.
Azure measures messages in blocks of 4 KB, so a batch is cheaper than its messages one by one.

**Repeats.** IoT Hub keeps every copy; the message ID stays the same over all attempts.

**Refusals.** 401 and a suspended hub pause the integration until its settings change or a test
succeeds. A device that is not registered, or disabled, is retried and becomes a dead letter when
it stays so; other devices are not held up. Throttling and a used-up daily quota slow it down. A
message that is called invalid or too large is a dead letter. Commands to devices are not sent:
IoT Hub takes those over AMQP only.
"""

import base64
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, Literal, Self
from urllib.parse import quote

import aiohttp
import msgspec
from pydantic import Field, SecretStr, field_validator, model_validator
from yarl import URL

from wattwire.integrations import _azure_messages, _azure_sas, _calls, _devices, _http
from wattwire.integrations._endpoints import check_endpoint
from wattwire.integrations.contract import (
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

# https://learn.microsoft.com/azure/iot-hub/iot-hub-devguide-quotas-throttling (read 2026-08): a
# device-to-cloud message, or a batch of them as it is sent, has at most 256 KB with its properties.
LIMITS: Final = Limits(max_messages=100, max_bytes=262_144, overhead_bytes=1024)
#: What Microsoft's own device libraries keep to.
MOST_BATCH_BYTES: Final = 261_119
# The seed's table of limits: 100 messages a second, 1,000 connections, 256 KB.
PRESETS: Final = Presets(rate_per_minute=6000, max_concurrent=1000, max_payload_bytes=262_144)
API_VERSION: Final = "2021-04-12"
BATCH_TYPE: Final = "application/vnd.microsoft.iothub.json"


class Settings(IntegrationSettings):
    """Fields of the form, the API schema and the reference table."""

    type: Literal["azure_iot"] = "azure_iot"
    connection_string: SecretStr = Field(
        max_length=2048,
        description="Connection string of a shared access policy with the permission Device "
        "connect, or of one device.",
    )
    hub_name: str | None = Field(
        default=None,
        max_length=100,
        description="Name of the IoT hub, for reference; must be the one in the connection string.",
    )
    device_id: str = Field(
        default=_devices.BY_KEY,
        max_length=500,
        description="What devices are called in the IoT hub: text with placeholders.",
        examples=["meter-{device_key}"],
    )
    device_ids: dict[str, str] = Field(
        default_factory=dict,
        max_length=_devices.MOST_EXCEPTIONS,
        description="Exceptions to it: device ID in Azure by device key here.",
    )
    test_device_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}$",
        description="The device that Test sends as.",
    )
    properties: dict[str, str] = Field(
        default_factory=dict,
        max_length=20,
        description="Application properties to add to every message.",
    )
    batches: bool = Field(
        default=True, description="Send messages of one device that wait together in one call."
    )
    endpoint_url: str | None = Field(
        default=None,
        max_length=2048,
        description="Replaces https:// and the host name: a private endpoint.",
    )

    @field_validator("connection_string")
    @classmethod
    def _can_be_read(cls, value: SecretStr) -> SecretStr:
        _azure_sas.read_connection_string(value.get_secret_value())
        return value

    @field_validator("device_id")
    @classmethod
    def _is_a_template(cls, value: str) -> str:
        return _devices.check_name(value)

    @field_validator("properties")
    @classmethod
    def _can_be_sent(cls, value: dict[str, str]) -> dict[str, str]:
        return dict(_azure_messages.check_properties(value))

    @field_validator("endpoint_url")
    @classmethod
    def _is_an_endpoint(cls, value: str | None) -> str | None:
        return value if value is None else check_endpoint(value)

    @model_validator(mode="after")
    def _is_one_hub(self) -> Self:
        label = self.access.host.partition(".")[0]
        if self.hub_name is not None and self.hub_name.lower() != label.lower():
            raise ValueError(f"hub_name is {self.hub_name}, the connection string is of {label}")
        return self

    @property
    def access(self) -> _azure_sas.Access:
        """Return what the connection string says."""
        return _azure_sas.read_connection_string(self.connection_string.get_secret_value())

    @property
    def base(self) -> str:
        """Return where requests go."""
        return self.endpoint_url or f"https://{self.access.host}"


@dataclass(frozen=True, slots=True)
class IotHub:
    """One IoT hub, opened by connect()."""

    settings: Settings
    client: aiohttp.ClientSession
    base: str
    tokens: _azure_sas.Tokens
    names: _devices.DeviceNames

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Send the messages of each device, in as few calls as there can be."""
        named, refused = self._named(batch)
        calls = [
            (device, part)
            for device, messages in named.items()
            for part in _parts(messages, batches=self.settings.batches)
        ]
        sent = await _calls.in_parts(
            calls, self._send, lambda call: [m.id for m in call[1]], _azure_messages.VERDICTS
        )
        return {**refused, **sent}

    async def test(self, probe: Message) -> Outcome:
        """Send the probe as the device that was named for it, or as any other message."""
        device = self.settings.test_device_id
        if device is None or self.tokens.access.device:
            return (await self.deliver([probe]))[probe.id]
        names = replace(self.names, only=device)
        return (await replace(self, names=names).deliver([probe]))[probe.id]

    def _named(self, batch: Sequence[Message]) -> tuple[dict[str, list[Message]], Outcomes]:
        """Return messages by their device in Azure, and what is refused for having none."""
        named: dict[str, list[Message]] = {}
        refused: dict[str, Outcome] = {}
        for message in batch:
            try:
                device = self.names.name(message)
            except ValueError as error:
                refused[message.id] = Rejected(str(error))
                continue
            if _azure_messages.is_device_id(device):
                named.setdefault(device, []).append(message)
            else:
                refused[message.id] = Rejected(f"{device!r} can be no device ID in Azure")
        return named, refused

    async def _send(self, call: tuple[str, Sequence[Message]]) -> Outcomes:
        """Send one call; one that is refused as invalid is sent again message by message."""
        device, messages = call
        outcome = await _calls.outcome_of(self._post(device, messages))
        if isinstance(outcome, Rejected) and len(messages) > 1:
            return await self._send_singly(device, messages)
        return {message.id: outcome for message in messages}

    async def _send_singly(self, device: str, messages: Sequence[Message]) -> Outcomes:
        outcomes: dict[str, Outcome] = {}
        halted: Outcome | None = None
        for message in messages:
            said = await self._send_one(device, message) if halted is None else halted
            outcomes[message.id] = said
            halted = said if _calls.halts(said, _azure_messages.VERDICTS) else None
        return outcomes

    async def _send_one(self, device: str, message: Message) -> Outcome:
        return await _calls.outcome_of(self._post(device, [message]))

    async def _post(self, device: str, messages: Sequence[Message]) -> Outcome:
        path = f"/devices/{quote(device, safe='')}/messages/events"
        url = URL(f"{self.base}{path}?api-version={API_VERSION}", encoded=True)
        headers, body = self._written(messages)
        headers["Authorization"] = self.tokens.of(device, time.time())
        with _http.explained():
            async with self.client.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return _azure_messages.read(response, await _http.read_excerpt(response), device)

    def _written(self, messages: Sequence[Message]) -> tuple[dict[str, str], bytes]:
        if len(messages) == 1:
            properties = _azure_messages.properties_of(messages[0], self.settings.properties)
            return {"Content-Type": "application/octet-stream", **properties}, messages[0].body
        written = [_entry(message, self.settings.properties) for message in messages]
        return {"Content-Type": BATCH_TYPE}, msgspec.json.encode(written)


def _entry(message: Message, more: Mapping[str, str]) -> dict[str, object]:
    return {
        "body": base64.b64encode(message.body).decode(),
        "base64Encoded": True,
        "properties": _azure_messages.properties_of(message, more),
    }


def _parts(messages: Sequence[Message], *, batches: bool) -> Iterable[Sequence[Message]]:
    """Cut the messages of a device into calls, by what they measure in base64."""
    if not batches:
        yield from ([message] for message in messages)
        return
    start = total = 0
    for at, message in enumerate(messages):
        size = len(message.body) * 4 // 3 + LIMITS.overhead_bytes
        if at > start and total + size > MOST_BATCH_BYTES:
            yield messages[start:at]
            start, total = at, 0
        total += size
    if messages:
        yield messages[start:]


@asynccontextmanager
async def connect(settings: Settings, surroundings: Surroundings) -> AsyncIterator[IotHub]:
    """Open a client for the IoT hub for as long as the context lasts."""
    access = settings.access
    names = _devices.DeviceNames.of(settings.device_id, settings.device_ids)
    names = replace(names, only=access.device)  # whatever a message is about: it is its key
    async with _http.open_client(surroundings) as client:
        yield IotHub(settings, client, settings.base, _azure_sas.Tokens(access), names)


TYPE = IntegrationType(
    docs=__doc__,
    settings=Settings,
    limits=LIMITS,
    connect=connect,
    address=lambda settings: settings.base,
    presets=PRESETS,
    verdicts=_azure_messages.VERDICTS,
    timeout_seconds=lambda _: _calls.TIMEOUT_SECONDS,
)
