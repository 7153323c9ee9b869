"""Named SQL statements, read once from `queries/*.sql`.

A statement begins with `-- name: its_name`; comment lines after it say what it does. It is used as
an attribute of the file: `load("devices").find_by_key`.
"""

import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Final

FOLDER: Final = Path(__file__).parent / "queries"
_NAME: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def load(file: str) -> SimpleNamespace:
    """Return the statements of `queries/FILE.sql`. Raises ValueError for a repeated name."""
    parts = _NAME.split((FOLDER / f"{file}.sql").read_text(encoding="utf-8"))
    names, bodies = parts[1::2], parts[2::2]
    if len(set(names)) != len(names):
        raise ValueError(f"{file}.sql names a statement twice")
    return SimpleNamespace(**{n: b.strip() for n, b in zip(names, bodies, strict=True)})
