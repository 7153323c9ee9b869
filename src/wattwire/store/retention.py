"""Partitions: made ahead of time, dropped when their retention is over."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from wattwire.settings import Settings
from wattwire.store import idempotency, ledger
from wattwire.store.queries import load

_SQL: Final = load("retention")


async def keep_up(connection: Any, settings: Settings, now: datetime) -> list[str]:
    """Make the days ahead, drop what is too old; return the names of what was dropped."""
    today = now.astimezone(UTC).date()
    await ledger.ensure_partitions(connection, today)
    dropped = await ledger.drop_partitions(
        connection, "event", today - timedelta(days=settings.retention_events_days)
    )
    dropped += await ledger.drop_partitions(
        connection, "attempt", today - timedelta(days=settings.retention_attempts_days)
    )
    if settings.retention_readings_months:
        month = _months_back(today, settings.retention_readings_months)
        dropped += await _drop_months(connection, f"reading_{month:%Y%m}")
    await connection.execute(
        _SQL.purge_quarantine, now - timedelta(days=settings.retention_quarantine_days)
    )
    await connection.execute(_SQL.purge_audit, now - timedelta(days=settings.retention_audit_days))
    await idempotency.forget_old(connection)
    await connection.execute(
        _SQL.purge_dead_letters, now - timedelta(days=settings.retention_events_days)
    )
    return dropped


async def _drop_months(connection: Any, first_kept: str) -> list[str]:
    """Drop the months of readings whose names, which hold their time, sort before `first_kept`."""
    rows = await connection.fetch(_SQL.list_partitions, "reading")
    old = [row["name"] for row in rows if row["name"] < first_kept]
    for name in old:
        async with connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '5s'")
            await connection.execute(f"DROP TABLE IF EXISTS {name}")
    return old


def _months_back(today: date, months: int) -> date:
    count = today.year * 12 + today.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)
