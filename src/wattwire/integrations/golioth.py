"""# Golioth

Writes every message into the LightDB State of the device it is about, or calls the device.

**You need** a Golioth project, its ID, and an API key of it; a key is good in its own project only.
It must be allowed to read devices and to write their state (for `rpc`: to call them; for
`create_devices`: to create them). *Test* checks the key, lists devices, and then really writes.

**What is called.** `state` replaces what is stored at `path`, `state_merge` merges an object into
it, `state_by_tag` writes to every device of a tag, and `rpc` calls the method `rpc_method` of a
connected device with the message as its only parameter. The path is a template: `{event}` (the
default) is the last part of the topic, so that a reading lands under `telemetry`, an alert under
`alert`, and what Test sends under `test`. **LightDB Stream** cannot be written by the API: only
devices write it, over CoAP; a pipeline can take it from there to a webhook.

**State is the newest value.** A message that comes late, because it was retried, does not overwrite
what a newer event of the same device wrote to the same place: its receipt says `superseded`. What
is not JSON is written as one JSON string.

**Devices.** `device_match` says how the name made by `device_id` (the device's key, unless you say
otherwise) is meant: the name of the device in Golioth, a hardware ID, or its ID there. Names are
looked up once. `create_devices` registers what is missing, without credentials for the device.

**Repeats.** Writing state twice leaves what writing it once does; `rpc` may call twice.

**Refusals.** A wrong key, one of another project and a missing project pause the integration until
its settings change or a test succeeds. 429 slows it down. A device that is not there, or is not
connected when it is called, is retried. What is called invalid becomes a dead letter.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Self

import msgspec
from pydantic import Field, SecretStr, field_validator, model_validator

from wattwire.integrations import _devices, _golioth, _http
from wattwire.integrations._endpoints import check_endpoint
from wattwire.integrations._golioth import RefusedError
from wattwire.integrations._topics import TopicTemplate
from wattwire.integrations.contract import (
    Delivered,
    IntegrationSettings,
    IntegrationType,
    Limits,
    Outcome,
    Outcomes,
    Presets,
    Rejected,
    Surroundings,
)
from wattwire.model import Message, to_micros

LIMITS: Final = Limits(max_messages=1, max_bytes=262_144)
# The seed's table of limits: 100 requests a minute, 50 connections, 256 KB.
PRESETS: Final = Presets(rate_per_minute=100, max_concurrent=50, max_payload_bytes=262_144)
PUBLIC: Final = "https://api.golioth.io"
#: Places whose newest event is remembered; the oldest goes first.
MOST_PLACES: Final = 10_000
_METHODS: Final = {"state": "PUT", "state_by_tag": "PUT", "state_merge": "PATCH", "rpc": "POST"}


class Settings(IntegrationSettings):
    """Fields of the form, the API schema and the reference table."""

    type: Literal["golioth"] = "golioth"
    api_key: SecretStr = Field(min_length=1, max_length=1000, description="API key of the project.")
    project_id: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$", description="ID of the project."
    )
    base_url: str = Field(
        default=PUBLIC, max_length=2048, description="Address of the API, if it is another one."
    )
    call: Literal["state", "state_merge", "state_by_tag", "rpc"] = Field(
        default="state", description="Replace or merge LightDB State, or call the device."
    )
    path: str = Field(
        default="{event}",
        max_length=500,
        description="Path in LightDB State: text with placeholders.",
        examples=["{event}{stream}", "hub/telemetry"],
    )
    tag_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,100}$",
        description="With state_by_tag: ID of the tag whose devices are written to.",
    )
    rpc_method: str | None = Field(
        default=None, min_length=1, max_length=100, description="With rpc: the method."
    )
    device_match: Literal["name", "hardware_id", "id"] = Field(
        default="name", description="What the device's name here is in Golioth."
    )
    device_id: str = Field(
        default=_devices.BY_KEY,
        max_length=500,
        description="What devices are called in Golioth: text with placeholders.",
    )
    device_ids: dict[str, str] = Field(
        default_factory=dict,
        max_length=_devices.MOST_EXCEPTIONS,
        description="Exceptions to it: name in Golioth by device key here.",
    )
    create_devices: bool = Field(
        default=False, description="Register devices that the project does not have."
    )
    test_device: str | None = Field(
        default=None, min_length=1, max_length=255, description="The device that Test writes to."
    )

    @field_validator("api_key")
    @classmethod
    def _can_be_sent(cls, value: SecretStr) -> SecretStr:
        _http.check_header("x-api-key", value.get_secret_value())
        return value

    @field_validator("base_url")
    @classmethod
    def _is_an_endpoint(cls, value: str) -> str:
        return check_endpoint(value)

    @field_validator("device_id")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        return _devices.check_name(value)

    @field_validator("path")
    @classmethod
    def _is_a_template(cls, value: str) -> str:
        return _devices.check_template(value)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.call == "rpc") != (self.rpc_method is not None):
            raise ValueError("rpc_method belongs to the call rpc")
        if (self.call == "state_by_tag") != (self.tag_id is not None):
            raise ValueError("tag_id belongs to the call state_by_tag")
        if self.create_devices and self.device_match == "id":
            raise ValueError("create_devices needs device_match to be name or hardware_id")
        return self


@dataclass(slots=True)
class _Place:
    """Where state is written: one at a time, and nothing older than what is there."""

    newest: int = 0  #: microseconds since the epoch
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Golioth:
    """One project, opened by connect()."""

    settings: Settings
    project: _golioth.Project
    directory: _golioth.Directory
    names: _devices.DeviceNames
    path: TopicTemplate
    places: dict[str, _Place] = field(default_factory=dict)

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Write each message, or call its device with it."""
        return {message.id: await self._send(message) for message in batch}

    async def test(self, probe: Message) -> Outcome:
        """Check the key and list devices, then send the probe as an ordinary message."""
        try:
            words = await _golioth.described(self.project)
        except RefusedError as error:
            return error.outcome
        names = replace(self.names, only=self.settings.test_device or "")
        outcome = await replace(self, names=names)._send(probe)  # noqa: SLF001 - its own
        if isinstance(outcome, Delivered):
            return replace(outcome, receipt=f"{outcome.receipt}; {words}")
        return outcome

    async def _send(self, message: Message) -> Outcome:
        body = _json(message.body)
        if body is None:
            return Rejected("neither JSON nor text: LightDB holds nothing else")
        try:
            name = "" if self.settings.tag_id else self.names.name(message)
            place = await self._place(name, message)
        except ValueError as error:
            return Rejected(str(error))
        except RefusedError as error:
            return error.outcome
        if self.settings.call == "rpc" or message.event is None:
            return await self._call(name, place, body)
        return await self._write(name, place, body, to_micros(message.event.time))

    async def _place(self, name: str, message: Message) -> str:
        """Return the URL's path below the project."""
        if self.settings.tag_id is not None:
            owner = f"/devicesByTag/{self.settings.tag_id}"
        else:
            owner = f"/devices/{_golioth.segment(await self.directory.id_of(name))}"
        if self.settings.call == "rpc":
            return f"{owner}/rpc"
        levels = _devices.filled(self.path, message).split("/")
        return f"{owner}/data/" + "/".join(_golioth.segment(level) for level in levels if level)

    async def _write(self, name: str, where: str, body: bytes, time: int) -> Outcome:
        place = self.places.pop(where, None) or _Place()
        while len(self.places) >= MOST_PLACES:
            del self.places[next(iter(self.places))]
        self.places[where] = place
        async with place.writing:
            if time < place.newest:
                return Delivered(receipt="superseded: a newer event was written there")
            outcome = await self._call(name, where, body)
            if isinstance(outcome, Delivered):
                place.newest = time
            return outcome

    async def _call(self, name: str, where: str, body: bytes) -> Outcome:
        rpc = self.settings.rpc_method
        if rpc is not None:
            method = msgspec.json.encode(rpc)
            body = b'{"method":' + method + b',"params":[' + body + b"]}"
        answer = await self.project.call(_METHODS[self.settings.call], where, body)
        if answer.status == 404:  # noqa: PLR2004 - the device, or everything
            self.directory.forget(name)
        return _golioth.outcome_of_rpc(answer) if rpc else _golioth.outcome_of_write(answer, where)


def _json(body: bytes) -> bytes | None:
    """Return a body as JSON: as it is, or as one string; None for what is neither."""
    try:
        text = body.decode()
        msgspec.json.decode(body)
    except UnicodeDecodeError:
        return None
    except msgspec.DecodeError:
        return msgspec.json.encode(text)
    return body


@asynccontextmanager
async def connect(settings: Settings, surroundings: Surroundings) -> AsyncIterator[Golioth]:
    """Open a client for the project for as long as the context lasts."""
    async with _http.open_client(surroundings) as client:
        key = settings.api_key.get_secret_value()
        project = _golioth.Project(client, settings.base_url, settings.project_id, key)
        yield Golioth(
            settings,
            project,
            _golioth.Directory(project, settings.device_match, settings.create_devices),
            _devices.DeviceNames.of(settings.device_id, settings.device_ids),
            TopicTemplate.parse(settings.path),
        )


TYPE = IntegrationType(
    docs=__doc__,
    settings=Settings,
    limits=LIMITS,
    connect=connect,
    address=lambda settings: f"{settings.base_url}/v1/projects/{settings.project_id}",
    presets=PRESETS,
    verdicts=_golioth.VERDICTS,
    timeout_seconds=lambda _: 30.0,
)
