"""A bare aiohttp loop that writes the same lines: gzipped, so many at once, nothing kept."""

import asyncio
import gzip
import os
import time

import aiohttp
import psutil

from benchmarks.receivers import receiver
from benchmarks.report import Figure, Usage
from benchmarks.usage import pss_mb
from benchmarks.yardsticks.remembered import once

LINES = 1000
LINE = "wattwire,device=bench-{n:03},stream=/metrics " + ",".join(
    f"value{k}=480.{k}" for k in range(12)
)


@once
async def lines(options, *, concurrent):
    """Lines per second in gzipped writes of a thousand."""
    seconds = 2 if options.quick else 8
    done = 0
    async with receiver("influx") as target, aiohttp.ClientSession() as session:
        started, spent = time.perf_counter(), time.process_time()

        async def work():
            nonlocal done
            while time.perf_counter() - started < seconds:
                batch = [f"{LINE.format(n=n)} {time.time_ns()}".encode() for n in range(LINES)]
                body = gzip.compress(b"\n".join(batch), 1)
                headers = {"Content-Encoding": "gzip"}
                async with session.post(f"{target.url}write", data=body, headers=headers) as answer:
                    await answer.read()
                done += LINES

        await asyncio.gather(*(work() for _ in range(concurrent)))
        took, spent = time.perf_counter() - started, time.process_time() - spent
    usage = Usage(spent, took, pss_mb([psutil.Process(os.getpid())]))
    return Figure(f"bare aiohttp, {concurrent} at once", done / took, "lines/s", usage)
