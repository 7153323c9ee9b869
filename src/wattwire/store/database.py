"""Connections to PostgreSQL and the migrations that shape it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import structlog

MIGRATIONS: Final = Path(__file__).parent / "migrations"
MIGRATION_LOCK: Final = 0x57617474  # any number that only the hub uses: "Watt"
STATEMENT_TIMEOUT_SECONDS: Final = 60.0

Pool = asyncpg.Pool
Connection = asyncpg.Connection

log = structlog.get_logger()


class DatabaseError(Exception):
    """PostgreSQL cannot be used."""


async def prepare_connection(connection: Any) -> None:
    """Let every connection speak JSON as Python values."""
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind,
            encoder=lambda value: msgspec.json.encode(value).decode(),
            decoder=msgspec.json.decode,
            schema="pg_catalog",
        )


@asynccontextmanager
async def open_pool(url: str, *, size: int = 8, role: str = "hub") -> AsyncIterator[Any]:
    """Open a pool of at most `size` connections for as long as the context lasts.

    Raises DatabaseError with one sentence when the database does not answer within 10 s.
    """
    try:
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            timeout=10,
            command_timeout=STATEMENT_TIMEOUT_SECONDS,
            init=prepare_connection,
            server_settings={"application_name": f"wattwire-{role}", "timezone": "UTC"},
        )
    except (
        OSError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        TimeoutError,
        ValueError,
    ) as error:
        raise DatabaseError(
            f"PostgreSQL does not answer: {error or type(error).__name__}"
        ) from error
    try:
        yield pool
    finally:
        await _close(pool)


async def _close(pool: Any) -> None:
    """Wait a moment for connections in use, then cut them off."""
    try:
        async with asyncio.timeout(5):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def migrate(url: str) -> list[str]:
    """Apply the migrations that are missing, in order, each in its transaction; return their names.

    Several hubs may start at once: an advisory lock lets one migrate while the others wait.
    Raises DatabaseError when the database is newer than this program.
    """
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
        return await _apply_missing(connection)
    finally:
        await connection.close(timeout=5)


async def _apply_missing(connection: Any) -> list[str]:
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS migration "
        "(name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    applied = {row["name"] for row in await connection.fetch("SELECT name FROM migration")}
    files = {path.stem: path for path in sorted(MIGRATIONS.glob("*.sql"))}
    if unknown := applied - files.keys():
        raise DatabaseError(f"The database is newer than this program: it has {max(unknown)}")
    missing = [name for name in files if name not in applied]
    for name in missing:
        async with connection.transaction():
            await connection.execute(files[name].read_text(encoding="utf-8"))
            await connection.execute("INSERT INTO migration (name) VALUES ($1)", name)
        log.info("store.migration_applied", name=name)
    return missing
