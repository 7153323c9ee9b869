"""What integrations are tested against, beside real servers: a fake that fails as it is told."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network

from listening import listening
from wattwire.integrations.contract import IntegrationSettings, IntegrationType, Surroundings
from wattwire.model import Message

REGION = "eu-central-1"
#: Loopback may be reached, as an operator may allow it.
LOCAL = Surroundings(allowed_networks=(ip_network("127.0.0.0/8"), ip_network("::1/128")))


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

    @asynccontextmanager
    async def serving(self, tls=None):
        async with listening(self._serve, tls=tls) as port:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"

    async def _serve(self, reader, writer):
        self.connections += 1
        while (request := await self._read(reader)) is not None:
            self.requests.append(request)
            reply = self.reply(request) if callable(self.reply) else self.reply
            if reply.hang:
                await asyncio.sleep(60)
            if reply.cut:
                break
            writer.write(reply.raw or _bytes(reply))
            await writer.drain()

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
    #: What the service answers, by the names of the fault matrix: denied (credentials), broken,
    #: away, throttled, half (every other message fails), taken (all is well).
    replies: dict
    #: A server that fails as it is told, in the type's protocol: as FaultServer or with its face.
    faults: object = field(default_factory=FaultServer)
    #: A body as `received` shows it, for types that write the message in a way of their own.
    body_of: Callable[[Message], bytes] = lambda message: message.body
    #: A body of so many bytes, for types that take no other than some.
    filled: Callable[[int], bytes] = lambda size: b"x" * size
    #: The message, number so-and-so, put where every other one fails by itself, for types that
    #: make one thing of many messages.
    apart: Callable[[int, Message], Message] = lambda _number, message: message
    #: Whether a good status alone means that the message was taken, whatever the answer says.
    status_says_all: bool = False
    #: Whether the type speaks HTTP: redirects and malformed HTTP answers mean something to it.
    speaks_http: bool = True

    def connect(self, settings=None):
        return self.kind.connect(settings or self.settings, self.surroundings)
