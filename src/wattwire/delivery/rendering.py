"""How events become messages: the format of an integration, found by its name and settings."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import ValidationError

from wattwire.integrations.contract import ConfigurationError
from wattwire.model import Event, Message
from wattwire.payloads import FORMATS, Format
from wattwire.store.deliveries import Queued

__all__ = ["Format", "find_format", "message_of", "part_of"]

_NOTHING: Final[Mapping[str, Any]] = {}


def find_format(
    name: str, settings: Mapping[str, Any] = _NOTHING, integration_id: int = 0
) -> Format:
    """Return a format by its name and settings, for an integration of this number.

    Raises ConfigurationError for one that does not exist, or settings that do not fit it.
    """
    kind = FORMATS.get(name)
    if kind is None:
        raise ConfigurationError(f"There is no format {name}: choose one of {sorted(FORMATS)}")
    try:
        return kind.make(kind.settings.model_validate(dict(settings)), integration_id)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(("format_settings", *map(str, first["loc"])))
        raise ConfigurationError(f"{where}: {first['msg']}") from error


def message_of(row: Queued, event: Event, form: Format) -> Message:
    """Return the message of a row of the queue. Raises what the format raises."""
    if row.part is not None:
        event = part_of(event, row.part)
    return Message(
        row.message_id,
        form.render(event),
        form.content_type,
        event.topic,
        event.device_key,
        event=event,
    )


def part_of(event: Event, part: int) -> Event:
    """Return an event that tells of one channel alone: the part-th of its values, counted from 1.

    Raises LookupError when it has not so many.
    """
    values = event.data.get("values")
    if not isinstance(values, Mapping) or not 1 <= part <= len(values):
        raise LookupError(f"the event has no value number {part}")
    name = list(values)[part - 1]
    return replace(event, data={**event.data, "values": {name: values[name]}, "object": name})
