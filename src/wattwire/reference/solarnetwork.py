"""The page of SolarNetwork's API, from what the face says of itself."""

from wattwire.reference.markdown import NOTICE, table
from wattwire.solarnetwork.page import (
    TITLE,
    Code,
    Heading,
    Items,
    Part,
    Table,
    Text,
    parts,
)


def page() -> str:
    """Return the page."""
    return "\n\n".join([f"{NOTICE}# {TITLE}", *map(_written, parts())]) + "\n"


def _written(part: Part) -> str:
    match part:
        case Heading(level, text):
            return f"{'#' * level} {text}"
        case Text(text):
            return text
        case Items(items):
            return "\n".join(f"- {item}" for item in items)
        case Table(heads, rows):
            return table(heads, rows).rstrip("\n")
        case Code(language, kind, text):
            return f"```{language} {kind}\n{text.rstrip()}\n```"
