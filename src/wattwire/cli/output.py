"""What commands print: a table for people, JSON for programs; errors with what to do."""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NoReturn

import msgspec
import typer

REFUSED: Final = 1
UNREACHABLE: Final = 3
_WIDEST: Final = 60


class CommandError(Exception):
    """A command cannot be carried out: one sentence that says what to do, and the exit code."""

    def __init__(self, message: str, code: int = REFUSED) -> None:
        super().__init__(message)
        self.code = code


def fail(error: CommandError) -> NoReturn:
    """Print the sentence and leave with the code."""
    print(f"wattwire: {error}", file=sys.stderr)
    raise typer.Exit(error.code)


def show_json(value: Any) -> None:
    """Print a value as one JSON document."""
    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2)
    print(text.decode())


def show(value: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing: a line for each field, or JSON."""
    if as_json:
        show_json(value)
        return
    width = max(map(len, value), default=0)
    for name, field in value.items():
        print(f"{name:<{width}}  {_cell(field)}")


def show_list(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    as_json: bool,
    next_cursor: str | None = None,
) -> None:
    """Print a list: a table of some columns, or JSON of everything, as the API gives it."""
    if as_json:
        show_json({"items": rows, "next_cursor": next_cursor})
        return
    cells = [[_cell(row.get(column))[:_WIDEST] for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for line in ([c.upper() for c in columns], *cells):
        print("  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)).rstrip())
    if next_cursor:
        print(f"There is more: --cursor {next_cursor}")


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.isoformat(timespec="seconds")
        case list() | tuple():
            return ", ".join(map(_cell, value)) or "-"
        case dict():
            return msgspec.json.encode(value, enc_hook=str).decode()
        case _:
            return str(value)
