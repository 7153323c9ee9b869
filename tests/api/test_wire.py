"""HTTP over raw connections: what a client in bad faith, or a slow one, can and cannot do."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
import uvicorn
from uvicorn.server import ServerState

from wattwire.api import wire
from wattwire.api.wire import CERTIFICATE, Wire

HOST = b"Host: hub\r\n"


async def echo(scope, receive, send):
    """Answer with what an app sees of a request, once the body is whole; /early does not wait."""
    body, more = b"", scope["path"] != "/early"
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    seen = {
        "path": scope["path"],
        "names": [name.decode() for name, _ in scope["headers"]],
        "certificate": scope[CERTIFICATE],
        "body": len(body),
    }
    text = json.dumps(seen).encode()
    length = (b"content-length", str(len(text)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": text})


@asynccontextmanager
async def listening():
    config = uvicorn.Config(echo, http=Wire, ws="none", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Wire(config, state, {}), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.wait_for(server.wait_closed(), 10)


@pytest.fixture
async def port():
    async with listening() as found:
        yield found


class Talk:
    """One connection."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer

    def send(self, *parts):
        self._writer.write(b"".join(parts))

    async def answer(self):
        """Return (status, what the app saw, or the text) of the next answer."""
        head = (await self._read(self._reader.readuntil(b"\r\n\r\n"))).decode().lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        body = await self._read(self._reader.readexactly(length))
        return int(head.split()[1]), json.loads(body) if body.startswith(b"{") else body

    async def ended(self):
        """Wait until the other side has closed; tell whether it said nothing before."""
        try:
            return await self._read(self._reader.read()) == b""
        except ConnectionError:
            return True

    async def _read(self, reading):
        async with asyncio.timeout(10):
            return await reading

    def close(self):
        self._writer.transport.abort()


@pytest.fixture
async def talk(port):
    opened = []

    async def connect():
        opened.append(Talk(*await asyncio.open_connection("127.0.0.1", port)))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


async def test_requests_follow_each_other(talk):
    """Over one connection, one at a time or all at once, in order; without TLS no certificate."""
    one = await talk()
    one.send(b"GET /a HTTP/1.1\r\n", HOST, b"\r\n")
    first = await one.answer()
    one.send(*(b"GET /%d HTTP/1.1\r\n%s\r\n" % (n, HOST) for n in range(3)))

    assert (200, "/a", None) == (first[0], first[1]["path"], first[1]["certificate"])
    assert ["/0", "/1", "/2"] == [(await one.answer())[1]["path"] for _ in range(3)]


async def test_a_large_body_is_no_head(talk):
    """A megabyte goes through, in pieces that are longer than a head may be."""
    one = await talk()
    one.send(b"POST /a HTTP/1.1\r\n", HOST, b"Content-Length: 1000000\r\n\r\n", b"x" * 1_000_000)
    one.send(b"GET /b HTTP/1.1\r\n", HOST, b"\r\n")

    assert 1_000_000 == (await one.answer())[1]["body"]
    assert "/b" == (await one.answer())[1]["path"]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST,
        b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 100_000 + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: 1\r\n" * 300,
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + HOST,
        b"GET / HTTP/1.0\r\n" + HOST + HOST,
        b"GET / HTTP/1.1\r\n" + HOST + b"X : 1\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n",
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        b"CONNECT hub:1 HTTP/1.1\r\n" + HOST,
        "GET /ä HTTP/1.1\r\n".encode() + HOST,
        b"nonsense\r\n",
    ],
    ids=range(12),
)
async def test_a_head_that_cannot_be_meant_is_refused(talk, head):
    """400, and the connection is over: too long, too many fields, no host or two, two lengths."""
    one = await talk()
    one.send(head, b"\r\n")

    assert 400 == (await one.answer())[0]
    assert await one.ended()


async def test_a_head_that_does_not_end_is_cut_off(talk):
    """However it comes; nothing of it is kept for long."""
    one = await talk()
    one.send(b"GET / HTTP/1.1\r\n", HOST, b"X: ")
    cut = asyncio.create_task(one.answer())
    async with asyncio.timeout(10):
        while not cut.done():
            one.send(b"a" * 10_000)
            await asyncio.sleep(0)

    assert 400 == cut.result()[0]


async def test_fields_after_a_body_are_no_fields_of_the_head(talk):
    """A proxy that looked at the head has not seen them, and neither does the app."""
    one = await talk()
    one.send(
        b"POST / HTTP/1.1\r\n", HOST, b"Transfer-Encoding: chunked\r\n\r\n",
        b"1\r\nx\r\n0\r\nX-Forwarded-Host: evil\r\nAuthorization: SNWS2 x\r\n\r\n",
    )  # fmt: skip

    assert {"host", "transfer-encoding"} == set((await one.answer())[1]["names"])


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHos", b"GET / HTTP/1.1\r\n" + HOST])
async def test_who_takes_too_long_for_a_head_is_cut_off(talk, monkeypatch, sent):
    """Whether nothing comes, or something that is never whole."""
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.2)
    one = await talk()
    one.send(sent)

    assert await one.ended()


async def test_a_rest_that_drips_is_cut_off(talk, monkeypatch):
    """After an answer that came before the body was whole, the rest may not keep the place."""
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.2)
    one = await talk()
    one.send(b"POST /early HTTP/1.1\r\n", HOST, b"Content-Length: 1000000\r\n\r\n")
    assert 200 == (await one.answer())[0]
    end = asyncio.create_task(one.ended())
    async with asyncio.timeout(10):
        while not end.done():
            one.send(b"x")
            await asyncio.sleep(0.02)

    assert end.result()


async def test_a_slow_answer_is_not_cut_off(talk, monkeypatch):
    """The clock of a head stands still while a request is carried out."""
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.2)
    one = await talk()
    one.send(b"POST / HTTP/1.1\r\n", HOST, b"Content-Length: 2\r\n\r\nx")
    await asyncio.sleep(0.5)  # longer than the clock, were it running
    one.send(b"y")

    assert 2 == (await one.answer())[1]["body"]


async def test_connections_are_bounded(talk, monkeypatch):
    """One too many is closed, and there is room again when another has gone."""
    monkeypatch.setattr(wire, "MAX_CONNECTIONS", 2)
    first, second, third = [await talk() for _ in range(3)]
    assert await third.ended()
    first.send(b"GET /a HTTP/1.1\r\nConnection: close\r\n", HOST, b"\r\n")
    assert 200 == (await first.answer())[0]
    assert await first.ended()
    fourth = await talk()
    for one in (second, fourth):
        one.send(b"GET /a HTTP/1.1\r\n", HOST, b"\r\n")
        assert 200 == (await one.answer())[0]
