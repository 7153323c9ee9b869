"""Topics and filters, pure: what is valid, what matches, what covers what, and NATS subjects.

MQTT 3.1.1 section 4.7: levels are separated by `/` and may be empty; `+` stands for one level, `#`
for the rest including none; a leading wildcard does not match topics that begin with `$`.
"""

import re
from collections.abc import Iterable
from typing import Final

MAX_BYTES: Final = 65_535
_ESCAPED: Final = re.compile(rb"[^!-~]|[.*>%]")
_ESCAPE: Final = re.compile(rb"%([0-9A-F]{2})")
_TOKEN: Final = re.compile(rb"%|(?:[!-$&-)+-\-/-=?-~]|%[0-9A-F]{2})+")
_EMPTY_LEVEL: Final = b"%"
_WHOLE_TREE: Final = ["+", "#"]


def is_topic(text: str) -> bool:
    """Tell whether a message may be published under this name."""
    return len(text) > 0 and not ("+" in text or "#" in text or "\0" in text) and _fits(text)


def is_filter(text: str) -> bool:
    """Tell whether this is a well-formed filter (a topic is one, too)."""
    if not text or "\0" in text or not _fits(text):
        return False
    if "+" not in text and "#" not in text:
        return True
    *init, last = text.split("/")
    return all(_plain_or_plus(level) for level in init) and (last == "#" or _plain_or_plus(last))


def _fits(text: str) -> bool:
    return len(text) <= MAX_BYTES // 4 or len(text.encode(errors="replace")) <= MAX_BYTES


def _plain_or_plus(level: str) -> bool:
    return level == "+" or ("+" not in level and "#" not in level)


def has_wildcard(topic_filter: str) -> bool:
    """Tell whether a well-formed filter can match more than one topic."""
    return "+" in topic_filter or topic_filter.endswith("#")


def matches(topic_filter: str, topic: str) -> bool:
    """Tell whether a valid filter matches a valid topic."""
    return covers(topic_filter, topic)


def covers(allowed: str, wanted: str) -> bool:
    """Tell whether every topic that `wanted` matches is matched by `allowed`, too.

    Both are valid filters. A topic is the filter that matches itself alone.
    """
    if allowed == wanted:
        return True
    have, want = allowed.split("/"), wanted.split("/")
    if have[0] in {"+", "#"} and want[0].startswith("$"):
        return False
    if want[0] == "#":  # a topic has at least one level, so that `+/#` is as wide as `#`
        return have[0] == "#" or have == _WHOLE_TREE
    return _covers_levels(have, want)


def _covers_levels(have: list[str], want: list[str]) -> bool:
    for position, level in enumerate(have):
        if level == "#":
            return True
        if position == len(want):
            return False
        wanted = want[position]
        if wanted == "#" or (level not in ("+", wanted)):
            return False
    return len(have) == len(want)


def may(filters: Iterable[str], wanted: str) -> bool:
    """Tell whether a topic or filter is covered by one of the filters of a permission."""
    return any(covers(allowed, wanted) for allowed in filters)


def to_subject(topic: str) -> str:
    """Return the NATS subject of a valid topic: one token per level, everything else escaped.

    A token is never empty and holds only printable ASCII without `.`, `*`, `>`: other bytes of the
    UTF-8 form, and `%`, become `%XX`; an empty level becomes a lone `%`.
    """
    return b".".join(map(_to_token, topic.encode().split(b"/"))).decode("ascii")


def _to_token(level: bytes) -> bytes:
    return _ESCAPED.sub(lambda match: b"%%%02X" % match[0][0], level) or _EMPTY_LEVEL


def to_topic(subject: str) -> str:
    """Return the topic of a subject made by `to_subject`. Raises ValueError for any other text."""
    tokens = subject.encode().split(b".")
    if not all(map(_TOKEN.fullmatch, tokens)):
        raise ValueError("not the subject of a topic")
    topic = b"/".join(map(_to_level, tokens)).decode()
    if not is_topic(topic) or to_subject(topic) != subject:
        raise ValueError("not the subject of a topic")
    return topic


def _to_level(token: bytes) -> bytes:
    if token == _EMPTY_LEVEL:
        return b""
    return _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), token)
