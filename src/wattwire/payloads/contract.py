"""What a payload format is: how an event becomes the body of a message."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from wattwire.model import Event

JSON: Final = "application/json"


class RenderError(ValueError):
    """An event that cannot be written in a format; `line` is where in a template, if there is one.

    The message is one sentence that a person may read.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason if line is None else f"line {line}: {reason}")
        self.line = line


class FormatSettings(BaseModel):
    """What a person chooses about a format; a format without choices uses this one."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Format:
    """A format, ready to write.

    `render` returns the same bytes for the same event each time, so that attempts repeat a body.
    It raises RenderError.
    """

    render: Callable[[Event], bytes]
    content_type: str = JSON
    #: Values that a test message needs so that it can be written: those that the settings name.
    sample: Mapping[str, float] = field(default_factory=dict)


SettingsT = TypeVar("SettingsT", bound=FormatSettings)


@dataclass(frozen=True, slots=True)
class FormatType(Generic[SettingsT]):
    """A format by its name. `make` takes the settings and the number of the integration."""

    name: str
    docs: str
    settings: type[SettingsT]
    make: Callable[[SettingsT, int], Format]
