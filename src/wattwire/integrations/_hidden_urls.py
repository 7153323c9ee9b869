"""Addresses that are passwords, kept out of what receivers say. Pure.

A receiver that knows no such path often repeats it (`Cannot POST /hooks/catch/123456/abcdef`), as a
whole or in parts, decoded or escaped for JSON. So each part of the path and of the query that is
long enough is hidden by itself, unless everybody knows it, and the whole before its parts.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from yarl import URL

#: Shorter parts are in every second answer, and guard nothing.
SHORTEST: Final = 6
_EVERYBODY_KNOWS: Final = frozenset(("incoming", "services", "trigger", "webhook", "webhooks"))
HIDDEN: Final = "…"


def hider(url: URL) -> Callable[[str], str]:
    """Return a function that takes this address, and its parts, out of a text."""
    found = {part for part in _parts(url) if len(part) >= SHORTEST} - _EVERYBODY_KNOWS
    if not found:
        return str
    longest_first = sorted(found, key=lambda part: (-len(part), part))
    pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)
    return lambda text: pattern.sub(HIDDEN, text)


def _parts(url: URL) -> Iterator[str]:
    """Yield what must not be seen: the whole and its pieces, each in all the ways to write it."""
    for whole in (str(url), url.human_repr(), url.raw_path_qs, url.path_qs, url.raw_path):
        yield whole
        yield whole.replace("/", "\\/")
    for piece in (*url.parts, *url.query.keys(), *url.query.values()):
        yield from (piece, quote(piece, safe=""), quote(piece), quote_plus(piece))
    yield from url.raw_parts
