"""Reads the examples out of Markdown pages, for the tests that hold them to the code."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"^```(\S+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: its language, the words after it, its text."""

    language: str
    words: tuple[str, ...]
    text: str


def blocks(page):
    """All fenced blocks of a page, in order."""
    text = (ROOT / page).read_text()
    return [Block(m[1], tuple(m[2].split()), m[3]) for m in _BLOCK.finditer(text)]


def shape(value):
    """What a JSON value looks like: types and names; of a list, its first item."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value)
    )


def sample_of(block):
    """The namespace of a Python block after it ran."""
    namespace = {}
    exec(compile(block.text, "<documented>", "exec"), namespace)
    return namespace
