"""Accepts connections on one port; those over the limit are closed before anything is read."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

import structlog

from wattwire.endings import end
from wattwire.mqtt.connection import Connection
from wattwire.mqtt.floor import Floor

_BACKLOG: Final = 2_048
_EXHAUSTED_SECONDS: Final = 0.2  #: before accepting again when no descriptor is left

log = structlog.get_logger()


class Listener:
    """One listening socket, with TLS or without."""

    def __init__(self, floor: Floor, tls: ssl.SSLContext | None) -> None:
        self._floor = floor
        self._tls = tls
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return int(self._socket.getsockname()[1]) if self._socket else 0

    async def open(
        self, host: str, port: int, died: Callable[["asyncio.Task[None]"], None]
    ) -> None:
        """Listen; `died` is told when accepting ends although it should not. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        self._socket = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
        self._socket.setblocking(False)
        self._task = loop.create_task(self._accept(self._socket))
        self._task.add_done_callback(died)

    async def close(self) -> None:
        """Accept nobody any more."""
        if self._task is not None:
            await end(self._task)
        if self._socket is not None:
            self._socket.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except OSError as error:  # no descriptors left, or the client has gone again
                log.warning("mqtt.accept_failed", reason=str(error))
                await asyncio.sleep(_EXHAUSTED_SECONDS)
                continue
            self._welcome(accepted, str(address[0]))

    def _welcome(self, accepted: socket.socket, peer: str) -> None:
        floor, limits = self._floor, self._floor.desk.limits
        if len(floor.connections) >= limits.connections:
            floor.desk.counters.connections_refused += 1
            accepted.close()
            return
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        deadline = floor.desk.loop.time() + limits.handshake_seconds
        connection = Connection(floor, peer, deadline)
        floor.connections.add(connection)
        floor.desk.spawn(floor.desk.loop.create_task(self._begin(accepted, connection)))

    async def _begin(self, accepted: socket.socket, connection: Connection) -> None:
        loop, seconds = self._floor.desk.loop, self._floor.desk.limits.handshake_seconds
        has_begun = False
        try:
            await loop.connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=seconds if self._tls else None,
            )
            has_begun = True
        except OSError as error:  # ssl.SSLError and TimeoutError are OSErrors, too
            log.info("mqtt.connection_refused", peer=connection.peer, reason=str(error)[:200])
        finally:
            if not has_begun:
                self._floor.desk.counters.connections_refused += 1
                accepted.close()
                connection.connection_lost(None)
