"""What it takes to ask for stored figures."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

from benchmarks.hub import hub
from benchmarks.report import Figure, Row, percentile
from benchmarks.usage import metered

MONTH = datetime(2025, 5, 1, tzinfo=UTC)
ASKED = 200


async def rollup_query(options):
    """A month of hourly rollups of one device through the API, p95 of 200 calls."""
    asked = 50 if options.quick else ASKED
    async with hub() as running:
        for day in range(31):
            await running.post("/api/v1/readings", {"readings": _day(day)})
        await running.until("SELECT count(*) FROM rollup WHERE bucket = 'h'", 744, 120)
        device = (await running.get("/api/v1/devices"))["items"][0]["id"]
        path = f"/api/v1/devices/{device}/rollups"
        query = {
            "aggregation": "h",
            "from": MONTH.isoformat().replace("+00:00", "Z"),
            "to": (MONTH + timedelta(days=31)).isoformat().replace("+00:00", "Z"),
        }
        async with metered(running.pid) as meter:
            seconds, hours = await _ask(running, path, query, asked)
            usage = meter.usage()
        direct = await _ask_database(running, asked)
    return Row(
        "rollup_query",
        rollup_query.__doc__,
        Figure("p95", percentile(seconds, 0.95) * 1000, "ms", usage, f"{hours} hours an answer"),
        50,
        15,
        better="less",
        yardsticks=[
            Figure("the rows by asyncpg alone, p95", percentile(direct, 0.95) * 1000, "ms")
        ],
        also=[Figure("p50", percentile(seconds, 0.5) * 1000, "ms")],
    )


def _day(day):
    return [
        {
            "device": "m-1",
            "stream": "/power/1",
            "time": (MONTH + timedelta(days=day, minutes=15 * n)).isoformat(),
            "values": {"active_power_w": 100 + n, "energy_import_wh": 25 * (96 * day + n)},
        }
        for n in range(96)
    ]


async def _ask(running, path, query, count):
    times, hours = [], 0
    async with running.api() as api:
        for _ in range(count):
            started = time.perf_counter()
            async with api.get(path, params=query) as answer:
                body = await answer.json()
            times.append(time.perf_counter() - started)
            hours = len(body["items"])
    return times, hours


async def _ask_database(running, count):
    times = []
    async with running.database() as database:
        for _ in range(count):
            started = time.perf_counter()
            await database.fetch("SELECT * FROM rollup WHERE bucket = 'h' ORDER BY start")
            times.append(time.perf_counter() - started)
            await asyncio.sleep(0)
    return times
