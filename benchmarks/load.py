"""The load generator: a process of its own that publishes with a window per connection.

    python -m benchmarks.load --port 1883 --connections 32 --seconds 10 --qos 1

Like a real client it keeps at most `--window` messages unacknowledged per connection (20, as paho
and mosquitto_pub do). Prints one JSON line: how many were sent and how many fully acknowledged.
"""

import argparse
import asyncio
import json
import os
import ssl
import sys
import time

from benchmarks import packets
from benchmarks.payloads import PowerMonitors, SmartMeters

PUBREC, PUBCOMP, PUBACK = 0x50, 0x70, 0x40
IDS = [n.to_bytes(2, "big") for n in range(65536)]


class Publisher(asyncio.Protocol):
    """One connection."""

    def __init__(self, options, payloads, number, goal):
        self._options = options
        self._payloads = payloads
        self._hello = packets.connect(
            f"load-{os.getpid()}-{number}", options.username, options.password
        )
        self._goal = goal
        self._buffer = b""
        self._sent = 0
        self._open = True
        self.acked = 0
        self.refused = ""
        self.ready = asyncio.get_running_loop().create_future()
        self.done = asyncio.get_running_loop().create_future()
        self._started = False

    def connection_made(self, transport):
        self._transport = transport
        transport.write(self._hello)

    def data_received(self, data):
        if self._buffer:
            data = self._buffer + data
        if not self._started:
            data = self._connected(data)
        whole = len(data) - len(data) % 4  # every answer has four bytes
        self._buffer = data[whole:]
        if whole:
            self._answered(data[:whole])

    def _connected(self, data):
        if data[:4] != packets.CONNACK_OK:
            self.refused = f"CONNECT refused: {data[:4].hex()}"
            self._finish()
            return b""
        self._started = True
        self.ready.set_result(None)
        return data[4:]

    def _answered(self, data):
        if self._options.qos == 1:
            done = len(data) // 4
        else:
            done, releases = self._advance(data)
            if releases:
                self._transport.write(b"".join(releases))
        self.acked += done
        self.fill(done)

    @staticmethod
    def _advance(data):
        done, releases = 0, []
        for at in range(0, len(data), 4):
            if data[at] == PUBREC:
                releases.append(b"\x62\x02" + data[at + 2 : at + 4])
            else:
                done += 1
        return done, releases

    def fill(self, count):
        """Send so many more, unless the end has come."""
        if self._open:
            count = min(count, self._goal - self._sent)
            first, packet = self._sent, self._payloads.packet
            self._transport.writelines(
                [packet(n, IDS[n % 65535 + 1]) for n in range(first, first + count)]
            )
            self._sent += count
        if self.acked == self._sent and (not self._open or self._sent >= self._goal):
            self._finish()

    def stop(self):
        """Send no more; the rest is still waited for."""
        self._open = False
        self.fill(0)

    def connection_lost(self, _error):
        if not self.done.done() and not self.refused:
            self.refused = "the connection was lost"
        self._finish()

    def _finish(self):
        if not self.ready.done():
            self.ready.set_result(None)
        if not self.done.done():
            self.done.set_result(None)

    @property
    def sent(self):
        return self._sent


def payloads_of(options, number):
    """Each connection has devices of its own."""
    mine = range(number, max(options.devices, options.connections), options.connections)
    if options.kind == "days":
        return SmartMeters(mine, options.qos, options.topic)
    return PowerMonitors(mine, options.qos, options.start_ms, options.step_ms)


async def run(options):
    """Connect all, publish, wait for the last answer; return the figures."""
    loop = asyncio.get_running_loop()
    context = None
    if options.ca_file:
        context = ssl.create_default_context(cafile=options.ca_file)
    goal = -(-options.messages // options.connections) if options.messages else sys.maxsize
    publishers = []
    for number in range(options.connections):
        publisher = Publisher(options, payloads_of(options, number), number, goal)
        await loop.create_connection(lambda p=publisher: p, options.host, options.port, ssl=context)
        publishers.append(publisher)
    await asyncio.wait_for(asyncio.gather(*(p.ready for p in publishers)), 60)
    print(json.dumps({"connected": len(publishers)}), flush=True)
    started = time.perf_counter()
    for publisher in publishers:
        publisher.fill(options.window)
    if options.seconds:
        loop.call_later(options.seconds, lambda: [p.stop() for p in publishers])
    patience = (options.seconds or options.messages / 100) + 120
    await asyncio.wait_for(asyncio.gather(*(p.done for p in publishers)), patience)
    return {
        "seconds": time.perf_counter() - started,
        "sent": sum(p.sent for p in publishers),
        "acked": sum(p.acked for p in publishers),
        "refused": sorted({p.refused for p in publishers if p.refused}),
        "cpu_seconds": time.process_time(),
    }


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca-file")
    parser.add_argument("--username")
    parser.add_argument("--password", default=os.environ.get("BENCH_MQTT_PASSWORD"))
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--window", type=int, default=20)
    parser.add_argument("--devices", type=int, default=320)
    parser.add_argument("--kind", choices=("monitors", "days"), default="monitors")
    parser.add_argument("--topic", default="smart-meters/readings")
    parser.add_argument("--qos", type=int, choices=(1, 2), default=1)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--messages", type=int, default=0)
    parser.add_argument("--start-ms", type=int, default=(int(time.time()) - 21_600) * 1000)
    parser.add_argument("--step-ms", type=int, default=1000)
    return parser.parse_args(arguments)


def main():
    options = parse()
    try:
        import uvloop  # noqa: PLC0415 - not there on Windows

        result = uvloop.run(run(options))
    except ImportError:
        result = asyncio.run(run(options))
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
