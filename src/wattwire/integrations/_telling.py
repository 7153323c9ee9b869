"""How an event is told to people: how bad it is, a title, one line, its values. Pure.

All text that comes out of here is printable, on one line and bounded. Escaping it for HTML or for
Slack is left to whoever writes those.
"""

import hashlib
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

from wattwire.integrations._http import printable
from wattwire.integrations.contract import Outcome, Outcomes, Retry, Verdict
from wattwire.model import Event, Message

SeverityWord: TypeAlias = Literal["critical", "error", "warning", "info"]
CRITICAL: Final = "critical"
MOST_VALUES: Final = 100
_MOST_TITLE: Final = 200
_MOST_NAME: Final = 100
_MOST_VALUE: Final = 200
_DEEPEST: Final = 3


@dataclass(frozen=True, slots=True)
class Severity:
    """How bad something is, for eyes."""

    word: str
    colour: str  #: as in CSS: #rrggbb
    emoji: str
    rank: int  #: the higher, the worse


SEVERITIES: Final[Mapping[str, Severity]] = {
    "critical": Severity("Critical", "#b3261e", "🔴", 4),
    "error": Severity("Error", "#d9480f", "🟠", 3),
    "warning": Severity("Warning", "#c98a00", "🟡", 2),
    "info": Severity("Info", "#1c6dd0", "🔵", 1),
}
_OVER: Final = Severity("Over", "#2b8a3e", "🟢", 0)
_TOPICS: Final[Mapping[str, str]] = {
    "command.completed": "Command completed",
    "datum/agg/update": "Energy recalculated",
    "device.alert": "Alert",
    "device.alert.resolved": "Alert resolved",
    "device.registered": "New device",
    "device.status": "Device status",
    "device.telemetry": "Reading",
    "disaggregation.ready": "Disaggregation ready",
    "integration.error": "Integration fails",
    "integration.recovered": "Integration works again",
    "integration.test": "Test",
    "report.ready": "Report ready",
}
#: Topics that bring the good end of something bad.
_ENDS: Final = (".resolved", ".recovered")
#: Parts of an event's data that are told elsewhere, or are for programs.
_ELSEWHERE: Final = frozenset(("alert_id", "message", "severity", "stream", "test"))
_UNITS: Final[Mapping[str, str]] = {
    "a": "A", "celsius": "°C", "hz": "Hz", "kvar": "kvar", "kvarh": "kvarh", "kw": "kW",
    "kwh": "kWh", "percent": "%", "v": "V", "va": "VA", "var": "var", "varh": "varh", "w": "W",
    "wh": "Wh",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Told:
    """One event as people read it."""

    id: str  #: of the message
    severity: Severity
    topic: str  #: the event's topic
    what: str  #: the topic in words
    title: str  #: what happened, where: `Alert: too hot, Pump 3`
    line: str  #: the title with the first values, for a list
    device: str  #: name and key, empty for events of no device
    stream: str
    site: str
    time: datetime  #: in UTC
    values: Sequence[tuple[str, str]]  #: label and value with its unit
    alert: str  #: what names the alert among all alerts, empty when it is none


@dataclass(frozen=True, slots=True)
class Digest:
    """Many events as people read them: the worst first, then as they happened."""

    told: Sequence[Told]
    title: str  #: `12 events from 3 devices: 2 warning, 10 info`
    severity: Severity  #: of the worst
    counts: Sequence[tuple[str, int]]  #: how many of what, the most first
    first: datetime
    last: datetime


def tell(message: Message) -> Told:
    """Return the event of a message as people read it."""
    event = message.event
    if event is None:
        return _tell_bare(message)
    device = _device_of(event)
    title = _title(event, device)
    values = tuple(_values(event.data))
    first = ", ".join(f"{label} {value}" for label, value in values[:4])
    return Told(
        id=message.id,
        severity=severity_of(event),
        topic=printable(event.topic, _MOST_NAME),
        what=_what(event.topic),
        title=title,
        line=printable(f"{title}: {first}" if first else title, 2 * _MOST_TITLE),
        device=device,
        stream=printable(event.stream, _MOST_NAME),
        site=printable(str(event.metadata.get("site", "")), _MOST_NAME),
        time=event.time.astimezone(UTC),
        values=values,
        alert=_alert_of(event),
    )


def _tell_bare(message: Message) -> Told:
    """Tell a message whose event is not at hand by what else it carries."""
    what, device = _what(message.topic), printable(message.device, _MOST_NAME)
    title = f"{what}, {device}" if device else what
    body = printable(message.body[:1000].decode("utf-8", "replace"), _MOST_VALUE)
    now, info = datetime.now(UTC), SEVERITIES["info"]
    told = (("body", body),) if body else ()
    return Told(
        message.id, info, printable(message.topic, _MOST_NAME), what, title,
        printable(f"{title}: {body}", 2 * _MOST_TITLE), device, "", "", now, told, "",
    )  # fmt: skip


def digest_of(batch: Iterable[Message]) -> Digest:
    """Return at least one message as one telling."""
    told = sorted(map(tell, batch), key=lambda one: (-one.severity.rank, one.time, one.id))
    devices = len({one.device for one in told if one.device})
    words = Counter(one.severity.word.lower() for one in told)
    source = f" from {devices} device{'s' if devices > 1 else ''}" if devices else ""
    shares = ", ".join(f"{count} {word}" for word, count in words.items())
    return Digest(
        told=told,
        title=f"{len(told)} events{source}: {shares}",
        severity=told[0].severity,
        counts=Counter(one.what for one in told).most_common(20),
        first=min(one.time for one in told),
        last=max(one.time for one in told),
    )


def groups(batch: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """Yield what is to be sent together: what is critical by itself and first, then all the rest.

    A critical message is never folded away.
    """
    rest = [message for message in batch if not is_critical(message)]
    yield from ([message] for message in batch if is_critical(message))
    if rest:
        yield rest


async def deliver_folded(
    batch: Sequence[Message],
    send: Callable[[Sequence[Message]], Awaitable[Outcome]],
    verdicts: Mapping[str, Verdict],
    seconds: float,
) -> Outcomes:
    """Send a batch in groups, one after the other; return one outcome per message that was tried.

    A refusal that is about the whole integration (its code or status is in the table) is the rest's
    as well, which is not tried. What there is no time for is left out, and comes again.
    """
    outcomes: dict[str, Outcome] = {}
    ends_at = time.monotonic() + seconds
    refusal: Outcome | None = None
    for group in groups(batch):
        if refusal is None and time.monotonic() > ends_at:
            break
        outcome = refusal or await send(group)
        if isinstance(outcome, Retry) and {outcome.code, str(outcome.status)} & verdicts.keys():
            refusal = outcome
        outcomes |= dict.fromkeys((message.id for message in group), outcome)
    return outcomes


def is_critical(message: Message) -> bool:
    """Return whether the hub itself calls the event critical; what its data says is no matter."""
    return message.event is not None and message.event.severity.lower() == CRITICAL


def severity_of(event: Event) -> Severity:
    """Return how bad an event is; a word that nobody knows counts as information."""
    if event.topic.endswith(_ENDS):
        return _OVER
    return SEVERITIES.get(event.severity.lower(), SEVERITIES["info"])


def clock(instant: datetime) -> str:
    """Return an instant for people: `2025-06-01 12:30:00 UTC`."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _what(topic: str) -> str:
    return _TOPICS.get(topic) or printable(topic, _MOST_NAME) or "Event"


def _device_of(event: Event) -> str:
    name = printable(event.device_name, _MOST_NAME)
    key = printable(event.device_key, _MOST_NAME)
    return f"{name} ({key})" if name and key and name != key else name or key


def _title(event: Event, device: str) -> str:
    what = _what(event.topic)
    said = event.data.get("message")
    parts = [f"{what}: {said}" if isinstance(said, str) and said else what]
    if device:
        parts.append(printable(event.device_name, _MOST_NAME) or device)
    return printable(", ".join(parts), _MOST_TITLE)


def _values(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for number, pair in enumerate(_leaves(data, "", _DEEPEST)):
        if number == MOST_VALUES:
            return
        yield pair


def _leaves(data: Mapping[str, Any], prefix: str, deepest: int) -> Iterator[tuple[str, str]]:
    for name, value in data.items():
        if not prefix and name in _ELSEWHERE:
            continue
        if isinstance(value, Mapping) and deepest > 1:
            inner = "" if name == "values" else f"{prefix}{name} "
            yield from _leaves(value, inner or " ", deepest - 1)
        else:
            yield _pair(f"{prefix}{name}".strip(), value)


def _pair(name: str, value: object) -> tuple[str, str]:
    label, _, suffix = name.rpartition("_")
    unit = _UNITS.get(suffix) if label and isinstance(value, int | float) else None
    if unit is None or isinstance(value, bool):
        label, unit = name, ""
    text = f"{value:.6g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)  # noqa: PLR2004 - exponents begin where people stop reading them
    return (
        printable(label.replace("_", " "), _MOST_NAME),
        printable(f"{text} {unit}", _MOST_VALUE),
    )


def _alert_of(event: Event) -> str:
    """Return a name that is safe in headers and as a key, whatever the rule calls its alert."""
    said = event.data.get("alert_id")
    if not event.topic.startswith("device.alert") or said is None:
        return ""
    text = str(said)
    if re.fullmatch(r"[A-Za-z0-9-]{1,64}", text):
        return text
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
