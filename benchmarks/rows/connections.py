"""Ten thousand devices that are connected and silent."""

import asyncio
import resource
import time

from benchmarks import packets
from benchmarks.hub import hub
from benchmarks.report import Figure, Row
from benchmarks.usage import metered, pss_mb, tree

OPENING_AT_ONCE = 100


class Idle(asyncio.Protocol):
    """A client that says hello and answers nothing."""

    def __init__(self, number, login):
        self._hello = packets.connect(f"idle-{number}", *login, keepalive=300)
        self.ready = asyncio.get_running_loop().create_future()
        self.answered = 0
        self.lost = False

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self._hello)

    def data_received(self, data):
        self.answered += 1
        if not self.ready.done():
            self.ready.set_result(data == packets.CONNACK_OK)

    def connection_lost(self, _error):
        self.lost = True
        if not self.ready.done():
            self.ready.set_result(False)


async def idle_connections(options):
    """MQTT connections that stay open while nothing is said, and what each costs."""
    count = 1_000 if options.quick else 10_000
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(count, hard - 200)
    async with hub() as running:
        login = running.login("sparkplug_b", "spBv1.0/pm500/#")
        before = pss_mb(tree(running.pid))
        clients, seconds = await _open(running.info["mqtt_port"], login, count)
        memory = pss_mb(tree(running.pid)) - before
        async with metered(running.pid) as meter:
            await asyncio.sleep(5 if options.quick else 30)
            usage = meter.usage()
        alive = await _alive(clients)
        for client in clients:
            client.transport.close()
    return Row(
        "idle_connections",
        idle_connections.__doc__,
        Figure("alive", alive, "connections", usage, f"of {count:,}"),
        count,
        count,
        also=[
            Figure("memory of each", memory / count * 1024, "KB"),
            Figure("connected", count / seconds, "connections/s"),
        ],
    )


async def _open(port, login, count):
    gate, loop = asyncio.Semaphore(OPENING_AT_ONCE), asyncio.get_running_loop()
    clients = [Idle(number, login) for number in range(count)]

    async def one(client):
        async with gate:
            await loop.create_connection(lambda: client, "127.0.0.1", port)
            await asyncio.wait_for(client.ready, 120)

    started = time.perf_counter()
    await asyncio.gather(*(one(client) for client in clients), return_exceptions=True)
    return clients, time.perf_counter() - started


async def _alive(clients):
    """How many answer a ping."""
    asked = [c for c in clients if c.ready.done() and c.ready.result() and not c.lost]
    for client in asked:
        client.answered = 0
        client.transport.write(packets.PINGREQ)
    for _ in range(100):
        if all(client.answered or client.lost for client in asked):
            break
        await asyncio.sleep(0.1)
    return sum(client.answered > 0 for client in asked)
