"""The cost of a message as the installation grows: it should stay flat."""

import asyncio
import time
from dataclasses import replace

from benchmarks import hub as hubs
from benchmarks.hub import hub
from benchmarks.loading import load
from benchmarks.report import Figure, Row
from benchmarks.rows.ingest import SETTLE_SECONDS, STALE, STORED, TOPIC
from benchmarks.usage import metered

BATCH = 500_000
QUIET = 3600  # seconds: rollups are put off beyond the end of the row


#: Readings from an instant on, found without a look at all that are older.
STORED_SINCE = (
    "SELECT count(*) FROM stream AS s, LATERAL (SELECT FROM reading AS r"
    " WHERE r.stream_id = s.id AND r.time >= to_timestamp($1::float8)) AS found"
)


async def _cost(running, login, messages, devices, start_ms, *, rolled_up=True, older=False):
    """CPU microseconds of the whole tree per message, and the rate until all is stored.

    `older`: so many older readings are there that counting all of them would be a load.
    """
    query, *since = (STORED_SINCE, start_ms / 1000) if older else (STORED,)
    before, _ = await running.until(query, 0, 0, *since)
    async with metered(running.pid) as meter:
        started = time.perf_counter()
        figures = await load(
            running.info["mqtt_port"],
            **login,
            messages=messages,
            devices=devices,
            connections=min(32, devices),
            start_ms=start_ms,
        )
        await running.until(query, before + figures["acked"], SETTLE_SECONDS, *since)
        took = time.perf_counter() - started
        if rolled_up:
            await running.until(STALE, 1, SETTLE_SECONDS)
        usage = meter.usage()
    return usage.cpu_seconds / figures["acked"] * 1e6, figures["acked"] / took, usage


def _now_ms(back_seconds):
    return (int(time.time()) - back_seconds) * 1000


def _row(name, what, costs):
    """The first size is the yardstick of the last."""
    (_, (least, *_)), *_, (_, (most, _, usage)) = costs
    return Row(
        name,
        what,
        Figure("cost at the largest beside the smallest", most / least, "x", usage),
        2.0,
        1.3,
        better="less",
        also=[
            Figure(label, cost, "µs CPU/message", note=f"{rate:,.0f} msg/s")
            for label, (cost, rate, _usage) in costs
        ],
    )


async def devices(options):
    """CPU per message with 10, 1,000 and 100,000 devices, each known before, until it is stored.

    Every device sends at least ten messages. A rollup is made once per device and hour, however
    many messages there are, so it is kept out of the cost of a message: it has a line of its own.
    """
    sizes = (10, 1_000, 10_000) if options.quick else (10, 1_000, 100_000)
    messages = 20_000 if options.quick else 200_000
    costs, rollups = [], []
    for size in sizes:
        cost, rollup = await _cost_of_devices(size, max(messages, 10 * size))
        costs.append((f"{size:,} devices", cost))
        rollups.append(Figure(f"a rollup, {size:,} devices", rollup, "µs CPU/bucket"))
    row = _row("growth_devices", devices.__doc__.splitlines()[0], costs)
    return replace(row, also=row.also + rollups)


async def _cost_of_devices(size, messages):
    """The cost of a message without rollups, then what the rollups that were put off cost each."""
    async with hub(quiet_seconds=QUIET, quiet_limit_seconds=QUIET) as running:
        username, password = running.login("sparkplug_b", TOPIC)
        login = {"username": username, "password": password}
        once = max(size, 3_200)  # every device once: they register
        port = running.info["mqtt_port"]
        many = {"devices": size, "connections": min(32, size)}
        await load(port, **login, **many, messages=once, start_ms=_now_ms(7200))
        await running.until("SELECT count(*) FROM device", size, SETTLE_SECONDS)
        cost = await _cost(running, login, messages, size, _now_ms(3600), rolled_up=False)
        async with running.database() as database:
            stale = await database.fetchval("SELECT count(*) FROM stale")
        await hubs.stop(running.process)
        again = await hubs.start(running.folder)
        try:
            async with metered(again.pid) as meter:
                await again.until(STALE, 1, 10 * SETTLE_SECONDS)
                usage = meter.usage()
        finally:
            await hubs.stop(again.process)
    return cost, usage.cpu_seconds / max(stale, 1) * 1e6


async def integrations(options):
    """CPU per message with 1, 100 and 1,000 integrations that ask for other things."""
    sizes = (1, 100) if options.quick else (1, 100, 1_000)
    messages = 20_000 if options.quick else 200_000
    costs = []
    async with hub() as running:
        username, password = running.login("sparkplug_b", TOPIC)
        login = {"username": username, "password": password}
        await load(running.info["mqtt_port"], **login, messages=3_200)
        made = 0
        for turn, size in enumerate(sizes):
            while made < size:
                await running.post("/api/v1/integrations", _other(made))
                made += 1
            await asyncio.sleep(5)
            cost = await _cost(running, login, messages, 320, _now_ms(36_000 - turn * 5_000))
            costs.append((f"{size:,} integrations", cost))
    return _row("growth_integrations", integrations.__doc__, costs)


def _other(number):
    return {
        "type": "webhook",
        "name": f"other {number}",
        "topics": ["device.alert", "device.telemetry"],
        "stream_patterns": [f"/other/{number}/**"],
        "settings": {"url": f"http://127.0.0.1:9/{number}"},
        "enabled": True,
    }


async def readings(options):
    """CPU per message with no and with a million stored readings (100 million with --full)."""
    stored = 100_000_000 if options.full else 200_000 if options.quick else 1_000_000
    messages = 20_000 if options.quick else 200_000
    costs = []
    async with hub() as running:
        username, password = running.login("sparkplug_b", TOPIC)
        login = {"username": username, "password": password}
        await load(running.info["mqtt_port"], **login, messages=3_200)
        cost = await _cost(running, login, messages, 320, _now_ms(36_000), older=True)
        costs.append(("empty", cost))
        await _fill(running, stored)
        cost = await _cost(running, login, messages, 320, _now_ms(30_000), older=True)
        async with running.database() as database:
            there = await database.fetchval(STORED, timeout=1800)
        costs.append((f"{there:,} readings", cost))
    return _row("growth_readings", readings.__doc__, costs)


async def _fill(running, count):
    """Put readings of the known streams into this month's and older partitions, by SQL alone.

    They go one second apart into the past, below what the load writes, spread over all streams.
    """
    async with running.database() as database:
        streams = await database.fetchval("SELECT count(*) FROM stream")
        oldest = await database.fetchval("SELECT min(time) FROM reading")
        month_start = await database.fetchval("SELECT date_trunc('month', $1::timestamptz)", oldest)
        step = min(1.0, (oldest - month_start).total_seconds() / (count / streams + 1))
        batches = [
            (oldest, step, first // streams, (first + BATCH) // streams - 1)
            for first in range(0, count, BATCH)
        ]
        halves = (batches[0::2], batches[1::2])
        await asyncio.gather(*[_insert(running, half) for half in halves])
        await database.execute("ANALYZE reading", timeout=3600)


async def _insert(running, batches):
    async with running.database() as database:
        for batch in batches:
            await database.execute(
                "INSERT INTO reading (stream_id, time, received_at, quality, values) "
                "SELECT s.id, $1::timestamptz - make_interval(secs => $2 * (1 + n)), now(), 192, "
                "array_fill(1.5::float8, ARRAY[12]) "
                "FROM generate_series($3::bigint, $4::bigint) AS n, stream AS s "
                "ON CONFLICT DO NOTHING",
                *batch,
                timeout=3600,
            )
