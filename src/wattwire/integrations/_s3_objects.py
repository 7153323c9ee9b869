"""How messages become objects: where each goes, what it is called, what is in it. Pure.

An object is called after the messages inside. The same messages written again, after an answer got
lost or the hub died before it noted one, are the same object again: it overwrites itself.
"""

import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Final

from wattwire.integrations._json_bodies import line_of
from wattwire.model import Event, Message

COMPRESSION_LEVEL: Final = 6
NO_SITE: Final = "none"
#: Objects of messages whose event is not known (there are none in a hub that works).
UNDATED: Final = "none/undated"
_LONGEST_SITE: Final = 64  # characters, of up to 12 encoded bytes: a key has 1,024 bytes in all
_ODD: Final = re.compile(r"[^\w.\- ]")
_HASH_CHARACTERS: Final = 32


def grouped(batch: Sequence[Message]) -> Mapping[str, Sequence[Message]]:
    """Return the messages by the folder they belong to, in order."""
    groups: dict[str, list[Message]] = {}
    for message in batch:
        folder = UNDATED if message.event is None else folder_of(message.event)
        groups.setdefault(folder, []).append(message)
    return groups


def folder_of(event: Event) -> str:
    """Return `site/year/month/day` of an event; the day is UTC's."""
    return f"{_site(event)}/{event.time.astimezone(UTC):%Y/%m/%d}"


def _site(event: Event) -> str:
    """Return the site as one level of a key; what would make two of it is percent-encoded."""
    name = str(event.metadata.get("site") or "").strip()[:_LONGEST_SITE]
    if not name:
        return NO_SITE
    if not name.strip("."):
        return "%2E" * len(name)
    return _ODD.sub(_encoded, name)


def _encoded(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "replace"))


def name_of(messages: Sequence[Message]) -> str:
    """Return an object's name: its first event's time of day, and a hash of all message ids."""
    ids = "\n".join(sorted(message.id for message in messages))
    digest = hashlib.sha256(ids.encode()).hexdigest()[:_HASH_CHARACTERS]
    times = [m.event.time.astimezone(UTC) for m in messages if m.event is not None]
    first = f"{min(times):%H%M%S}-" if times else ""
    return f"{first}{digest}.jsonl.gz"


def packed(messages: Sequence[Message]) -> bytes:
    """Return the messages as gzipped JSON lines: the same bytes for the same messages."""
    lines = b"".join(map(line_of, messages))
    return gzip.compress(lines, COMPRESSION_LEVEL, mtime=0)
