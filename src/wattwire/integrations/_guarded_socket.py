"""Sockets for protocols that are not HTTP: to addresses that may be reached only, with TLS."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

from wattwire.integrations._http import Guard

MOST_ADDRESSES: Final = 4  #: of a name, are tried


async def dial(guard: Guard, host: str, port: int, tls: ssl.SSLContext | None) -> socket.socket:
    """Return a socket that is connected to an address that may be reached, TLS included.

    Raises OSError, which ssl.SSLError is one of. Takes as long as it is let.
    """
    failure: OSError = OSError("no address was found")
    for found in (await guard.resolve(host, port))[:MOST_ADDRESSES]:
        address = (found["host"], found["port"])
        info = (found["family"], socket.SOCK_STREAM, found["proto"], "", address)
        connection = guard.make_socket(info)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(connection, address)
            return await _secured(connection, host, tls) if tls else connection
        except ssl.SSLError:
            connection.close()
            raise
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
    raise failure


async def _secured(connection: socket.socket, host: str, tls: ssl.SSLContext) -> ssl.SSLSocket:
    """Do the TLS handshake without a thread: one that never ends blocks nobody else."""
    loop = asyncio.get_running_loop()
    secured = tls.wrap_socket(connection, server_hostname=host, do_handshake_on_connect=False)
    try:
        while True:
            try:
                secured.do_handshake()
            except ssl.SSLWantReadError:
                await _signal(secured, loop.add_reader, loop.remove_reader)
            except ssl.SSLWantWriteError:
                await _signal(secured, loop.add_writer, loop.remove_writer)
            else:
                return secured
    except BaseException:
        secured.close()
        raise


async def _signal(
    connection: socket.socket, add: Callable[..., object], remove: Callable[..., object]
) -> None:
    """Wait until the socket can be read, or written."""
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def signalled() -> None:
        if not ready.done():
            ready.set_result(None)

    add(connection, signalled)
    try:
        await ready
    finally:
        remove(connection)
