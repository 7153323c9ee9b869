"""The clients by themselves: digests that are written already, handed in one after the other."""

import asyncio
import os
import time

import aiohttp
import aiosmtplib
import psutil

from benchmarks.receivers import receiver
from benchmarks.report import Figure, Usage
from benchmarks.usage import pss_mb
from benchmarks.yardsticks.remembered import once

#: What a digest of 500 events has as a mail, and as a message in Slack.
EVENTS = 500
MAIL = (
    b"Subject: bench\r\n\r\n500 events from 64 devices: 500 info\r\n"
    + b"2025-06-01 12:30:00 UTC  Info  Reading, bench: active power 12345 W\r\n" * 1500
)
POST = b'{"text":"x 500 events from 64 devices","blocks":[' + b'{"text":"x"},' * 900 + b"{}]}"


@once
async def mails(options, *, concurrent):
    """Events per second with aiosmtplib, one connection for each sender."""
    seconds = 2 if options.quick else 8
    async with receiver("smtp") as target:

        async def send(until):
            done = 0
            async with aiosmtplib.SMTP(
                hostname="127.0.0.1", port=target.port, start_tls=False, local_hostname="bench"
            ) as client:
                while time.perf_counter() < until:
                    await client.sendmail("hub@example.com", ["ops@example.com"], MAIL)
                    done += EVENTS
            return done

        return await _measured(f"aiosmtplib alone, {concurrent} at once", send, concurrent, seconds)


@once
async def posts(options):
    """Events per second with aiohttp, one call at a time."""
    seconds = 2 if options.quick else 8
    async with receiver("slack") as target, aiohttp.ClientSession() as session:

        async def send(until):
            done = 0
            while time.perf_counter() < until:
                async with session.post(target.url, data=POST) as answer:
                    await answer.read()
                done += EVENTS
            return done

        return await _measured("bare aiohttp, one at a time", send, 1, seconds)


async def _measured(name, send, concurrent, seconds):
    started, spent = time.perf_counter(), time.process_time()
    done = sum(await asyncio.gather(*(send(started + seconds) for _ in range(concurrent))))
    took, spent = time.perf_counter() - started, time.process_time() - spent
    usage = Usage(spent, took, pss_mb([psutil.Process(os.getpid())]))
    return Figure(name, done / took, "events/s", usage, f"digests of {EVENTS}, written already")
