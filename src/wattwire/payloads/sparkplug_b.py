"""# Format `sparkplug_b`

A Sparkplug B payload (protobuf, content type `application/x-sparkplug-b`) of an event's values:
each metric with name, time and data type (Double, Boolean or String). It stands for itself: no
aliases, no births, and no `seq`, since one message knows nothing of those before it. The
integration `mqtt` plays an edge node that has all three.
"""

from typing import Final

from pydantic import Field

from wattwire.formats.sparkplug_b import Payload, encode_payload, metric_of
from wattwire.formats.sparkplug_values import DataType
from wattwire.model import Event
from wattwire.payloads._facts import FACTS, Fact, millis, text_of, values_of
from wattwire.payloads._metrics import unit_of_metric
from wattwire.payloads.contract import Format, FormatSettings, FormatType

CONTENT_TYPE: Final = "application/x-sparkplug-b"


class SparkplugBSettings(FormatSettings):
    """What is said beside the values."""

    uuid: Fact = Field(
        default="metadata.uuid",
        description=f"Where `uuid` comes from: {FACTS}. When that is empty there is none.",
    )
    units: bool = Field(
        default=False,
        description="Add the property `engUnit` where the unit is known: of a PowerMonitor 500's "
        "metrics, and where a channel's name ends in it.",
    )


def _make(settings: SparkplugBSettings, _integration_id: int) -> Format:
    def render(event: Event) -> bytes:
        at = millis(event.time)
        metrics = [
            metric_of(
                _datatype(value),
                value,
                name=name,
                timestamp=at,
                properties=_properties(settings, name),
            )
            for name, value in values_of(event).items()
        ]
        uuid = text_of(event, settings.uuid) or None
        return encode_payload(Payload(metrics, at, uuid=uuid))

    return Format(render, CONTENT_TYPE)


def _datatype(value: float | bool | str) -> DataType:  # noqa: FBT001 - a value, not a flag
    if isinstance(value, bool):
        return DataType.BOOLEAN
    return DataType.STRING if isinstance(value, str) else DataType.DOUBLE


def _properties(settings: SparkplugBSettings, name: str) -> dict[str, str]:
    unit = unit_of_metric(name) if settings.units else ""
    return {"engUnit": unit} if unit else {}


FORMAT: Final = FormatType("sparkplug_b", __doc__, SparkplugBSettings, _make)
