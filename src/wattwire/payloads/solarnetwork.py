"""# Format `solarnetwork`

The body that SolarNetwork's event hooks send. A `datum/agg/update` event has exactly its
properties: `topic`, `userId`, `hookId`, `nodeId`, `sourceId`, `aggregationKey`, `timestamp`. Every
other event begins with the same five, has its time as `timestamp` in milliseconds since the epoch,
and then what its data has. What is not known is left out.
"""

from typing import Any, Final

import msgspec
from pydantic import Field

from wattwire.model import Event
from wattwire.payloads._facts import millis
from wattwire.payloads.contract import Format, FormatSettings, FormatType

UPDATE: Final = "datum/agg/update"
_OWN: Final = ("stream", "aggregation", "start", "timestamp")


class SolarNetworkSettings(FormatSettings):
    """Whom receivers take for the sender."""

    user_id: int = Field(
        default=1, ge=1, le=2**63 - 1, description="`userId`: who owns the hook.", examples=[123]
    )
    hook_id: int | None = Field(
        default=None,
        ge=1,
        le=2**63 - 1,
        description="`hookId`; by default the integration's number.",
        examples=[234],
    )
    repeats: bool = Field(
        default=False,
        description="Send `datum/agg/update` as SolarNetwork does: for every recomputation, also "
        "when it changed nothing. By default there is one message for each real change.",
    )


def _make(settings: SolarNetworkSettings, integration_id: int) -> Format:
    user_id, hook_id = settings.user_id, settings.hook_id or integration_id

    def render(event: Event) -> bytes:
        body: dict[str, Any] = {"topic": event.topic, "userId": user_id, "hookId": hook_id}
        if event.device_id is not None:
            body["nodeId"] = event.device_id
        if event.stream:
            body["sourceId"] = event.stream
        return msgspec.json.encode(body | _rest(event, body))

    return Format(render)


def _rest(event: Event, taken: dict[str, Any]) -> dict[str, Any]:
    if event.topic == UPDATE:
        timestamp = event.data.get("timestamp", millis(event.time))
        return {"aggregationKey": event.data.get("aggregation"), "timestamp": timestamp}
    others = {k: v for k, v in event.data.items() if k not in _OWN and k not in taken}
    return {"timestamp": millis(event.time), **others}


FORMAT: Final = FormatType("solarnetwork", __doc__, SolarNetworkSettings, _make)
