"""The load generator of SolarNetwork's face: signed GETs over connections that stay open.

    python -m benchmarks.signed_load --port 8080 --seconds 5 --kind topics --tokens FILE

No two requests are the same: each has a parameter, and so a signature, of its own. They are
written beforehand, so that what signing costs a client is not measured. `--kind` is topics or
hooks (signed) or health (not signed). Prints one JSON line.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from pathlib import Path

BASE = "/solaruser/api/v1/sec/user/event/node"
PATHS = {"topics": f"{BASE}/topics", "hooks": f"{BASE}/hooks", "health": "/healthz"}
EMPTY = hashlib.sha256(b"").hexdigest()
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
AGENT = "user-agent: load\r\naccept: application/json\r\n"


class Signer:
    """Signs for one token, by the contract's text and not with the hub's code."""

    def __init__(self, token, host, path):
        self._id, self._host, self._path = token["id"], host, path
        self._now = datetime.now(UTC)
        day = self._mac(f"SNWS2{token['secret']}".encode(), f"{self._now:%Y%m%d}")
        self._key = self._mac(day, "snws2_request")

    @staticmethod
    def _mac(key, text):
        return hmac.digest(key, text.encode(), "sha256")

    def request(self, number):
        """The bytes of a signed GET."""
        now = self._now
        date = (
            f"{DAYS[now.weekday()]}, {now:%d} {MONTHS[now.month - 1]} {now:%Y} {now:%H:%M:%S} GMT"
        )
        query = f"n={number}"
        canonical = "\n".join(
            [
                "GET",
                self._path,
                query,
                f"host:{self._host}",
                f"x-sn-date:{date}",
                "host;x-sn-date",
                EMPTY,
            ]
        )
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"SNWS2-HMAC-SHA256\n{now:%Y%m%dT%H%M%SZ}\n{hashed}"
        return (
            f"GET {self._path}?{query} HTTP/1.1\r\nhost: {self._host}\r\nx-sn-date: {date}\r\n"
            f"authorization: SNWS2 Credential={self._id},SignedHeaders=host;x-sn-date,"
            f"Signature={self._mac(self._key, text).hex()}\r\n{AGENT}\r\n"
        ).encode()


class Caller(asyncio.Protocol):
    """One connection: a request, its whole answer, the next request."""

    def __init__(self, requests, figures):
        self._requests, self._figures = requests, figures
        self._buffer = b""
        self._at = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self._transport = transport

    def begin(self):
        self._ask()

    def _ask(self):
        if self._figures.over or self._at == len(self._requests):
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(self._requests[self._at])
        self._at += 1

    def data_received(self, data):
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._figures.count(int(head[9:12]), time.perf_counter() - self._sent, body)
        self._buffer = body[length:]
        self._ask()

    def connection_lost(self, _error):
        if not self.done.done():
            self.done.set_result(None)


class Figures:
    def __init__(self):
        self.over = False
        self.seconds, self.statuses, self.refused = [], {}, ""

    def count(self, status, seconds, body):
        self.seconds.append(seconds)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status != 200:
            self.refused = body[:200].decode(errors="replace")

    def stop(self):
        self.over = True


def written(options, tokens, number):
    """The requests of one connection, enough for the time at the greatest rate."""
    host, path = f"{options.host}:{options.port}", PATHS[options.kind]
    count = int(options.most * options.seconds / options.connections) + 1
    if options.kind == "health":
        return [f"GET {path} HTTP/1.1\r\nhost: {host}\r\n{AGENT}\r\n".encode()] * count
    signer = Signer(tokens[number % len(tokens)], host, path)
    return [signer.request(n) for n in range(number, count * 100, 100)]


async def run(options):
    """Open all connections, ask until the time is over; return the figures."""
    loop = asyncio.get_running_loop()
    tokens = json.loads(Path(options.tokens).read_text()) if options.tokens else []
    figures, callers = Figures(), []
    for number in range(options.connections):
        caller = Caller(written(options, tokens, number), figures)
        await loop.create_connection(lambda c=caller: c, options.host, options.port)
        callers.append(caller)
    started = time.perf_counter()
    spent = time.process_time()
    for caller in callers:
        caller.begin()
    loop.call_later(options.seconds, figures.stop)
    await asyncio.wait_for(asyncio.gather(*(c.done for c in callers)), options.seconds + 30)
    elapsed = time.perf_counter() - started
    ordered = sorted(figures.seconds)
    return {
        "answered": len(ordered),
        "seconds": elapsed,
        "rate": len(ordered) / elapsed,
        "p50": ordered[len(ordered) // 2],
        "p95": ordered[int(len(ordered) * 0.95)],
        "statuses": figures.statuses,
        "refused": figures.refused,
        "cpu_seconds": time.process_time() - spent,
    }


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--kind", choices=tuple(PATHS), default="topics")
    parser.add_argument("--tokens", help="JSON file: a list of objects with id and secret")
    parser.add_argument("--most", type=int, default=10_000, help="requests a second to prepare")
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
