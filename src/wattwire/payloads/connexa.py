"""# Format `connexa`

The record that Connexa publishes for one sample of one object: `published_at`, `device_id`,
`data`, `integration_id`, `sampled_at`, `object`, `slave`, `cc_firmware`, `fw_version`.

Give the integration `objects` (a new one has `["*"]`), and each matching channel of a reading
becomes a message of its own: patterns match the hub's names of channels. `names` says what a
channel is called on a controller, where that differs: object names are case-sensitive and differ
from model to model. An event that is no reading, and a reading of several channels in one message,
has its topic as `object` and its data as `data`.

`sampled_at` is the reading's time, in whole seconds; `published_at` is when the hub recorded it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from pydantic import Field

from wattwire.model import Event
from wattwire.payloads._facts import FACTS, Fact, recorded_at, text_of, utc_text
from wattwire.payloads.contract import Format, FormatSettings, FormatType

_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Names = Annotated[dict[_Name, _Name], Field(max_length=1000)]
EVERY: Final = "*"


class ConnexaSettings(FormatSettings):
    """How the record is filled."""

    names: dict[_Name, _Names] = Field(
        default={},
        max_length=100,
        description="Object names by the channel's name, for each `slave`; `*` is every other one.",
        examples=['{"PS-PWM-30M": {"battery_terminal_v": "adc_vbterm"}}'],
    )
    device_id: Fact = Field(
        default="device.id", description=f"Where `device_id` comes from: {FACTS}."
    )
    slave: Fact = Field(
        default="metadata.slave",
        description="Where `slave` comes from; when that is empty, the stream without its slash.",
    )
    cc_firmware: Fact = Field(
        default="metadata.cc_firmware", description="Where `cc_firmware` comes from."
    )
    fw_version: Fact = Field(
        default="metadata.fw_version", description="Where `fw_version` comes from."
    )
    integration_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="`integration_id`; by default the integration's number.",
        examples=["FFjU28MMaL3W9B9hhhhH"],
    )


class _Record(msgspec.Struct, frozen=True):
    published_at: str
    device_id: str
    data: Any
    integration_id: str
    sampled_at: str
    object: str
    slave: str
    cc_firmware: str
    fw_version: str


def _make(settings: ConnexaSettings, integration_id: int) -> Format:
    number = settings.integration_id or str(integration_id)

    def render(event: Event) -> bytes:
        slave = text_of(event, settings.slave) or event.stream.removeprefix("/")
        name, data = _sample(event)
        return msgspec.json.encode(
            _Record(
                published_at=utc_text(recorded_at(event), "milliseconds"),
                device_id=text_of(event, settings.device_id),
                data=data,
                integration_id=number,
                sampled_at=utc_text(event.time, "seconds"),
                object=_named(settings.names, slave, name),
                slave=slave,
                cc_firmware=text_of(event, settings.cc_firmware),
                fw_version=text_of(event, settings.fw_version),
            )
        )

    return Format(render)


def _sample(event: Event) -> tuple[str, Any]:
    """Return the name and the value of the only channel; else the topic and the data."""
    values = event.data.get("values")
    if not isinstance(values, Mapping):
        return event.topic, event.data
    if len(values) == 1:
        return next(iter(values.items()))
    return event.topic, values


def _named(names: Mapping[str, Mapping[str, str]], slave: str, channel: str) -> str:
    for controller in (slave, EVERY):
        if name := names.get(controller, {}).get(channel):
            return name
    return channel


FORMAT: Final = FormatType("connexa", __doc__, ConnexaSettings, _make)
