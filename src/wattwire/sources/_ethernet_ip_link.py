"""A connection to one EtherNet/IP device: a session, and one request at a time. It only reads.

LinkError                no answer that could be used
├── UnreachableError     no connection: refused, no way there, no such host
├── SilentError          nothing came in time
├── LostError            the connection or its session is gone
└── DeniedError          the device answered with a status that is not success

After any of them but DeniedError the link is closed: open another one.

A device's values are touched by nobody who can only read: the two services in `READING` are all
that a link will send, and all that its methods ask for.
"""

import asyncio
import os
from functools import lru_cache
from typing import Final, NamedTuple, Self, cast

from wattwire.formats.cip import (
    GET_ATTRIBUTE_SINGLE,
    GET_ATTRIBUTES_ALL,
    SUCCESS,
    decode_response,
    get_attribute_single,
    status_text,
)
from wattwire.formats.encapsulation import (
    DEFAULT_PORT,
    HEADER_BYTES,
    Command,
    Header,
    Identity,
    decode_header,
    decode_identity,
    decode_unconnected,
    encode_frame,
    encode_registration,
    encode_unconnected,
)
from wattwire.formats.encapsulation import status_text as frame_status_text
from wattwire.model import RefusedError

#: The services that may leave for a device. None of them changes anything in it.
READING: Final = frozenset({GET_ATTRIBUTES_ALL, GET_ATTRIBUTE_SINGLE})
#: The commands that may: of them only SEND_RR_DATA carries a service.
SENT: Final = frozenset(
    {
        Command.LIST_IDENTITY,
        Command.REGISTER_SESSION,
        Command.UNREGISTER_SESSION,
        Command.SEND_RR_DATA,
    }
)
_CONTEXTS: Final = 1 << 64


class LinkError(Exception):
    """No answer that could be used; the text says why."""

    reason = "link"  #: the word of the counters


class UnreachableError(LinkError):
    """There is no connection to be had."""

    reason = "unreachable"


class SilentError(LinkError):
    """Nothing came in time."""

    reason = "silent"


class LostError(LinkError):
    """The connection or its session is gone."""

    reason = "lost"


class DeniedError(LinkError):
    """The device answered, with a status that is not success."""

    reason = "denied"

    def __init__(self, text: str, answer: bytes, where: str) -> None:
        super().__init__(f"{where}: {text}")
        self.text = text
        self.answer = answer  #: as it came
        self.where = where


class Address(NamedTuple):
    """Where a device is."""

    host: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Attribute(NamedTuple):
    """What of a device is read."""

    class_id: int
    instance: int
    attribute: int

    def __str__(self) -> str:
        return f"class {self.class_id}, instance {self.instance}, attribute {self.attribute}"


@lru_cache(maxsize=1024)
def _message_of(what: Attribute) -> bytes:
    """Return the request for an attribute; devices of one map are asked the same, for ever."""
    return get_attribute_single(*what)


