"""What is known of an event, by a short text such as `device.id` or `metadata.site`. Pure."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import Field

from wattwire.model import Event, to_instant, to_micros

#: Where a text comes from: a fact of the event, an entry of the device's metadata, or itself.
Fact = Annotated[
    str,
    Field(
        max_length=300,
        pattern=r"^(=.*|metadata\..+|device\.(id|number|name|type)"
        r"|stream|topic|severity|organization_id)$",
    ),
]

FACTS: Final = (
    "`device.id` (its key), `device.number`, `device.name`, `device.type`, `metadata.NAME`, "
    "`stream`, `topic`, `severity`, `organization_id`, or `=TEXT` for a text that is always the "
    "same"
)
_VERSION_7: Final = 7
_MAX_MILLIS: Final = 253_402_300_799_999  # the end of the year 9999


def text_of(event: Event, fact: str) -> str:
    """Return the text of a fact; '' for what is not known."""
    if fact.startswith("="):
        return fact[1:]
    first, _, rest = fact.partition(".")
    if first == "metadata":
        return _text(event.metadata.get(rest))
    if first == "device":
        device = (event.device_key, event.device_id, event.device_name, event.device_type)
        return _text(device[("id", "number", "name", "type").index(rest)])
    return _text(getattr(event, first))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def values_of(event: Event) -> dict[str, float | bool | str]:
    """Return the values that an event tells of: those of a reading, else what its data has.

    Lists, tables, null and what is no number are left out.
    """
    given = event.data.get("values")
    values = given if isinstance(given, Mapping) else event.data
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, str | bool)
        or (isinstance(value, int | float) and math.isfinite(value))
    }


def millis(instant: datetime) -> int:
    """Return an instant as whole milliseconds since the epoch."""
    return to_micros(instant) // 1000


def utc_text(instant: datetime, timespec: str = "auto") -> str:
    """Return an instant as RFC 3339 in UTC: by default with a fraction only when there is one."""
    return instant.astimezone(UTC).isoformat(timespec=timespec).removesuffix("+00:00") + "Z"


def recorded_at(event: Event) -> datetime:
    """Return when the hub recorded an event, to the millisecond: its id tells.

    An id that is no UUID of version 7, as that of a test, leaves the event's own time.
    """
    at = event.id.int >> 80
    if event.id.version != _VERSION_7 or at > _MAX_MILLIS:
        return event.time
    return to_instant(at * 1000)
