"""What integrations are tested against, beside real servers: a fake that fails as it is told."""

import asyncio
import json
import ssl
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from wattwire.integrations.contract import IntegrationSettings, IntegrationType, Surroundings

XML = "text/xml"
JSON = "application/x-amz-json-1.0"
REGION = "eu-central-1"


def access(url):
    return {
        "region": REGION,
        "access_key_id": "k",
        "secret_access_key": "s3cr3t",
        "endpoint_url": url,
    }


@dataclass
class Request:
    """One HTTP request as it came."""

    method: str
    target: str
    headers: dict
    body: bytes


@dataclass
class Reply:
    """What the fake answers. `cut`: it hangs up instead; `hang`: it never answers."""

    status: int = 200
    body: bytes = b"ok"
    headers: dict = field(default_factory=dict)
    cut: bool = False
    hang: bool = False
    raw: bytes | None = None


class FaultServer:
    """A fake HTTP server, and it says so: it reads real requests and fails as it is told.

    What services do when all is well is tested against real or emulated ones; this one does what
    those cannot be made to do: throttle, cut connections, answer nonsense.
    """

    def __init__(self):
        self.requests = []
        self.reply = Reply()
        self.connections = 0
        self._server = None

    @asynccontextmanager
    async def serving(self, tls=None):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        port = self._server.sockets[0].getsockname()[1]
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        finally:
            self._server.close()
            for task in [t for t in asyncio.all_tasks() if t.get_name() == "fault"]:
                task.cancel()

    async def _serve(self, reader, writer):
        asyncio.current_task().set_name("fault")
        self.connections += 1
        try:
            while (request := await self._read(reader)) is not None:
                self.requests.append(request)
                reply = self.reply(request) if callable(self.reply) else self.reply
                if reply.hang:
                    await asyncio.sleep(60)
                if reply.cut:
                    break
                writer.write(reply.raw or _bytes(reply))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _read(self, reader):
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {n.lower(): v for n, v in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Request(method, target, headers, body)


def _bytes(reply):
    headers = {"Content-Length": str(len(reply.body)), **reply.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {reply.status} Because\r\n{lines}\r\n".encode() + reply.body


def sqs_error(status, code, text="said the fake"):
    body = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": text}).encode()
    return Reply(status, body, {"Content-Type": JSON})


def sns_error(status, code, text="said the fake"):
    body = (
        '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{text}</Message></Error></ErrorResponse>"
    )
    return Reply(status, body.encode(), {"Content-Type": XML})


def sqs_half(request):
    """Take every other entry; refuse the rest as a fault of the service's own."""
    ids = [entry["Id"] for entry in json.loads(request.body)["Entries"]]
    body = {
        "Successful": [{"Id": i, "MessageId": f"got-{i}"} for i in ids[::2]],
        "Failed": [
            {"Id": i, "SenderFault": False, "Code": "InternalError", "Message": "half"}
            for i in ids[1::2]
        ],
    }
    return Reply(200, json.dumps(body).encode(), {"Content-Type": JSON})


def sns_half(request):
    """The same in SNS' words."""
    form = parse_qs(request.body.decode())
    ids = [v[0] for k, v in form.items() if k.endswith(".Id")]
    taken = "".join(
        f"<member><Id>{i}</Id><MessageId>got-{i}</MessageId></member>" for i in ids[::2]
    )
    failed = "".join(
        f"<member><Id>{i}</Id><Code>InternalError</Code><Message>half</Message>"
        "<SenderFault>false</SenderFault></member>"
        for i in ids[1::2]
    )
    body = (
        '<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">'
        f"<PublishBatchResult><Successful>{taken}</Successful><Failed>{failed}</Failed>"
        "</PublishBatchResult></PublishBatchResponse>"
    )
    return Reply(200, body.encode(), {"Content-Type": XML})


@dataclass
class Bench:
    """One type beside a service that shows what arrived, and beside a server that fails."""

    kind: IntegrationType
    surroundings: Surroundings
    settings: IntegrationSettings
    #: What reached the service, body by body.
    received: Callable[[], list[bytes]]
    #: Settings that point at an address of the test's choosing.
    aimed_at: Callable[[str], IntegrationSettings]
    #: What the service answers when it refuses the credentials, is too busy, is broken, does not
    #: understand, takes half: by the names used in the fault matrix.
    replies: dict

    def connect(self, settings=None):
        return self.kind.connect(settings or self.settings, self.surroundings)


def half_of_webhooks():
    """Every other request fails, whoever asks."""
    count = iter(range(10_000))
    return lambda request: Reply(204, b"") if next(count) % 2 == 0 else Reply(500, b"half")
