"""The AWS client library by itself: batches of ten, as many at once, to the same receiver."""

import asyncio
import os
import time

import psutil
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from benchmarks.receivers import receiver
from benchmarks.report import Figure, Usage
from benchmarks.usage import pss_mb
from benchmarks.yardsticks.remembered import once

BODY = '{"event":"device.telemetry","data":{"values":{"active_power_w":12345}}}' + " " * 400


@once
async def events(options, *, concurrent):
    """Messages per second in SendMessageBatch calls of ten, nothing kept."""
    seconds = 2 if options.quick else 8
    done = 0
    async with receiver("sqs") as target:
        client = get_session().create_client(
            "sqs",
            region_name="eu-central-1",
            endpoint_url=target.url,
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=AioConfig(retries={"total_max_attempts": 1}, max_pool_connections=concurrent),
        )
        async with client as sqs:
            started, spent = time.perf_counter(), time.process_time()

            async def work():
                nonlocal done
                while time.perf_counter() - started < seconds:
                    entries = [{"Id": str(n), "MessageBody": BODY} for n in range(10)]
                    await sqs.send_message_batch(QueueUrl=f"{target.url}1/bench", Entries=entries)
                    done += 10

            await asyncio.gather(*(work() for _ in range(concurrent)))
            took, spent = time.perf_counter() - started, time.process_time() - spent
    usage = Usage(spent, took, pss_mb([psutil.Process(os.getpid())]))
    return Figure(f"aiobotocore alone, {concurrent} at once", done / took, "messages/s", usage)
