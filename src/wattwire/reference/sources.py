"""The page of a source type."""

from collections.abc import Iterable
from typing import Any

from wattwire.reference.markdown import NOTICE, code, field_table, table
from wattwire.sources.contract import SourceType


def page(kind: SourceType[Any]) -> str:
    """Return the Markdown page of a source type."""
    return (
        f"{NOTICE}{kind.docs or ''}\n## Settings\n\nType `{kind.name}`. Secrets are sealed, and "
        f"never shown again.\n\n{field_table(kind.settings)}"
    )


def index(kinds: Iterable[SourceType[Any]]) -> str:
    """Return the list of all sources, the hub's own doors first."""
    rows = [("[the hub's own doors](doors.md)", "MQTT and HTTP: devices and programs send.")]
    rows += [(f"[{code(k.name)}]({k.name}.md)", _sentence(k.docs)) for k in kinds]
    return f"{NOTICE}# Sources\n\nWhere readings come from.\n\n{table(('source', 'reads'), rows)}"


def _sentence(docs: str | None) -> str:
    return (docs or "").strip().split("\n\n")[1].partition(". ")[0].rstrip(".") + "."
