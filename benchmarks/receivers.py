"""Fast receivers with canned answers, in a process of their own.

    python -m benchmarks.receivers webhook|sqs|influx|kinesis|s3|eventbridge|iot

Prints its port. `GET /figures` tells how many messages arrived, and when the first and the last.
The raw parser answers far faster than any web framework, so that it is not what is measured.
"""

import asyncio
import gzip
import json
import os
import re
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from benchmarks.hub import ROOT
from benchmarks.mqtt_receiver import MqttReceiver
from benchmarks.smtp_receiver import SmtpReceiver


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
    """Take line protocol, one point a line, gzipped or not."""
    if body.startswith(b"\x1f\x8b"):
        body = gzip.decompress(body)
    return body.count(b"\n") + (not body.endswith(b"\n")), b""


def _kinesis(body):
    """Answer PutRecords: each has its place."""
    count = len(json.loads(body)["Records"])
    placed = [
        {"SequenceNumber": f"4959{n}", "ShardId": "shardId-000000000000"} for n in range(count)
    ]
    return count, json.dumps({"FailedRecordCount": 0, "Records": placed}).encode()


def _eventbridge(body):
    """Answer PutEvents: each has an id."""
    count = len(json.loads(body)["Entries"])
    placed = [{"EventId": f"id-{n}"} for n in range(count)]
    return count, json.dumps({"FailedEntryCount": 0, "Entries": placed}).encode()


def _s3(body):
    """Take one object of gzipped lines."""
    return gzip.decompress(body).count(b"\n"), b"<taken/>"


def _iot(_body):
    return 1, b'{"message":"OK","traceId":"bench"}'


def _pubsub(body):
    """Answer publish: a message ID for each."""
    count = body.count(b'"attributes":')
    return count, json.dumps({"messageIds": [f"4985640066378{n}" for n in range(count)]}).encode()


def _azure_iot(body):
    """Take one message, or a batch of them."""
    return max(body.count(b'"base64Encoded":'), 1), b""


def _slack(body):
    """Take one message, or a digest that tells of how many."""
    found = re.search(rb'"text":"[^"]{1,9} (\d+) events ', body)
    return int(found[1]) if found else 1, b'{"ok":true,"channel":"C0BENCH","ts":"1503435956.1"}'


def _golioth(_body):
    return 1, b'{"data":{}}'


KINDS = {
    "pubsub": (_pubsub, b"application/json"),
    "azure_iot": (_azure_iot, b"application/json"),
    "golioth": (_golioth, b"application/json"),
    "slack": (_slack, b"application/json"),
    "eventbridge": (_eventbridge, b"application/x-amz-json-1.1"),
    "iot": (_iot, b"application/json"),
    "kinesis": (_kinesis, b"application/x-amz-json-1.1"),
    "s3": (_s3, b'application/xml\r\nETag: "bench"'),
    "influx": (_influx, b"application/json"),
    "webhook": (_webhook, b"application/json"),
    "sqs": (_sqs, b"application/x-amz-json-1.0"),
}


#: Those that do not speak HTTP, but for the figures.
OTHER_PROTOCOLS = {"mqtt": MqttReceiver, "smtp": SmtpReceiver}


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
            if len(self._buffer) == end + 4 and b"\r\nexpect: 100-continue" in head:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
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

    def connected():
        http = Receiver("webhook" if kind in OTHER_PROTOCOLS else kind, figures)
        return OTHER_PROTOCOLS[kind](figures, http) if kind in OTHER_PROTOCOLS else http

    server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", 0, backlog=1024)
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
