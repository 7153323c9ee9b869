"""Serves the app with uvicorn as a task of the process that runs it, and with TLS as well."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from wattwire.api.wire import Wire
from wattwire.endings import end

GRACE_SECONDS: Final = 5
KEEP_ALIVE_SECONDS: Final = 30
BACKLOG: Final = 512
HANDSHAKE_SECONDS: Final = 10.0
GOODBYE_SECONDS: Final = 5.0


class ServerError(Exception):
    """The API cannot listen. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Secure:
    """Where to listen with TLS. Port 0 picks a free one."""

    host: str
    port: int
    context: ssl.SSLContext


@dataclass(frozen=True, slots=True)
class Served:
    """A server that is up."""

    url: str
    port: int
    task: "asyncio.Task[None]"  #: ends only when the server has died; its owner watches it
    https_url: str | None = None
    https_port: int | None = None


class _Server(uvicorn.Server):
    """Leaves signals to the process that runs it, and may listen with TLS as well."""

    def __init__(self, config: uvicorn.Config, secured: socket.socket | None, tls: Any) -> None:
        super().__init__(config)
        self._secured, self._tls = secured, tls
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on both sockets: one app, one set of connections."""
        await super().startup(sockets)
        if self._secured is not None:
            secured = await asyncio.get_running_loop().create_server(
                self._connection,
                sock=self._secured,
                ssl=self._tls,
                backlog=BACKLOG,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=GOODBYE_SECONDS,
            )
            self.servers.append(secured)
        self.listening.set()

    def _connection(self) -> Wire:
        return Wire(self.config, self.server_state, self.lifespan.state)


@asynccontextmanager
async def serve(
    app: FastAPI, *, host: str, port: int, secure: Secure | None = None
) -> AsyncIterator[Served]:
    """Serve the app for as long as the context lasts. Port 0 picks a free one.

    Raises ServerError when an address is taken. At the end, live streams are closed, requests
    under way get five seconds, and the sockets are gone.
    """
    with contextlib.ExitStack() as sockets:
        plain = sockets.enter_context(_listen(host, port, "HTTP"))
        secured = (
            sockets.enter_context(_listen(secure.host, secure.port, "HTTPS")) if secure else None
        )
        server = _Server(_config(app), secured, secure.context if secure else None)
        task = asyncio.create_task(server.serve(sockets=[plain]), name="api.server")
        try:
            await _started(server, task)
            yield _served(task, (host, plain), (secure.host, secured) if secure else None)
        finally:
            app.state.face.live.closing.set()
            server.should_exit = True
            await asyncio.wait([task], timeout=GRACE_SECONDS + 2)
            await end(task)


def _served(
    task: "asyncio.Task[None]",
    plain: tuple[str, socket.socket],
    secured: tuple[str, Any] | None,
) -> Served:
    url, port = _address("http", *plain)
    if secured is None:
        return Served(url, port, task)
    return Served(url, port, task, *_address("https", *secured))


def _address(scheme: str, host: str, listening: socket.socket) -> tuple[str, int]:
    port: int = listening.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port}", port


def _listen(host: str, port: int, name: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, asyncio switches off the delays of small answers (TCP_NODELAY).
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ServerError(
            f"The API cannot listen on {host}:{port} ({error.strerror}): "
            f"stop what has the port, or set WATTWIRE_{name}_PORT (0 picks a free one)"
        ) from error
    listening.setblocking(False)
    return listening


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Wire,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whom it may believe is a setting: trusted_proxies
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


async def _started(server: _Server, task: "asyncio.Task[None]") -> None:
    listening = asyncio.create_task(server.listening.wait())
    try:
        async with asyncio.timeout(10):
            await asyncio.wait({listening, task}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
            raise ServerError("The API server ended before it began")
    finally:
        listening.cancel()
