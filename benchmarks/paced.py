"""Readings at a steady rate, with the moment each was acknowledged; and a receiver that dates."""

import asyncio
import re
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aiohttp import web

from wattwire.sources._mqtt_client import open_session
from wattwire.sources._mqtt_peer import Peer

NUMBER = re.compile(rb'"active_power_w"\s*:\s*(\d+)')


class Arrivals:
    """When what arrived at a local webhook receiver; `key_of` finds what it is about."""

    def __init__(self, key_of):
        self._key_of = key_of
        self.first = {}
        self.url = ""
        self.silent = set()  #: paths that do not answer any more

    async def take(self, request):
        now = time.time()
        body = await request.read()
        if request.path in self.silent:
            await asyncio.sleep(600)
        key = self._key_of(body)
        if key is not None:
            self.first.setdefault((request.path, key), now)
        return web.Response()

    async def until(self, count, seconds):
        """Wait for so many different arrivals."""
        deadline = time.perf_counter() + seconds
        while len(self.first) < count and time.perf_counter() < deadline:
            await asyncio.sleep(0.02)


def number_in(body):
    """The number a paced reading carries."""
    found = NUMBER.search(body)
    return int(found[1]) if found else None


@asynccontextmanager
async def arrivals(key_of=number_in):
    """A receiver in this process, whose clock is the publisher's."""
    taken = Arrivals(key_of)
    app = web.Application(client_max_size=1024**2)
    app.router.add_post("/{tail:.*}", taken.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    taken.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield taken
    finally:
        await runner.cleanup()


@asynccontextmanager
async def publishing(running):
    """A function that publishes one JSON reading and returns when it was acknowledged."""
    username, password = running.login("json", "bench/readings")
    port = running.info["mqtt_port"]
    peer = Peer("127.0.0.1", port, "paced", username=username, password=password, lasting=False)
    async with open_session(peer) as session:

        async def publish(device, number):
            stamp = datetime.now(UTC).isoformat()
            payload = (
                f'{{"device":"{device}","stream":"/power/1","time":"{stamp}",'
                f'"values":{{"active_power_w":{number}}}}}'
            )
            await session.publish("bench/readings", payload.encode(), qos=1)
            return time.time()

        yield publish


async def steadily(publish, per_second, numbers, device_of):
    """Publish each number at its time, whatever the ones before do; return the acknowledgements."""
    acknowledged = {}
    started = time.perf_counter()

    async def one(number):
        acknowledged[number] = await publish(device_of(number), number)

    async with asyncio.TaskGroup() as group:
        for at, number in enumerate(numbers):
            await asyncio.sleep(max(started + at / per_second - time.perf_counter(), 0))
            group.create_task(one(number))
    return acknowledged
