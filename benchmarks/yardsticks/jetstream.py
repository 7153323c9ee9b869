"""The log by itself: 60 KB publishes into a JetStream stream that syncs each of them."""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path

import nats
from nats.js.api import StreamConfig

from benchmarks.report import Figure
from benchmarks.usage import metered
from benchmarks.yardsticks.remembered import once
from wattwire.engines.nats import EmbeddedNats
from wattwire.settings import Durability

SIZE = 60_000
UNDER_WAY = 2  # as many commits as the hub keeps under way


@once
async def fsynced_batches(options):
    """Publishes of 60 KB per second, each fsynced and acknowledged, two under way."""
    folder = Path(tempfile.mkdtemp(prefix="wattwire-bench-"))
    engine = EmbeddedNats(folder, durability=Durability.FSYNC, max_store_bytes=8 * 1024**3)
    await engine.start()
    try:
        async with metered(engine.pid) as meter:
            count, seconds = await _publish(engine.url, 2 if options.quick else 8)
            usage = meter.usage()
    finally:
        await engine.stop()
        shutil.rmtree(folder, ignore_errors=True)
    note = f"= {count / seconds * SIZE / 1e6:.0f} MB/s"
    return Figure("raw JetStream, fsynced 60 KB publishes", count / seconds, "/s", usage, note)


async def _publish(url, seconds):
    client = await nats.connect(url)
    js = client.jetstream()
    await js.add_stream(StreamConfig(name="RAW", subjects=["raw"]))
    body, counts = b"x" * SIZE, [0] * UNDER_WAY
    started = time.perf_counter()

    async def work(number):
        while time.perf_counter() - started < seconds:
            await js.publish("raw", body, timeout=30)
            counts[number] += 1

    await asyncio.gather(*(work(number) for number in range(UNDER_WAY)))
    took = time.perf_counter() - started
    await client.close()
    return sum(counts), took
