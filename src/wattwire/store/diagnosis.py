"""What `wattwire doctor` asks the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from wattwire.store.database import MIGRATIONS
from wattwire.store.queries import load

_SQL: Final = load("diagnosis")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How the store is doing, of all organizations together."""

    now: datetime
    organizations: int
    quarantine: int  #: entries that wait for a person
    sick_integrations: Sequence[tuple[str, str]]  #: (name, reason), at most 20


async def list_missing_migrations(db: Any) -> list[str]:
    """Return the migrations that this program has and the database has not."""
    files = {path.stem for path in MIGRATIONS.glob("*.sql")}
    if not await db.fetchval(_SQL.has_migrations):
        return sorted(files)
    return sorted(files - {row["name"] for row in await db.fetch(_SQL.list_migrations)})


async def diagnose(db: Any) -> Diagnosis:
    """Return how the store is doing."""
    row = await db.fetchrow(_SQL.look)
    sick = [(r["name"], r["reason"]) for r in await db.fetch(_SQL.list_sick_integrations)]
    return Diagnosis(row["now"], row["organizations"], row["quarantine"], sick)
