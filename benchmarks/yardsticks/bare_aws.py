"""The AWS client library by itself: the same calls, as many at once, to the same receiver."""

import asyncio
import gzip
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


async def _kinesis(client):
    records = [{"Data": BODY.encode(), "PartitionKey": str(n)} for n in range(500)]
    await client.put_records(StreamName="bench", Records=records)
    return 500


async def _eventbridge(client):
    entry = {"Source": "bench", "DetailType": "device.telemetry", "Detail": BODY}
    await client.put_events(Entries=[entry] * 10)
    return 10


async def _s3(client):
    lines = b"".join(b'{"message_id":"%d"}%s\n' % (n, BODY.encode()) for n in range(5000))
    body = await asyncio.to_thread(gzip.compress, lines, 6)
    await client.put_object(Bucket="bench", Key="bench.gz", Body=body)
    return 5000


async def _iot(client):
    await client.publish(topic="bench/1", qos=1, payload=BODY.encode())
    return 1


#: The SDK's name of each service, and a call that returns how many messages it carried.
CALLS = {
    "kinesis": ("kinesis", _kinesis),
    "eventbridge": ("events", _eventbridge),
    "s3": ("s3", _s3),
    "iot": ("iot-data", _iot),
}


@once
async def calls(options, *, service, concurrent):
    """Messages per second in full calls of one service, nothing kept."""
    seconds = 2 if options.quick else 8
    name, call = CALLS[service]
    done = 0
    async with receiver(service) as target:
        config = AioConfig(
            retries={"total_max_attempts": 1},
            max_pool_connections=concurrent,
            s3={"addressing_style": "path"},
        )
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        made = get_session().create_client(
            name, region_name="eu-central-1", endpoint_url=target.url, config=config, **keys
        )
        async with made as client:
            started, spent = time.perf_counter(), time.process_time()

            async def work():
                nonlocal done
                while time.perf_counter() - started < seconds:
                    count = await call(client)
                    done += count

            await asyncio.gather(*(work() for _ in range(concurrent)))
            took, spent = time.perf_counter() - started, time.process_time() - spent
    usage = Usage(spent, took, pss_mb([psutil.Process(os.getpid())]))
    return Figure(f"aiobotocore alone, {concurrent} at once", done / took, "messages/s", usage)
