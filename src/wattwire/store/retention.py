"""Partitions: made ahead of time, dropped when their retention is over."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from wattwire.settings import Settings
from wattwire.store.queries import load

_SQL: Final = load("retention")
DAYS_AHEAD: Final = 3
_PARTITION_LOCK: Final = 0x44617973
IDEMPOTENCY_AGE: Final = timedelta(hours=24)


async def keep_up(connection: Any, settings: Settings, now: datetime) -> list[str]:
    """Make the days ahead, drop what is too old; return the names of what was dropped."""
    today = now.astimezone(UTC).date()
    await ensure_days(connection, today)
    events_end = today - timedelta(days=settings.retention_events_days)
    attempts_end = today - timedelta(days=settings.retention_attempts_days)
    dropped = await _drop_before(connection, "event", f"event_{events_end:%Y%m%d}")
    dropped += await _drop_before(connection, "attempt", f"attempt_{attempts_end:%Y%m%d}")
    if settings.retention_readings_months:
        month = _months_back(today, settings.retention_readings_months)
        dropped += await _drop_before(connection, "reading", f"reading_{month:%Y%m}")
    await connection.execute(
        _SQL.purge_quarantine, now - timedelta(days=settings.retention_quarantine_days)
    )
    await connection.execute(_SQL.purge_idempotency, now - IDEMPOTENCY_AGE)
    await connection.execute(
        _SQL.purge_dead_letters, now - timedelta(days=settings.retention_events_days)
    )
    return dropped


async def ensure_days(connection: Any, today: date) -> None:
    """Make the partitions of events and attempts for yesterday, today and a few days ahead."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _PARTITION_LOCK)
        there = {
            row["name"]
            for table in ("event", "attempt")
            for row in await connection.fetch(_SQL.list_partitions, table)
        }
        for offset in range(-1, DAYS_AHEAD + 1):
            day = today + timedelta(days=offset)
            for table in ("event", "attempt"):
                name = f"{table}_{day:%Y%m%d}"
                if name not in there:
                    await _make_day(connection, table, name, day)


async def _make_day(connection: Any, table: str, name: str, day: date) -> None:
    after = day + timedelta(days=1)
    await connection.execute(
        f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {table} "
        f"FOR VALUES FROM ('{day.isoformat()}T00:00Z') TO ('{after.isoformat()}T00:00Z')"
    )


async def _drop_before(connection: Any, table: str, first_kept: str) -> list[str]:
    """Drop the partitions of a table whose names, which hold their time, sort before `first_kept`."""
    rows = await connection.fetch(_SQL.list_partitions, table)
    old = [
        row["name"]
        for row in rows
        if len(row["name"]) == len(first_kept) and row["name"] < first_kept
    ]
    for name in old:
        await connection.execute(f"DROP TABLE {name}")
    return old


def _months_back(today: date, months: int) -> date:
    count = today.year * 12 + today.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)
