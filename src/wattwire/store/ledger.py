"""The counters of deliveries, which add up at any moment, and the days of what is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec

from wattwire.store.queries import load

_SQL: Final = load("ledger")

#: Days of partitions that are made ahead: a hub whose clock or maintenance lags still finds one.
DAYS_AHEAD: Final = 3
#: A row per change is folded when an integration has more of them than this.
FOLD_ABOVE: Final = 20
DELETED: Final = "the integration was deleted"
_SLICE: Final = 10_000
_BY_DAY: Final = {"event": "created_at", "attempt": "started_at"}


@dataclass(frozen=True, slots=True)
class Counters:
    """matched = delivered + waiting + in_flight + dead + discarded, exactly."""

    matched: int
    delivered: int
    waiting: int
    in_flight: int
    dead: int
    discarded: int
    discarded_reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def closes(self) -> bool:
        """Return whether the sum is what it must be."""
        parts = (self.delivered, self.waiting, self.in_flight, self.dead, self.discarded)
        return self.matched == sum(parts)


async def counters(connection: Any, integration_id: int) -> Counters:
    """Return the counters of one integration, from one snapshot.

    `matched`, `delivered`, `dead` and `discarded` are what was counted; `waiting` and `in_flight`
    are rows of the queue, counted now: two independent figures that have to agree.
    """
    return (await counters_of(connection, [integration_id]))[integration_id]


async def counters_of(connection: Any, integration_ids: Sequence[int]) -> dict[int, Counters]:
    """Return the counters of several integrations, all from the same snapshot."""
    rows = await connection.fetch(_SQL.counters, list(integration_ids))
    return {row["integration_id"]: _counters(row) for row in rows}


def _counters(row: Any) -> Counters:
    queued = row["queued"]
    in_flight = min(max(row["in_flight"], 0), queued)
    reasons = row["reasons"]
    return Counters(
        matched=row["matched"],
        delivered=row["delivered"],
        waiting=queued - in_flight,
        in_flight=in_flight,
        dead=row["dead"],
        discarded=row["discarded"],
        discarded_reasons=msgspec.json.decode(reasons) if isinstance(reasons, str) else reasons,
    )


async def fold_ledger(connection: Any, above: int = FOLD_ABOVE) -> int:
    """Put the changes of busy integrations together; return how many rows were folded."""
    folded: int = await connection.fetchval(_SQL.fold, above)
    return folded


async def discard_orphans(connection: Any) -> int:
    """Discard what is queued for deleted integrations; return how many rows."""
    total = 0
    while gone := await connection.fetchval(_SQL.discard_orphans, _SLICE, DELETED):
        total += gone
    return total


async def ensure_partitions(connection: Any, today: date) -> list[str]:
    """Make the daily partitions of events and attempts from yesterday on; return what was made.

    Rows that ended up in the default partition because a day was missing move to their day.
    """
    made = []
    for table, column in _BY_DAY.items():
        there = await _partitions(connection, table)
        for offset in range(-1, DAYS_AHEAD + 1):
            day = today + timedelta(days=offset)
            if (name := f"{table}_{day:%Y%m%d}") not in there:
                await _make_day(connection, table, column, name, day)
                made.append(name)
    return made


async def _partitions(connection: Any, table: str) -> list[str]:
    return [row["name"] for row in await connection.fetch(_SQL.list_partitions, table)]


async def _make_day(connection: Any, table: str, column: str, name: str, day: date) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    end = start + timedelta(days=1)
    span = f"'{start.isoformat()}' AND {column} < '{end.isoformat()}'"
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", f"days of {table}")
        if await connection.fetchval("SELECT to_regclass($1)", name) is not None:
            return  # another hub was quicker
        await connection.execute(
            f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);"
            f"WITH moved AS (DELETE FROM {table}_default WHERE {column} >= {span} RETURNING *)"
            f" INSERT INTO {name} SELECT * FROM moved;"
            f"ALTER TABLE {table} ATTACH PARTITION {name}"
            f" FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}')"
        )


async def drop_partitions(connection: Any, table: str, before: date) -> list[str]:
    """Drop the days of `event` or `attempt` that ended before a date; return their names.

    Gives up, to be tried again later, when the table is in use for longer than 5 s.
    """
    names = await _partitions(connection, table)
    old = [name for name in names if name < f"{table}_{before:%Y%m%d}"]
    for name in old:
        async with connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '5s'")
            await connection.execute(f"DROP TABLE IF EXISTS {name}")
    return old
