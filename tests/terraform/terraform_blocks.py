"""Terraform files cut into blocks, by the layout that `terraform fmt` gives them.

It reads formatted files without heredocs, and nothing else: what it does not understand raises
ValueError. That the files are formatted is a test of its own.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

_HEADER = re.compile(r'(\w+)((?: "[^"]+")*) \{(\})?')
_ATTRIBUTE = re.compile(r"([\w-]+) += (.*)")


@dataclass(frozen=True)
class Block:
    """`kind "label" "label" { lines }`; the lines are less indented by one step."""

    kind: str
    labels: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Body:
    """What stands in a block: attributes (name: expression) and nested blocks, in order."""

    attributes: dict[str, str]
    blocks: tuple[Block, ...]


def body_of(lines):
    """Read the lines of a block, or of a file."""
    if any("<<" in line for line in lines):
        raise ValueError("heredocs are not understood")
    starts = [n for n, line in enumerate(lines) if re.match(r"[\w]", line)]
    attributes, blocks = {}, []
    for begin, end in pairwise([*starts, len(lines)]):
        item = _without_comments(lines[begin:end])
        if found := _HEADER.fullmatch(item[0]):
            blocks.append(_block(found, item))
        elif found := _ATTRIBUTE.fullmatch(item[0]):
            attributes[found[1]] = "\n".join([found[2], *item[1:]])
        else:
            raise ValueError(f"neither an attribute nor a block: {item[0]}")
    return Body(attributes, tuple(blocks))


def _block(found, item):
    labels = tuple(re.findall(r'"([^"]+)"', found[2]))
    if found[3]:
        return Block(found[1], labels, ())
    if item[-1] != "}":
        raise ValueError(f"a block that does not end: {item[0]}")
    return Block(found[1], labels, tuple(line.removeprefix("  ") for line in item[1:-1]))


def _without_comments(lines):
    kept = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if any(re.search(r"\s(#|//) ", line) for line in kept):
        raise ValueError("a comment behind code is not understood")
    return kept


def blocks_of(folder):
    """Every top-level block of the .tf files of a module's folder."""
    found = []
    for path in sorted(folder.glob("*.tf")):
        body = body_of(path.read_text().splitlines())
        if body.attributes:
            raise ValueError(f"{path.name}: attributes outside of a block")
        found += body.blocks
    return found
