"""A hub's API, devices with readings and rollups, and clients that sign as SolarNetwork's do."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import msgspec
from solarnetwork_bench import make_client

from wattwire.model import Channel, Shape
from wattwire.rollups.recompute import recompute_once
from wattwire.store import readings, registry, rollups

NOON = datetime(2020, 6, 1, 12, tzinfo=UTC)
SEC = "/solarquery/api/v1/sec"


def at(minutes, start=NOON):
    """Noon of the first of June 2020, and so many minutes."""
    return start + timedelta(minutes=minutes)


class QueryClient:
    """SolarQuery and SolarIn, called with one token."""

    def __init__(self, signing):
        self.signing = signing

    async def get(self, call, **parameters):
        pairs = [
            f"{quote(name, safe='')}={quote(str(value), safe='')}"
            for name, values in parameters.items()
            for value in (values if isinstance(values, list) else [values])
        ]
        return await self.signing.get(SEC + call + ("?" + "&".join(pairs) if pairs else ""))

    async def list(self, **parameters):
        return await self.get("/datum/list", **parameters)

    async def results(self, **parameters):
        return (await self.list(**parameters)).data["results"]

    async def reading(self, kind, **parameters):
        return await self.get("/datum/reading", readingType=kind, **parameters)

    async def upload(self, datums, path="/solarin/bulkCollector.do", **headers):
        body = datums if isinstance(datums, bytes) else msgspec.json.encode(datums)
        return await self.signing.call("POST", path, body=body, **headers)


@dataclass
class World:
    """Two organizations on one hub."""

    pool: object
    bench: object
    organization_id: object

    async def client(self, *, kind="User", organization_id=None, expires_at=None, **policy):
        owner = organization_id or self.organization_id
        return QueryClient(
            await make_client(self.bench, owner, kind=kind, expires_at=expires_at, **policy)
        )

    async def store(self, rows, *, organization_id=None, zone="UTC", device="meter-1",
                    path="/power/1", kinds=None, detect_resets=None):  # fmt: skip
        """Store (time, {name: value}) as a stream; return (node id, stream id)."""
        channels = self._channels(rows, kinds or {})
        shape = Shape(device, path, channels)
        owner = organization_id or self.organization_id
        async with self.pool.acquire() as db:
            await registry.register_devices(db, [(owner, shape)])
            found = (await registry.register_streams(db, [(owner, shape)]))[owner, shape]
            await db.execute(
                "UPDATE device SET time_zone = $2 WHERE id = $1", found.device_id, zone
            )
            await db.execute(
                "UPDATE stream SET detect_resets = $2 WHERE id = $1", found.stream_id, detect_resets
            )
            await readings.ensure_months(db, readings.months_of(time for time, _ in rows))
            stored = [self._row(found.stream_id, channels, *row) for row in rows]
            # One by one: rows with texts and without take different ways into the table.
            for row in stored:
                await readings.append(db, [row])
            hours = {time.replace(minute=0, second=0, microsecond=0) for time, _ in rows}
            hours |= {hour - timedelta(hours=1) for hour in hours}
            await rollups.mark_stale(db, "h", [(found.stream_id, hour) for hour in sorted(hours)])
        return found.device_id, found.stream_id

    def _channels(self, rows, kinds):
        names = dict.fromkeys(name for _, values in rows for name in values)
        return tuple(Channel(n, kinds.get(n, "instantaneous"), "") for n in names)

    def _row(self, stream_id, channels, time, values):
        texts = [values.get(c.name) if c.kind == "status" else None for c in channels]
        numbers = [None if c.kind == "status" else values.get(c.name) for c in channels]
        said = texts if any(texts) else None
        return readings.Row(stream_id, time, time, 192, numbers, said)

    async def compute(self):
        """Compute all rollups that are due."""
        await recompute_once(self.pool, quiet=timedelta(0))
