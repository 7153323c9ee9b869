"""Topic templates: `netneural/{organization_id}/devices/{device_key}/telemetry`. Pure.

A placeholder fills one level of the topic, or a part of one; `{stream}` and `{topic}` may fill
several, as many as they have themselves. What a value must not bring along (`/`, `+`, `#`, a `$`
in front) is percent-encoded, and so is `%`: two devices never share a topic, and no device can
choose one outside its place. A value that is missing, or that holds control characters, fails.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Self, TypeAlias

from wattwire.model import Event

#: MQTT 5.0, 1.5.4: a string has its length in two bytes.
MOST_BYTES: Final = 65_535
_Value: TypeAlias = Callable[[Event], str]

_PARTS: Final = re.compile(r"\{([^{}]*)\}")
_METADATA: Final = re.compile(r"metadata\.([A-Za-z0-9_.-]{1,100})")
#: Control characters, half characters and what is none: MQTT 5.0, 1.5.4.
_NO_TEXT: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_ENCODED: Final = {ord(c): f"%{ord(c):02X}" for c in "%/+#"}


@dataclass(frozen=True, slots=True)
class TopicTemplate:
    """A topic with places to fill. Made by `parse`."""

    text: str
    names: tuple[str, ...]  #: the placeholders in it, in order
    _pieces: tuple[str | _Value, ...]

    @classmethod
    def parse(cls, text: str, *, reserved: bool = False) -> Self:
        """Read a template. `reserved`: it may begin with `$`, as in `$aws/rules/…`.

        Raises ValueError, saying what is wrong, for what can be no topic to publish to.
        """
        parts = _PARTS.split(text)
        literals, names = parts[::2], parts[1::2]
        _check_literals("".join(literals))
        if not text:
            raise ValueError("a topic must not be empty")
        if text.startswith("$") and not reserved:
            raise ValueError("a topic that begins with $ is the broker's own")
        pieces: list[str | _Value] = []
        for at, part in enumerate(parts):
            pieces.append(_placeholder(part) if at % 2 else part)
        return cls(text, tuple(names), tuple(piece for piece in pieces if piece))

    def fill(self, event: Event) -> str:
        """Return the topic of an event. Raises ValueError that names the placeholder."""
        topic = "".join(piece if isinstance(piece, str) else piece(event) for piece in self._pieces)
        if len(topic.encode()) > MOST_BYTES:
            raise ValueError(f"the topic is longer than {MOST_BYTES:,} bytes")
        return topic


def _check_literals(text: str) -> None:
    if "{" in text or "}" in text:
        raise ValueError("a brace without its partner")
    if "+" in text or "#" in text:
        raise ValueError("wildcards (+ and #) are for subscribers: one publishes to one topic")
    if _NO_TEXT.search(text):
        raise ValueError("a topic holds no control characters")
    if len(text.encode()) > MOST_BYTES:
        raise ValueError(f"a topic is at most {MOST_BYTES:,} bytes long")


def _placeholder(name: str) -> _Value:
    if name in _VALUES:
        return partial(_filled, name, _VALUES[name], several=name in _SEVERAL)
    if found := _METADATA.fullmatch(name):
        return partial(_filled, name, partial(_metadata, found[1]), several=False)
    known = ", ".join(f"{{{known}}}" for known in _VALUES)
    raise ValueError(f"{{{name}}} is none of {known}, {{metadata.…}}")


def _filled(name: str, value_of: _Value, event: Event, *, several: bool) -> str:
    value = value_of(event)
    if _NO_TEXT.search(value):
        raise ValueError(f"{{{name}}}: {value!r} cannot stand in a topic")
    levels = [_level(level) for level in value.split("/") if level] if several else [_level(value)]
    if not any(levels):
        raise ValueError(f"{{{name}}}: the event has none")
    return "/".join(levels)


def _level(value: str) -> str:
    encoded = value.translate(_ENCODED)
    return f"%24{encoded[1:]}" if encoded.startswith("$") else encoded


def _metadata(key: str, event: Event) -> str:
    value = event.metadata.get(key, "")
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else ""


_VALUES: Final[dict[str, _Value]] = {
    "organization_id": lambda event: str(event.organization_id),
    "device_key": lambda event: event.device_key,  # what its owner calls it
    "device_id": lambda event: "" if event.device_id is None else str(event.device_id),
    "device_name": lambda event: event.device_name,
    "device_type": lambda event: event.device_type,
    "stream": lambda event: event.stream,  # /power/1: two levels
    "topic": lambda event: event.topic,  # device.telemetry; datum/agg/update: three levels
    "event": lambda event: re.split(r"[./]", event.topic)[-1],  # telemetry of device.telemetry
    "severity": lambda event: event.severity,
}
_SEVERAL: Final = frozenset({"stream", "topic"})
