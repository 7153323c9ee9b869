"""What a Slack message looks like: blocks, colour, links; all from outside is escaped. Pure.

Limits: https://docs.slack.dev/reference/block-kit/blocks (50 blocks, header 150 characters, section
3,000, a field 2,000, 10 fields, a URL 3,000). The blocks of a message together fail near 13,200
characters (`msg_blocks_too_long`). What does not fit is cut, and it is said how much.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from wattwire.integrations._telling import Digest, Severity, Told, clock, digest_of, tell
from wattwire.model import Event, Message

Json: TypeAlias = dict[str, Any]

HEADER: Final = 150
SECTION: Final = 3000
FIELD: Final = 500
LONGEST_URL: Final = 3000
LONGEST_TEXT: Final = 3900
#: Of all that is listed in one message; the rest of the message stays below 3,000.
LISTED: Final = 8500
_VALUES: Final = 2500
PLACES: Final = frozenset(
    ("device_id", "device_key", "organization_id", "severity", "site", "stream", "topic")
)
_PART_OF_ENTITY: Final = re.compile(r"&[a-z]*$")


@dataclass(frozen=True, slots=True)
class Style:
    """What the settings say about the look of a message."""

    mentions: Sequence[str] = ()  #: user and group ids, here, channel, everyone
    mention_for: frozenset[str] = frozenset()  #: severities, in lower case
    dashboard_url: str | None = None


def escape(text: str, limit: int = SECTION) -> str:
    """Return text that Slack shows as it is, of at most `limit` characters.

    Only & < > mean something to Slack; so a device named <!channel> calls nobody.
    """
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if len(safe) <= limit:
        return safe
    return f"{_PART_OF_ENTITY.sub('', safe[: limit - 1])}…"


def check_places(url: str) -> None:
    """Raise ValueError for a URL template with places that are not in PLACES."""
    for _, name, form, conversion in Formatter().parse(url):
        if name is not None and (name not in PLACES or form or conversion):
            raise ValueError(f"{{{name}}} is none of {', '.join(sorted(PLACES))}")


def written(batch: Sequence[Message], style: Style) -> Json:
    """Return `text`, `blocks` and `attachments` of a message about at least one event."""
    if len(batch) == 1:
        return _single(batch[0], style)
    return _many(digest_of(batch), style)


def _single(message: Message, style: Style) -> Json:
    told = tell(message)
    rows = [_fields(told)]
    if told.values:
        rows.append(
            _section(_listed([f"*{escape(k, 100)}:* {escape(v, 200)}" for k, v in told.values]))
        )
    if (url := _dashboard(message.event, style)) is not None:
        rows.append(_button("Open dashboard", url))
    rows.append(_context(f"{told.topic}, message {told.id}"))
    return _assembled(told.title, told.line, told.severity, _called([told], style), rows)


def _many(digest: Digest, style: Style) -> Json:
    counts = ", ".join(f"{count} x {escape(what, 100)}" for what, count in digest.counts)
    span = f"{clock(digest.first)} to {clock(digest.last)}"
    lines = [f"{one.severity.emoji} {_date(one)} {escape(one.line, 400)}" for one in digest.told]
    rows = [_section(f"{counts}\n{span}"[:SECTION]), *_sections(lines)]
    plain = "\n".join([digest.title, *(one.line for one in digest.told)])
    return _assembled(digest.title, plain, digest.severity, _called(digest.told, style), rows)


def _assembled(
    title: str, plain: str, severity: Severity, called: str, rows: Sequence[Json]
) -> Json:
    """Put the title above the coloured bar, since blocks themselves have no colour."""
    head = f"{severity.emoji} {title}"
    blocks = [{"type": "header", "text": _plain(head, HEADER)}]
    if called:
        blocks.append(_section(called))
    bar = {"color": severity.colour, "blocks": list(rows)}
    text = escape(f"{severity.emoji} {plain}", LONGEST_TEXT)
    return {"text": text, "blocks": blocks, "attachments": [bar]}


def _fields(told: Told) -> Json:
    pairs = (
        ("Severity", f"{told.severity.emoji} {told.severity.word}"),
        ("Device", escape(told.device, FIELD)),
        ("Site", escape(told.site, FIELD)),
        ("Stream", escape(told.stream, FIELD)),
        ("Time", _date(told)),
    )
    fields = [{"type": "mrkdwn", "text": f"*{name}*\n{text}"} for name, text in pairs if text]
    return {"type": "section", "fields": fields}


def _date(told: Told) -> str:
    """Return an instant that each reader sees in their own time zone."""
    seconds = int(told.time.timestamp())
    return f"<!date^{seconds}^{{date_num}} {{time_secs}}|{clock(told.time)}>"


def _listed(lines: Sequence[str]) -> str:
    kept = _fitting(lines, _VALUES)
    more = len(lines) - len(kept)
    return "\n".join([*kept, *([f"_… and {more} more values_"] if more else [])])


def _sections(lines: Sequence[str]) -> Iterator[Json]:
    kept = _fitting(lines, LISTED)
    more = len(lines) - len(kept)
    rest: Sequence[str] = kept
    while rest:
        part = _fitting(rest, SECTION)
        yield _section("\n".join(part))
        rest = rest[len(part) :]
    if more:
        yield _context(f"… and {more} more events, not listed")


def _fitting(lines: Sequence[str], limit: int) -> Sequence[str]:
    """Return the first lines that fit into so many characters; each of them does."""
    size = 0
    for number, line in enumerate(lines):
        size += len(line) + 1
        if size > limit:
            return lines[:number]
    return lines


def _called(told: Sequence[Told], style: Style) -> str:
    if not any(one.severity.word.lower() in style.mention_for for one in told):
        return ""
    return " ".join(map(_mention, style.mentions))


def _mention(who: str) -> str:
    if who in {"here", "channel", "everyone"}:
        return f"<!{who}>"
    return f"<!subteam^{who}>" if who.startswith("S") else f"<@{who}>"


def _dashboard(event: Event | None, style: Style) -> str | None:
    if style.dashboard_url is None or event is None:
        return None
    known = {
        "device_id": event.device_id if event.device_id is not None else "",
        "device_key": event.device_key,
        "organization_id": event.organization_id,
        "severity": event.severity,
        "site": event.metadata.get("site", ""),
        "stream": event.stream,
        "topic": event.topic,
    }
    quoted = {name: quote(str(value), safe="") for name, value in known.items()}
    url = style.dashboard_url.format_map(quoted)
    return url if len(url) <= LONGEST_URL else None


def _plain(text: str, limit: int) -> Json:
    return {"type": "plain_text", "text": escape(text, limit), "emoji": True}


def _section(text: str) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _context(text: str) -> Json:
    return {"type": "context", "elements": [_plain(text, FIELD)]}


def _button(label: str, url: str) -> Json:
    return {
        "type": "actions",
        "elements": [
            {"type": "button", "text": _plain(label, 75), "url": url, "action_id": "dashboard"}
        ],
    }
