"""The same rows straight into PostgreSQL by COPY: nothing checked, nothing rolled up."""

import shutil
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from benchmarks.report import Figure
from benchmarks.usage import metered
from benchmarks.yardsticks.remembered import once
from wattwire.engines.postgres import EmbeddedPostgres

VALUES = [277.1, 276.8, 277.4, 112.25, 109.75, 111.5, 84.25, 31.5, 90.25, 0.933, 60.01, 81234.5]
TABLE = """
    CREATE TABLE raw (
        stream_id integer NOT NULL, time timestamptz NOT NULL, received_at timestamptz NOT NULL,
        quality smallint NOT NULL, values float8[] NOT NULL, PRIMARY KEY (stream_id, time)
    )
"""
BATCH = 6_000
STREAMS = 320


@once
async def rows(options):
    """Raw COPY of rows with 12 values into a table like the hub's, 6,000 at a time."""
    folder = Path(tempfile.mkdtemp(prefix="wattwire-bench-"))
    folder.chmod(0o755)
    engine = EmbeddedPostgres(folder / "postgres")
    await engine.start()
    try:
        connection = await asyncpg.connect(engine.url, timeout=10)
        await connection.execute(TABLE)
        async with metered(engine.pid) as meter:
            count, seconds = await _copy(connection, 2 if options.quick else 8)
            usage = meter.usage()
        await connection.close()
    finally:
        await engine.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return Figure("raw COPY of the same rows", count / seconds, "rows/s", usage)


async def _copy(connection, seconds):
    started = time.perf_counter()
    moment, step, count = datetime(2025, 1, 1, tzinfo=UTC), timedelta(seconds=1), 0
    while time.perf_counter() - started < seconds:
        records = [
            (n % STREAMS, moment + step * (n // STREAMS), moment, 192, VALUES)
            for n in range(count, count + BATCH)
        ]
        await connection.copy_records_to_table("raw", records=records)
        count += BATCH
    return count, time.perf_counter() - started
