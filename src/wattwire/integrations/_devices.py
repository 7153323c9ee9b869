"""What a device of the hub is called by a platform of devices: a template, and exceptions. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import unquote

from wattwire.integrations._topics import TopicTemplate
from wattwire.model import Message

BY_KEY: Final = "{device_key}"
MOST_EXCEPTIONS: Final = 10_000


def check_template(value: str) -> str:
    """Return a template of a place as it is. Raises ValueError for one that cannot be filled."""
    TopicTemplate.parse(value)
    return value


def check_name(value: str) -> str:
    """Return a template of a name as it is. Raises ValueError for one that cannot be filled."""
    if "%" in value:
        raise ValueError("must not hold a percent sign")
    return check_template(value)


@dataclass(frozen=True, slots=True)
class DeviceNames:
    """Gives each message the name of its device over there."""

    template: TopicTemplate
    exceptions: Mapping[str, str]  #: by the hub's own key
    only: str = ""  #: the name of every message's device, if there is but one

    @classmethod
    def of(cls, template: str, exceptions: Mapping[str, str]) -> Self:
        """Read a template. Raises ValueError."""
        return cls(TopicTemplate.parse(template), exceptions)

    def name(self, message: Message) -> str:
        """Return the name. Raises ValueError when the event has none of what the template asks."""
        if self.only:
            return self.only
        if message.device in self.exceptions:
            return self.exceptions[message.device]
        # A name is one thing: what would have kept it in its place of a topic is taken back.
        return unquote(filled(self.template, message))


def filled(template: TopicTemplate, message: Message) -> str:
    """Return a template filled from the message's event. Raises ValueError."""
    if message.event is None:
        raise ValueError("the message was made of no event")
    return template.fill(message.event)