class Link:
    """An open session with a device. Use it from one task only."""

    def __init__(self, wire: "_Wire", seconds: float) -> None:
        self._wire = wire
        self._seconds = seconds
        self._session = 0
        self._asked = 0

    @classmethod
    async def open(cls, address: Address, seconds: float) -> Self:
        """Connect and register a session; `seconds` bounds this, and later each answer.

        Raises UnreachableError, SilentError, LostError.
        """
        try:
            async with asyncio.timeout(seconds):
                _, wire = await asyncio.get_running_loop().create_connection(_Wire, *address)
        except TimeoutError:
            raise UnreachableError(f"no connection within {seconds:g} s") from None
        except (OSError, UnicodeError) as error:
            raise UnreachableError(_in_words(error)) from error
        link = cls(wire, seconds)
        try:
            link._session = (
                await link._ask(Command.REGISTER_SESSION, encode_registration())
            ).header.session
        except BaseException:
            wire.close()
            raise
        return link

    async def read(self, what: Attribute) -> bytes:
        """Return the bytes of an attribute. Raises SilentError, LostError, DeniedError."""
        answer = await self._request(_message_of(what))
        try:
            response = decode_response(answer)
        except RefusedError as error:
            raise self._lost(f"an answer that is none: {error}") from error
        if response.service != GET_ATTRIBUTE_SINGLE:
            raise self._lost(f"an answer to service 0x{response.service:02X}")
        if response.status != SUCCESS:
            reason = status_text(response.status, response.extended)
            raise DeniedError(reason, answer, str(what))
        return response.data

    async def identity(self) -> Identity:
        """Return who the device says it is. Raises SilentError, LostError."""
        answer = await self._ask(Command.LIST_IDENTITY)
        try:
            return decode_identity(answer.data)
        except RefusedError as error:
            raise self._lost(f"an identity that is none: {error}") from error

    async def _request(self, message: bytes) -> bytes:
        """Send a CIP request that reads, and return the answer as it came."""
        if message[0] not in READING:
            raise ValueError(f"service 0x{message[0]:02X} does not only read")
        answer = await self._ask(Command.SEND_RR_DATA, encode_unconnected(message))
        try:
            return decode_unconnected(answer.data)
        except RefusedError as error:
            raise self._lost(f"an answer that is none: {error}") from error

    async def _ask(self, command: Command, data: bytes = b"") -> "_Frame":
        self._asked = (self._asked + 1) % _CONTEXTS
        context = self._asked.to_bytes(8, "little")
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._wire.ask(self._frame(command, data, context))
        except TimeoutError:
            self._wire.close()  # what comes too late must not be taken for the next answer
            raise SilentError(f"no answer within {self._seconds:g} s") from None
        if fault := self._fault(answer.header, command, context):
            raise self._lost(fault)
        return answer

    def _frame(self, command: Command, data: bytes, context: bytes) -> bytes:
        if command not in SENT:
            raise ValueError(f"command 0x{command:02X} is none of a reader's")
        return encode_frame(command, data, session=self._session, context=context)

    def _fault(self, header: Header, command: Command, context: bytes) -> str:
        """Return what is wrong with the header of an answer, or an empty text."""
        if header.status:
            return frame_status_text(header.status)
        if (header.command, header.context) != (command, context):
            return "an answer to something that was not asked"
        if command is Command.LIST_IDENTITY:  # belongs to no session
            return ""
        if self._session and header.session != self._session:
            return f"an answer for session 0x{header.session:08X}, not 0x{self._session:08X}"
        return ""

    def _lost(self, reason: str) -> LostError:
        self._wire.close()
        return LostError(reason)

    @property
    def alive(self) -> bool:
        """Whether the connection still stands."""
        return self._wire.alive

    def close(self) -> None:
        """End the session and the connection, without waiting for an answer: there is none."""
        if self._wire.alive and self._session:
            self._wire.send(self._frame(Command.UNREGISTER_SESSION, b"", bytes(8)))
        self._wire.close()


class _Frame(NamedTuple):
    """An answer."""

    header: Header
    data: bytes


class _Wire(asyncio.Protocol):
    """The bytes of a connection: one frame out, one frame in, never more than 4 KiB at hand."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._waiter: asyncio.Future[_Frame] | None = None
        self._gone = "the connection is closed"

    @property
    def alive(self) -> bool:
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods

    def send(self, frame: bytes) -> None:
        if self._transport is None:
            raise LostError(self._gone)
        self._transport.write(frame)

    async def ask(self, frame: bytes) -> _Frame:
        """Send a frame and wait for the one that answers it. Raises LostError."""
        self.send(frame)
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            return await self._waiter
        finally:
            self._waiter = None

    def data_received(self, data: bytes) -> None:
        self._received = received = self._received + data if self._received else data
        if len(received) < HEADER_BYTES:
            return
        try:
            header = decode_header(received)
        except RefusedError as error:
            self._end(f"a frame that is none: {error}")
            return
        end = HEADER_BYTES + header.length
        if len(received) > end or self._waiter is None:
            self._end("bytes that nobody asked for")
        elif len(received) == end:
            self._received = b""
            if not self._waiter.done():
                self._waiter.set_result(_Frame(header, received[HEADER_BYTES:]))

    def connection_lost(self, error: Exception | None) -> None:
        self._end(_in_words(error) if error else "the device closed the connection")

    def _end(self, reason: str) -> None:
        if self._transport is not None:
            self._gone = reason
        self.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(LostError(self._gone))

    def close(self) -> None:
        if self._transport is not None:
            transport, self._transport = self._transport, None
            self._received = b""
            transport.close()


def _in_words(error: BaseException) -> str:
    if isinstance(error, OSError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0).lower()
    return str(error) or type(error).__name__
