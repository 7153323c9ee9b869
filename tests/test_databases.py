"""A test's database is as the migration makes it, whatever the test before it did."""

import asyncpg
import pytest

from databases import Databases

ROWS = "INSERT INTO organization (name) SELECT 'o' || n FROM generate_series(1, $1::int) AS n"
NOTHING = "LANGUAGE plpgsql AS 'BEGIN END'"
CHANGES = [
    "CREATE TABLE own (id int)",
    "ALTER TABLE organization ADD COLUMN own int",
    "ALTER TABLE organization ALTER COLUMN name SET DEFAULT 'x'",
    "ALTER TABLE organization ADD CONSTRAINT own CHECK (name <> 'own')",
    "ALTER TABLE device DISABLE TRIGGER USER",
    f"CREATE OR REPLACE FUNCTION tell_config_change() RETURNS trigger {NOTHING}",
    "CREATE SCHEMA own",
]


@pytest.fixture
async def taken(postgres_url):
    """Databases with one given back once, and its URL."""
    databases = Databases(postgres_url)
    url = await databases.take()
    yield databases, url
    while databases._free:
        await databases.drop(databases._free[-1])


@pytest.mark.parametrize("count", [3, 20_000], ids=["deleted", "truncated"])
async def test_nothing_is_left_of_what_a_test_wrote(taken, count):
    """Rows are gone, counters begin again, the migration's own row is back, nobody is connected."""
    databases, url = taken
    left = await asyncpg.connect(url)
    await left.execute(ROWS, count)
    await left.execute("UPDATE interest_version SET version = 7")
    await left.execute(
        "CREATE TABLE event_2026_01_01 PARTITION OF event"
        " FOR VALUES FROM ('2026-01-01') TO ('2026-01-02')"
    )
    await databases.give_back(url)
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError)):
        await left.fetchval("SELECT 1")

    assert url == await databases.take()
    fresh = await asyncpg.connect(url)
    assert 0 == await fresh.fetchval("SELECT count(*) FROM organization")
    assert 1 == await fresh.fetchval("SELECT version FROM interest_version")
    assert await fresh.fetchval("SELECT to_regclass('event_2026_01_01')") is None
    await fresh.execute(ROWS, 1)
    assert 1 == await fresh.fetchval("SELECT number FROM organization")
    await fresh.close()
    await databases.give_back(url)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_changed_database_is_used_no_more(taken, change):
    """A test that changes tables, rules or functions gets no successor in its database."""
    databases, url = taken
    connection = await asyncpg.connect(url)
    await connection.execute(change)
    await connection.close()
    await databases.give_back(url)
    assert [] == databases._free
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(url)


async def test_a_dropped_database_is_forgotten(taken):
    """A test that dropped its database does not disturb the next."""
    databases, url = taken
    await databases.drop(url)
    await databases.give_back(url)
    assert [] == databases._free
