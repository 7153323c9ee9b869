"""`wattwire docs`: the reference pages."""

from pathlib import Path
from typing import Annotated

import typer

from wattwire.cli.output import show

FolderOption = Annotated[
    Path, typer.Option("--folder", help="Where the pages are written.", file_okay=False)
]


def docs(context: typer.Context, folder: FolderOption = Path("docs")) -> None:
    """Write the reference pages from the code: settings, commands, API, types, metrics."""
    from wattwire.reference import pages  # noqa: PLC0415 - slow to import, for this alone

    changed = 0
    for name, text in pages(context.find_root().command).items():
        changed += _write(folder / name, text)
    show({"folder": str(folder), "changed": changed}, as_json=False)


def _write(path: Path, text: str) -> bool:
    """Write a page unless it says so already; return whether it did."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return True
