"""Fast receivers with canned answers, in a process of their own.

    python -m benchmarks.receivers webhook|sqs|influx

Prints its port. `GET /figures` tells how many messages arrived, and when the first and the last.
The raw parser answers far faster than any web framework, so that it is not what is measured.
"""

import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from benchmarks.hub import ROOT


class Figures:
    def __init__(self):
        self.reset()

    def reset(self):
        self.requests = self.messages = 0
        self.first = self.last = 0.0

    def count(self, messages):
        self.last = time.time()
        self.first = self.first or self.last
        self.requests += 1
        self.messages += messages


def _webhook(_body):
    return 1, b"{}"


def _sqs(body):
    """Answer SendMessageBatch: all entries taken, with a receipt each."""
    entries = json.loads(body)["Entries"]
    taken = [{"Id": e["Id"], "MessageId": f"id-{e['Id']}", "MD5OfMessageBody": ""} for e in entries]
    return len(entries), json.dumps({"Successful": taken, "Failed": []}).encode()


def _influx(body):
    """Take line protocol, one point a line."""
    return body.count(b"\n") + (not body.endswith(b"\n")), b""


KINDS = {
    "influx": (_influx, b"application/json"),
    "webhook": (_webhook, b"application/json"),
    "sqs": (_sqs, b"application/x-amz-json-1.0"),
}


class Receiver(asyncio.Protocol):
    """Just enough HTTP/1.1 for clients that send a Content-Length."""

    def __init__(self, kind, figures):
        self._answer, self._content_type = KINDS[kind]
        self._figures = figures
        self._buffer = b""

    def connection_made(self, transport):
        self._transport = transport

    def data_received(self, data):
        self._buffer += data
        while self._take_one():
            pass

    def _take_one(self):
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = self._buffer[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        size = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + size:
            return False
        body = self._buffer[end + 4 : end + 4 + size]
        self._buffer = self._buffer[end + 4 + size :]
        self._reply(head, body)
        return True

    def _reply(self, head, body):
        if head.startswith(b"get /figures"):
            answer = json.dumps(self._figures.__dict__).encode()
        elif head.startswith(b"get /reset"):
            self._figures.reset()
            answer = b"{}"
        else:
            count, answer = self._answer(body)
            self._figures.count(count)
        self._transport.write(
            (b"HTTP/1.1 200 OK" if answer else b"HTTP/1.1 204 No Content")
            + b"\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (self._content_type, len(answer), answer)
        )


async def serve(kind):
    figures = Figures()
    server = await asyncio.get_running_loop().create_server(
        lambda: Receiver(kind, figures), "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@dataclass
class Target:
    """A receiver that runs."""

    port: int
    url: str

    async def figures(self):
        return await self._get("figures")

    async def reset(self):
        """Count from zero again."""
        await self._get("reset")

    async def _get(self, name):
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}{name}") as answer:
            return json.loads(await answer.text())

    async def until(self, messages, seconds):
        """Wait for so many messages; return the figures."""
        deadline = time.perf_counter() + seconds
        while True:
            found = await self.figures()
            if found["messages"] >= messages or time.perf_counter() > deadline:
                return found
            await asyncio.sleep(0.1)


@asynccontextmanager
async def receiver(kind):
    """A receiver in a process of its own, for as long as the context lasts."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.receivers", kind),
        cwd=ROOT,
        env=os.environ,
        stdout=asyncio.subprocess.PIPE,
    )
    port = int(await process.stdout.readline())
    try:
        yield Target(port, f"http://127.0.0.1:{port}/")
    finally:
        process.terminate()
        await process.wait()


def main():
    try:
        import uvloop  # noqa: PLC0415 - not there on Windows

        uvloop.run(serve(sys.argv[1]))
    except ImportError:
        asyncio.run(serve(sys.argv[1]))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
