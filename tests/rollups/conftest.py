"""A meter in the database, and ways to change its readings as the product does."""

from datetime import UTC, datetime

import numpy as np
import pytest

from wattwire.model import to_instant
from wattwire.rollups.buckets import zone_of
from wattwire.rollups.marking import stale_hours
from wattwire.store import rollups as store

KINDS = ("instantaneous", "accumulating", "accumulating", "interval", "status")


class Meter:
    """One stream, with what its writer does: rows and marks in one transaction."""

    def __init__(self, pool, stream_id, device_id, zone_name, kinds):
        self.pool = pool
        self.id = stream_id
        self.device_id = device_id
        self.zone = zone_of(zone_name)
        self.kinds = kinds
        self.last = None

    async def write(self, rows, *, connection=None):
        """Store {time µs: (values, texts)}; mark what that makes stale, as the pipeline does."""
        if connection is None:
            async with self.pool.acquire() as own, own.transaction():
                return await self.write(rows, connection=own)
        await connection.executemany(
            "INSERT INTO reading (stream_id, time, received_at, values, texts) "
            "VALUES ($1, $2, now(), $3, $4) ON CONFLICT (stream_id, time) "
            "DO UPDATE SET values = excluded.values, texts = excluded.texts",
            [(self.id, to_instant(t), list(v), texts) for t, (v, texts) in rows.items()],
        )
        times = sorted(rows)
        late = self.last is not None and times[0] <= self.last
        await self.mark(times, connection=connection, previous=self.last, late=late)
        self.last = max(self.last or times[-1], times[-1])
        return None

    async def mark(self, times, *, connection, previous=None, late=True):
        hours = stale_hours(
            np.array(times, dtype=np.int64),
            self.zone,
            previous=None if late else previous,
            late=late,
        )
        await store.mark_stale(connection, "h", [(self.id, to_instant(hour)) for hour in hours])

    async def delete(self, start, end):
        """Delete the readings in [start, end), µs."""
        async with self.pool.acquire() as connection, connection.transaction():
            span = to_instant(start), to_instant(end)
            await store.mark_deleted(connection, [self.id], *span)
            await connection.execute(
                "DELETE FROM reading WHERE stream_id = $1 AND time >= $2 AND time < $3",
                self.id,
                *span,
            )

    async def reset(self, place, time, final, start):
        """Say that a register was replaced."""
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO register_reset (stream_id, channel, time, final, start) "
                "VALUES ($1, $2, $3, $4, $5)",
                self.id,
                f"channel_{place}",
                to_instant(time),
                final,
                start,
            )
            await self.mark([time], connection=connection)

    async def rollups(self, bucket):
        """Return what is stored, by start."""
        span = datetime(1990, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)
        rows = await store.read_rollups(self.pool, [self.id], bucket, *span, limit=100_000)
        return {row.start: row for row in rows}


async def make_months(pool, first, last):
    """Make the partitions of `reading` from one (year, month) to another."""
    year, month = first
    while (year, month) <= last:
        following = (year + month // 12, month % 12 + 1)
        await pool.execute(
            f"CREATE TABLE IF NOT EXISTS reading_{year}{month:02} PARTITION OF reading FOR VALUES "
            f"FROM ('{year}-{month:02}-01Z') TO ('{following[0]}-{following[1]:02}-01Z')"
        )
        year, month = following


@pytest.fixture
def make_meter(pool, organization_id):
    """Return a function that makes a meter in a zone, with partitions for its years."""
    made = []

    async def make(
        zone_name="UTC",
        *,
        kinds=KINDS,
        end_stamped=False,
        detect_resets=None,
        interval_seconds=None,
        months=((2017, 12), (2019, 2)),
    ):
        await make_months(pool, *months)
        device_id = await pool.fetchval(
            "INSERT INTO device (organization_id, key, name, time_zone) "
            "VALUES ($1, $2, $2, $3) RETURNING id",
            organization_id,
            f"meter-{len(made)}",
            zone_name,
        )
        stream_id = await pool.fetchval(
            "INSERT INTO stream (device_id, path, stamp, interval_seconds, detect_resets) "
            "VALUES ($1, '/power/1', $2, $3, $4) RETURNING id",
            device_id,
            "end" if end_stamped else "start",
            interval_seconds,
            detect_resets,
        )
        await pool.executemany(
            "INSERT INTO channel (stream_id, position, name, kind) VALUES ($1, $2, $3, $4)",
            [(stream_id, i + 1, f"channel_{i}", kind) for i, kind in enumerate(kinds)],
        )
        made.append(stream_id)
        return Meter(pool, stream_id, device_id, zone_name, kinds)

    return make
