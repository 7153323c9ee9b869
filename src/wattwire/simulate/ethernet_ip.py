"""A simulated PowerMonitor 500 on the network: real EtherNet/IP over TCP, and ListIdentity by UDP.

What it answers: ListServices, ListIdentity, RegisterSession, UnRegisterSession, explicit messages
without a connection (SendRRData) and over class 3 connections (SendUnitData). Implicit I/O (class 1
connections, UDP 2222) is out of scope, and so is the timeout of a class 3 connection: it lasts as
long as its TCP connection. Faults are switched on and off while it runs.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from wattwire.formats import cip
from wattwire.formats import encapsulation as enip
from wattwire.formats.encapsulation import Command, Header
from wattwire.model import RefusedError
from wattwire.simulate.cip_objects import MAX_CONNECTIONS, Connections, Objects
from wattwire.simulate.power_monitor_500 import PowerMonitor500, model_of

IDLE_SECONDS: Final = 120.0
LONGEST_WRITE_SECONDS: Final = 10.0
PORT_ATTEMPTS: Final = 20  #: for one that is free by TCP and UDP
CLOSE_SECONDS: Final = 5.0

_INVALID_COMMAND, _FAULTY_DATA, _BAD_SESSION, _BAD_LENGTH, _BAD_VERSION = 1, 3, 0x64, 0x65, 0x69


@dataclass(slots=True)
class Faults:
    """What is wrong with a device. Fields may be changed while it runs; requests see them next.

    They concern explicit messages (SendRRData, SendUnitData); a session can still be registered.
    """

    delay_seconds: float = 0.0  #: before each answer
    silent: bool = False  #: requests are read and never answered
    cut: bool = False  #: the connection is closed instead of an answer
    wrong_session: bool = False  #: answers bear another session than the request
    encapsulation_status: int = 0  #: answers bear this status in their header and no data
    cip_status: int = 0  #: requests are refused with this general status
    cip_extended: tuple[int, ...] = ()
    instance: int | None = None  #: `cip_status` is for this instance alone
    short_by: int = 0  #: so many bytes are missing at the end of what is read


@dataclass(eq=False, slots=True)
class _Link:
    """One TCP connection."""

    writer: asyncio.StreamWriter
    objects: Objects
    session: int = 0


@dataclass(slots=True)
class Counts:
    """What has come in since the start."""

    connections: int = 0
    sessions: int = 0
    requests: int = 0  #: explicit messages, answered or not


class SimulatedPowerMonitor:
    """A device that listens. `port` is the one it got when it was given as 0."""

    def __init__(
        self,
        device: PowerMonitor500,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Faults | None = None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self.device = device
        self.faults = faults or Faults()
        self.host = host
        self.port = port
        self.counts = Counts()
        self._idle_seconds = idle_seconds
        self._connections = Connections()
        self._sessions = count(0x01000001)
        self._links: dict[_Link, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None
        self._datagrams: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        """Begin to listen. Raises OSError when the port is taken, by TCP or UDP."""
        attempts = 1 if self.port else PORT_ATTEMPTS
        for attempt in range(1, attempts + 1):
            try:
                await self._listen()
            except OSError:
                await self.stop()
                if attempt == attempts:
                    raise
            else:
                return

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._datagrams is not None:
            self._datagrams.close()
        if self._server is not None:
            self._server.close()
        tasks = list(self._links.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        await asyncio.sleep(0)  # a datagram transport closes in the loop's next turn
        self._server = self._datagrams = None

    def description(self) -> dict[str, str | int]:
        """Return where it listens and who it is."""
        identity = self.device.model.identity
        return {
            "host": self.host,
            "port": self.port,
            "name": identity.name,
            "serial": identity.serial,
        }

    def forget_sessions(self) -> None:
        """Lose all sessions and connections, as after a restart, while TCP stays up."""
        for link in self._links:
            link.session = 0
            self._connections.drop(link.objects.opened)

    def cut_connections(self) -> None:
        """Close every TCP connection without a word."""
        for link in self._links:
            link.writer.transport.abort()

    async def _listen(self) -> None:
        ipv4 = socket.AF_INET  # EtherNet/IP knows no other; a name may stand for both
        self._server = await asyncio.start_server(self._accept, self.host, self.port, family=ipv4)
        port = self._server.sockets[0].getsockname()[1]
        self._datagrams, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Discovery(self), local_addr=(self.host, port), family=ipv4
        )
        self.port = port

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._links) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        link = _Link(writer, Objects(self.device, self._connections))
        self._links[link] = asyncio.create_task(self._serve(link, reader))
        self.counts.connections += 1

    async def _serve(self, link: _Link, reader: asyncio.StreamReader) -> None:
        try:
            await self._converse(link, reader)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, RefusedError):
            pass  # gone, idle, or no EtherNet/IP: a device says nothing then, it hangs up
        finally:
            del self._links[link]
            self._connections.drop(link.objects.opened)
            link.writer.transport.abort()

    async def _converse(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while True:
            async with asyncio.timeout(self._idle_seconds):
                header = enip.decode_header(await reader.readexactly(enip.HEADER_BYTES))
                data = await reader.readexactly(header.length)
            if header.command == Command.UNREGISTER_SESSION:
                return
            answer = await self._answer(link, header, data)
            if answer is None:
                continue
            link.writer.write(answer)
            async with asyncio.timeout(LONGEST_WRITE_SECONDS):
                await link.writer.drain()

    async def _answer(self, link: _Link, header: Header, data: bytes) -> bytes | None:
        match header.command:
            case Command.NOP:
                return None
            case Command.REGISTER_SESSION:
                return self._register(link, header, data)
            case Command.SEND_RR_DATA | Command.SEND_UNIT_DATA:
                return await self._explicit(link, header, data)
        return self.listing(header)

    def listing(self, header: Header) -> bytes:
        """Answer a request that needs no session, whether it came by TCP or UDP."""
        if header.command == Command.LIST_IDENTITY:
            return _frame(header, self._identity())
        if header.command == Command.LIST_SERVICES:
            return _frame(header, enip.encode_services())
        return _frame(header, status=_INVALID_COMMAND)

    def _identity(self) -> bytes:
        try:
            address = int.from_bytes(socket.inet_aton(self.host), "big")
        except OSError:  # listening on a name
            address = 0
        return enip.encode_identity(self.device.model.identity, port=self.port, address=address)

    def _register(self, link: _Link, header: Header, data: bytes) -> bytes:
        try:
            version = enip.decode_registration(data)
        except RefusedError:
            return _frame(header, status=_BAD_LENGTH)
        if version != enip.PROTOCOL_VERSION:
            return _frame(header, enip.encode_registration(), status=_BAD_VERSION)
        if link.session:
            return _frame(header, status=_INVALID_COMMAND)
        link.session = next(self._sessions)
        self.counts.sessions += 1
        return _frame(replace(header, session=link.session), enip.encode_registration())

    async def _explicit(self, link: _Link, header: Header, data: bytes) -> bytes | None:
        """Answer an explicit message, or fail to, as the faults have it."""
        faults = self.faults
        self.counts.requests += 1
        if faults.delay_seconds:
            await asyncio.sleep(faults.delay_seconds)
        if faults.cut:
            raise ConnectionAbortedError
        if faults.silent:
            return None
        if faults.encapsulation_status:
            return _frame(header, status=faults.encapsulation_status)
        if not link.session or header.session != link.session:
            return _frame(header, status=_BAD_SESSION)
        if faults.wrong_session:
            header = replace(header, session=header.session + 1)
        try:
            return self._route(link, header, data)
        except RefusedError:
            return _frame(header, status=_FAULTY_DATA)

    def _route(self, link: _Link, header: Header, data: bytes) -> bytes | None:
        if header.command == Command.SEND_RR_DATA:
            message = enip.decode_unconnected(data)
            return _frame(header, enip.encode_unconnected(self._reply(link, message)))
        sent = enip.decode_connected(data)
        if sent.connection_id not in link.objects.opened:
            return None  # nobody there to answer
        number = self._connections.answers_to[sent.connection_id]
        reply = enip.Connected(number, sent.sequence, self._reply(link, sent.message))
        return _frame(header, enip.encode_connected(reply))

    def _reply(self, link: _Link, message: bytes) -> bytes:
        """Return the answer to a CIP request; one that is not understood is refused."""
        try:
            request = cip.decode_request(message)
        except RefusedError:
            service = message[0] & 0x7F if message else 0
            return cip.encode_response(cip.Response(service, cip.PATH_SEGMENT_ERROR))
        faults = self.faults
        if faults.cip_status and faults.instance in (None, request.instance):
            refusal = cip.Response(request.service, faults.cip_status, faults.cip_extended)
            return cip.encode_response(refusal)
        reply = cip.encode_response(link.objects.answer(request))
        return reply[: len(reply) - faults.short_by]


class _Discovery(asyncio.DatagramProtocol):
    """Answers ListIdentity and ListServices by UDP; anything else is not for it."""

    def __init__(self, monitor: SimulatedPowerMonitor) -> None:
        self._monitor = monitor
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        with suppress(RefusedError):
            header = enip.decode_header(data)
            if header.command in (Command.LIST_IDENTITY, Command.LIST_SERVICES):
                self._transport.sendto(self._monitor.listing(header), addr)


def _frame(header: Header, data: bytes = b"", *, status: int = 0) -> bytes:
    """Return an answer to the frame that has this header."""
    return enip.encode_frame(
        header.command, data, session=header.session, status=status, context=header.context
    )


Running = AbstractAsyncContextManager[list[SimulatedPowerMonitor]]


@asynccontextmanager
async def power_monitors(
    total: int, *, host: str = "127.0.0.1", port: int = 0, seed: int = 1, frozen: bool = False
) -> AsyncIterator[list[SimulatedPowerMonitor]]:
    """Run devices on the ports from `port` on, or on free ones if it is 0.

    With `frozen` their values never change. Raises OSError when a port is taken.
    """
    monitors: list[SimulatedPowerMonitor] = []
    try:
        for number in range(total):
            device = PowerMonitor500(model_of(number, seed))
            if frozen:
                device.hold()
            monitor = SimulatedPowerMonitor(device, host=host, port=port + number if port else 0)
            monitors.append(monitor)
            await monitor.start()
        yield monitors
    finally:
        for monitor in monitors:
            await monitor.stop()
