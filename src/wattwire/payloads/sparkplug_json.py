"""# Format `sparkplug_json`

JSON as the PowerMonitor 500 flow publishes it: `metrics` (each with `name`, `alias` where there is
one, `value`, and `properties` with the `unit` where it is known), `timestamp` in milliseconds since
the epoch, `seq`, `uuid`. It is not Sparkplug B: that is `sparkplug_b`.

A metric of a PowerMonitor 500 has its unit by itself, as has a channel whose name ends in its unit
(`active_power_w`). `seq` is the timestamp in whole seconds: it rises from message to message and is
the same in every attempt, but does not count. `uuid` is the metadata's `uuid`, else the device's
key.
"""

from typing import Annotated, Any, Final

import msgspec
from pydantic import Field

from wattwire.model import Event
from wattwire.payloads._facts import FACTS, Fact, millis, text_of, values_of
from wattwire.payloads._metrics import POWERMONITOR_500, unit_of_metric
from wattwire.payloads.contract import Format, FormatSettings, FormatType

_Texts = Annotated[dict[str, str], Field(max_length=1000)]
SEQ_RANGE: Final = 2**31


class SparkplugJsonSettings(FormatSettings):
    """What is said of metrics beside their values."""

    aliases: _Texts = Field(
        default={},
        description="`alias` of a metric by its name; by default none.",
        examples=['{"voltageAN": "PM500/voltage/AN"}'],
    )
    units: _Texts = Field(
        default={},
        description="`unit` of a metric by its name, where its name does not say it.",
        examples=['{"outsideAir": "°C"}'],
    )
    powermonitor_500_aliases: bool = Field(
        default=False, description="Give a PowerMonitor 500's metrics the aliases of its flow."
    )
    uuid: Fact = Field(default="metadata.uuid", description=f"Where `uuid` comes from: {FACTS}.")


def _make(settings: SparkplugJsonSettings, _integration_id: int) -> Format:
    flow = POWERMONITOR_500.items()
    aliases = {name: alias for name, (alias, _) in flow if settings.powermonitor_500_aliases}
    aliases |= settings.aliases

    def metric(name: str, value: Any) -> dict[str, Any]:
        alias = aliases.get(name)
        unit = settings.units.get(name, unit_of_metric(name))
        return {
            "name": name,
            **({"alias": alias} if alias else {}),
            "value": value,
            **({"properties": {"unit": unit}} if unit else {}),
        }

    def render(event: Event) -> bytes:
        timestamp = millis(event.time)
        body = {
            "metrics": [metric(name, value) for name, value in values_of(event).items()],
            "timestamp": timestamp,
            "seq": timestamp // 1000 % SEQ_RANGE,
            "uuid": text_of(event, settings.uuid) or event.device_key,
        }
        return msgspec.json.encode(body)

    return Format(render)


FORMAT: Final = FormatType("sparkplug_json", __doc__, SparkplugJsonSettings, _make)
