"""Partitions are made ahead of time and dropped when their retention is over."""

from datetime import UTC, datetime, timedelta

from wattwire.settings import Settings
from wattwire.store import retention
from wattwire.store.readings import ensure_months

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)


async def partitions(pool, table):
    rows = await pool.fetch(
        "SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "JOIN pg_class p ON p.oid = i.inhparent WHERE p.relname = $1",
        table,
    )
    return {row["name"] for row in rows if not row["name"].endswith("_default")}


async def test_days_ahead_are_there(pool):
    """Events and attempts have partitions for yesterday, today and the days ahead."""
    async with pool.acquire() as connection:
        await retention.keep_up(connection, Settings(), NOW)

    for table in ("event", "attempt"):
        wanted = {f"{table}_{NOW + timedelta(days=n):%Y%m%d}" for n in range(-1, 4)}
        assert wanted <= await partitions(pool, table)


async def test_old_months_of_readings_are_dropped_when_asked(pool):
    """With a retention of 2 months, readings of January and later stay in March."""
    settings = Settings(retention_readings_months=2)
    async with pool.acquire() as connection:
        await ensure_months(connection, [(2025, 12), (2026, 1), (2026, 3)])
        dropped = await retention.keep_up(connection, settings, NOW)

    assert ["reading_202512"] == dropped
    assert {"reading_202601", "reading_202603"} == await partitions(pool, "reading")


async def test_readings_are_kept_unless_asked(pool):
    """Without a retention no month is dropped, however old."""
    async with pool.acquire() as connection:
        await ensure_months(connection, [(2001, 1)])
        await retention.keep_up(connection, Settings(), NOW)

    assert {"reading_200101"} == await partitions(pool, "reading")


async def test_old_days_of_events_and_attempts_are_dropped(pool):
    """A day whose retention is over is dropped; the day after it stays."""
    async with pool.acquire() as connection:
        await retention.keep_up(connection, Settings(), NOW - timedelta(days=91))
        dropped = await retention.keep_up(connection, Settings(), NOW)

    old = NOW - timedelta(days=91)
    assert f"event_{old:%Y%m%d}" in dropped
    assert f"attempt_{old:%Y%m%d}" in dropped
    assert f"event_{NOW - timedelta(days=90):%Y%m%d}" not in dropped


async def test_the_record_of_changes_is_kept_as_long_as_asked(pool, organization_id):
    """Rows older than the retention go, in order; younger ones stay."""
    for days in (800, 740, 720, 1):
        await pool.execute(
            "INSERT INTO audit (organization_id, at, actor, action, object) "
            "VALUES ($1, $2, 'cli:root', 'device.deleted', $3)",
            organization_id,
            NOW - timedelta(days=days),
            str(days),
        )
    async with pool.acquire() as connection:
        await retention.keep_up(connection, Settings(), NOW)

    assert ["720", "1"] == [
        row["object"] for row in await pool.fetch("SELECT object FROM audit ORDER BY id")
    ]
