"""A bare aiohttp loop with the requests of a platform's API: the largest batches, nothing kept."""

import asyncio
import json
import os
import time

import aiohttp
import psutil

from benchmarks.receivers import receiver
from benchmarks.report import Figure, Usage
from benchmarks.usage import pss_mb
from benchmarks.yardsticks.remembered import once

DATA = "eyJldmVudCI6ImRldmljZS50ZWxlbWV0cnkifQ==" * 12
#: Messages in one call.
BATCHES = {"pubsub": 1000, "azure_iot": 100, "golioth": 1}


def body_of(kind):
    """One call as the platform takes it."""
    if kind == "pubsub":
        message = {"data": DATA, "attributes": {"message_id": "bench"}}
        return json.dumps({"messages": [message] * BATCHES[kind]}).encode()
    if kind == "azure_iot":
        message = {"body": DATA, "base64Encoded": True}
        return json.dumps([message] * BATCHES[kind]).encode()
    return json.dumps({"event": DATA}).encode()


@once
async def calls(options, *, kind, concurrent):
    """Messages per second from one process without any bookkeeping."""
    seconds = 2 if options.quick else 8
    size, done = BATCHES[kind], 0
    async with receiver(kind) as target:
        connector = aiohttp.TCPConnector(limit=concurrent)
        async with aiohttp.ClientSession(connector=connector) as session:
            started, spent = time.perf_counter(), time.process_time()

            async def work():
                nonlocal done
                while time.perf_counter() - started < seconds:
                    async with session.post(target.url, data=body_of(kind)) as answer:
                        await answer.read()
                    done += size

            await asyncio.gather(*(work() for _ in range(concurrent)))
            took, spent = time.perf_counter() - started, time.process_time() - spent
    usage = Usage(spent, took, pss_mb([psutil.Process(os.getpid())]))
    name = f"bare aiohttp, {concurrent} at once, {size} a call"
    return Figure(name, done / took, "messages/s", usage)
