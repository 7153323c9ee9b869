"""Serves the app with uvicorn as a task of the process that runs it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

GRACE_SECONDS: Final = 5
KEEP_ALIVE_SECONDS: Final = 30
BACKLOG: Final = 512


class ServerError(Exception):
    """The API cannot listen. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Served:
    """A server that is up."""

    url: str
    port: int
    task: "asyncio.Task[None]"  #: ends only when the server has died; its owner watches it


class _Server(uvicorn.Server):
    """Leaves signals to the process that runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@asynccontextmanager
async def serve(app: FastAPI, *, host: str, port: int) -> AsyncIterator[Served]:
    """Serve the app for as long as the context lasts. Port 0 picks a free one.

    Raises ServerError when the address is taken. At the end, live streams are closed, requests
    under way get five seconds, and the socket is gone.
    """
    listening = _listen(host, port)
    server = _Server(_config(app))
    task = asyncio.create_task(server.serve(sockets=[listening]), name="api.server")
    try:
        await _started(server, task)
        bound = listening.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        yield Served(f"http://{shown}:{bound}", bound, task)
    finally:
        app.state.face.live.closing.set()
        server.should_exit = True
        await asyncio.wait([task], timeout=GRACE_SECONDS + 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        listening.close()


def _listen(host: str, port: int) -> socket.socket:
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
            "stop what has the port, or set WATTWIRE_HTTP_PORT (0 picks a free one)"
        ) from error
    listening.setblocking(False)
    return listening


def _config(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whom it may believe is a setting: trusted_proxies
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=64 * 1024,
    )


async def _started(server: uvicorn.Server, task: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(10):
        while not server.started:
            if task.done():
                task.result()
                raise ServerError("The API server ended before it began")
            await asyncio.sleep(0.01)
