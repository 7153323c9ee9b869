"""A bare aiohttp loop: as many POSTs at once, the same body, the same receiver; nothing kept."""

import asyncio
import os
import time

import aiohttp
import psutil

from benchmarks.receivers import receiver
from benchmarks.report import Figure, Usage
from benchmarks.usage import pss_mb
from benchmarks.yardsticks.remembered import once

BODY = b'{"event":"device.telemetry","data":{"values":{"active_power_w":12345}}}' + b" " * 400


@once
async def posts(options, *, concurrent):
    """POSTs per second from one process without any bookkeeping."""
    seconds = 2 if options.quick else 8
    done = 0
    async with receiver("webhook") as target:
        connector = aiohttp.TCPConnector(limit=concurrent)
        async with aiohttp.ClientSession(connector=connector) as session:
            started, spent = time.perf_counter(), time.process_time()

            async def work():
                nonlocal done
                while time.perf_counter() - started < seconds:
                    async with session.post(target.url, data=BODY) as answer:
                        await answer.read()
                    done += 1

            await asyncio.gather(*(work() for _ in range(concurrent)))
            took, spent = time.perf_counter() - started, time.process_time() - spent
    usage = Usage(spent, took, pss_mb([psutil.Process(os.getpid())]))
    return Figure(f"bare aiohttp, {concurrent} at once", done / took, "POST/s", usage)
