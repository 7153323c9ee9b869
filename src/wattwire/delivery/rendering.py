"""The formats in which events can be written: a name, a function, a content type."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from wattwire.formats import envelope
from wattwire.integrations.contract import ConfigurationError
from wattwire.model import Event, Message
from wattwire.store.deliveries import Queued


@dataclass(frozen=True, slots=True)
class Format:
    """How an event becomes the body of a message."""

    render: Callable[[Event], bytes]
    content_type: str = "application/json"


FORMATS: Final[Mapping[str, Format]] = MappingProxyType({"wattwire": Format(envelope.render)})


def find_format(name: str, formats: Mapping[str, Format] = FORMATS) -> Format:
    """Return a format by its name. Raises ConfigurationError for one that does not exist."""
    if name not in formats:
        raise ConfigurationError(f"There is no format {name}: choose one of {sorted(formats)}")
    return formats[name]


def message_of(row: Queued, event: Event, form: Format) -> Message:
    """Return the message of a row of the queue. Raises what the format raises."""
    return Message(
        row.message_id,
        form.render(event),
        form.content_type,
        event.topic,
        event.device_key,
        event=event,
    )
