"""For each format one event, the settings that suit it, and so one body: shown in the docs.

The events are those of the documents that define the formats, field by field.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from uuid import UUID

from wattwire.model import Event
from wattwire.payloads import FORMATS

ORGANIZATION: Final = UUID("0b6d9f2e-6c54-4f7b-9d0a-1f2e3d4c5b6a")
INTEGRATION: Final = 234


class Example(NamedTuple):
    """An event, and how it is to be written."""

    event: Event
    settings: Mapping[str, Any]


def _id(millis: int) -> UUID:
    """Return the id of an event that was recorded then: a UUID of version 7."""
    return UUID(int=millis << 80 | 7 << 76 | 2 << 62 | 1)


ALERT: Final = Event(
    id=_id(1_761_480_000_250),
    topic="device.alert",
    organization_id=ORGANIZATION,
    time=datetime(2025, 10, 26, 12, tzinfo=UTC),
    data={"temperature": 85.5, "threshold": 75.0, "severity": "warning"},
    device_id=17,
    device_key="device-123",
    device_name="Temperature Sensor 1",
    device_type="sensor",
    severity="warning",
)
SAMPLE: Final = Event(
    id=_id(1_656_404_429_502),
    topic="device.telemetry",
    organization_id=ORGANIZATION,
    time=datetime(2022, 6, 28, 8, 20, 29, tzinfo=UTC),
    data={
        "stream": "/PS-PWM-30M",
        "values": {"adc_vbterm": 12.117188},
        "object": "adc_vbterm",
    },
    device_id=18,
    device_key="5300520006504b5957343920",
    device_name="Cabin",
    device_type="charge_controller",
    stream="/PS-PWM-30M",
    metadata={"cc_firmware": "v01.04.06", "fw_version": "PSPWM 1.0.10"},
)
UPDATE: Final = Event(
    id=_id(1_593_561_602_000),
    topic="datum/agg/update",
    organization_id=ORGANIZATION,
    time=datetime(2020, 7, 1, 0, 0, 2, tzinfo=UTC),
    data={
        "stream": "/power/1",
        "aggregation": "M",
        "start": "2020-05-31T12:00:00Z",
        "timestamp": 1_590_926_400_000,
    },
    device_id=456,
    device_key="inverter-1",
    device_name="Inverter 1",
    device_type="inverter",
    stream="/power/1",
)
POWER: Final = Event(
    id=_id(1_713_897_600_100),
    topic="device.telemetry",
    organization_id=ORGANIZATION,
    time=datetime(2024, 4, 23, 18, 40, tzinfo=UTC),
    data={
        "stream": "/metrics",
        "values": {"voltageAN": 480.2, "currentA": 12.1, "realPower": 4.2, "realEnergy": 1520.5},
    },
    device_id=19,
    device_key="pm-0007",
    device_name="Main feeder",
    device_type="powermonitor_500",
    stream="/metrics",
    metadata={
        "site": "Plant 2", "asset": "compressor-4", "breaker": "MCC-1/7",
        "uuid": "3f0f6d5e-53f0-4d7a-9d0e-0a3f3a3f6f11",
    },
)  # fmt: skip

_TEMPLATE: Final = """\
{"text": {{ (device.name ~ " is at " ~ data.temperature) | tojson }},
 "over": {{ (data.temperature - data.threshold) | round(1) }}}"""

EXAMPLES: Final[Mapping[str, Example]] = MappingProxyType(
    {
        "wattwire": Example(ALERT, {}),
        "connexa": Example(SAMPLE, {"integration_id": "FFjU28MMaL3W9B9hhhhH"}),
        "solarnetwork": Example(UPDATE, {"user_id": 123}),
        "sparkplug_json": Example(POWER, {"aliases": {"voltageAN": "PM500/voltage/AN"}}),
        "sparkplug_b": Example(POWER, {}),
        "cloudevents": Example(ALERT, {"type_prefix": "com.example."}),
        "line_protocol": Example(POWER, {"preset": "powermonitor_500", "precision": "ms"}),
        "template": Example(ALERT, {"template": _TEMPLATE}),
    }
)


def body_of(name: str) -> bytes:
    """Return the body of a format's example."""
    kind, example = FORMATS[name], EXAMPLES[name]
    form = kind.make(kind.settings.model_validate(dict(example.settings)), INTEGRATION)
    return form.render(example.event)
