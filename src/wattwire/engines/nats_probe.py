"""Asks a NATS server whether its JetStream answers: a few lines of its protocol, without a client.

https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

import asyncio
from contextlib import suppress
from typing import Any, Final

import msgspec

PROBE_SECONDS: Final = 5.0
MAX_LINES: Final = 20


class _Answer(msgspec.Struct):
    """What $JS.API.INFO answers; an error takes the place of the account's figures."""

    error: dict[str, Any] | None = None


async def jetstream_answers(port: int, user: str, password: str) -> bool:
    """Return whether the server on that loopback port lets us in and its JetStream is up."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await _ask(port, user, password)
    except (OSError, TimeoutError, EOFError, ValueError, msgspec.DecodeError):
        return False


async def _ask(port: int, user: str, password: str) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        if not (await reader.readline()).startswith(b"INFO "):
            return False
        writer.write(_request(user, password))
        return await _read_answer(reader)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _request(user: str, password: str) -> bytes:
    options = {"user": user, "pass": password, "verbose": False, "pedantic": False, "lang": "probe"}
    connect = msgspec.json.encode(options)
    return b"CONNECT %s\r\nSUB _INBOX.probe 1\r\nPUB $JS.API.INFO _INBOX.probe 0\r\n\r\n" % connect


async def _read_answer(reader: asyncio.StreamReader) -> bool:
    """Read up to the one message that was asked for, or to the refusal."""
    for _ in range(MAX_LINES):
        line = await reader.readline()
        if line.startswith(b"MSG "):
            body = await reader.readexactly(int(line.rsplit(b" ", 1)[1]))
            return msgspec.json.decode(body, type=_Answer).error is None
        if not line or line.startswith(b"-ERR"):
            return False
    return False
