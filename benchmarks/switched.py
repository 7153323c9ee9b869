"""Receivers that go away on command, and come back."""

import asyncio
import socket
import time
from contextlib import asynccontextmanager

from aiohttp import web

from benchmarks.receivers import Figures, Receiver


class Switched:
    """A fast receiver on a port of its own that can go away: connections are refused then."""

    def __init__(self, figures):
        self.figures = figures
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/"
        self._server = None
        self._open = []

    async def __aenter__(self):
        def connected():
            self._open.append(Receiver("webhook", self.figures))
            return self._open[-1]

        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(connected, "127.0.0.1", self._port, backlog=1024)
        return self

    async def __aexit__(self, *_):
        if self._server is not None:
            self._server.close()
            for connection in self._open:
                connection._transport.abort()
            self._server, self._open = None, []


class Moments:
    """When each message came, by a clock that only rises."""

    def __init__(self):
        self.at = []

    def count(self, _messages):
        self.at.append(time.perf_counter())


class Sick:
    """Endpoints that work, and on command refuse, keep silent and answer 503, by turns."""

    def __init__(self, count):
        self.dead = False
        self._count = count
        self._refusing = Switched(Figures())

    async def _take(self, request):
        await request.read()
        while self.dead and request.path.startswith("/silent"):
            await asyncio.sleep(0.1)
        return web.Response(status=503 if self.dead else 200)

    @asynccontextmanager
    async def opened(self):
        """Yield the addresses of the endpoints."""
        app = web.Application()
        app.router.add_post("/{tail:.*}", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        own = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        kinds = (self._refusing.url, f"{own}silent/", f"{own}failing/")
        try:
            async with self._refusing:
                yield [kinds[n % len(kinds)] + str(n) for n in range(self._count)]
        finally:
            self.dead = False
            await runner.cleanup()

    async def die(self):
        self.dead = True
        await self._refusing.__aexit__()

    async def recover(self, running):
        """Work again, press Test, and wait until nothing waits."""
        self.dead = False
        await self._refusing.__aenter__()
        async with running.database() as database:
            names = [f"bench {n}" for n in range(self._count)]
            found = await database.fetch("SELECT id FROM integration WHERE name = ANY ($1)", names)
        for row in found:
            await running.post(f"/api/v1/integrations/{row['id']}/test", {})
        empty = "SELECT (count(*) = 0)::int FROM delivery"
        await running.until(empty, 1, 60)
