"""EtherNet/IP spoken by hand to a simulated device, and nothing taken for granted."""

import asyncio
import struct
from contextlib import asynccontextmanager

from wattwire.formats import cip, encapsulation
from wattwire.formats.cip import Request
from wattwire.formats.encapsulation import Command

LIMIT_SECONDS = 20
OPEN = struct.Struct("<BBIIHHIB3xIHIHBB")  # what Forward Open says before its path


class Client:
    """One TCP connection, and nothing taken for granted."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.session = 0

    async def send(self, command, data=b"", **header):
        header = {"session": self.session, "context": b"whatever"} | header
        self.writer.write(encapsulation.encode_frame(command, data, **header))
        await self.writer.drain()

    async def receive(self):
        async with asyncio.timeout(LIMIT_SECONDS):
            header = encapsulation.decode_header(await self.reader.readexactly(24))
            return header, await self.reader.readexactly(header.length)

    async def exchange(self, command, data=b"", **header):
        await self.send(command, data, **header)
        return await self.receive()

    async def register(self):
        header, _ = await self.exchange(
            Command.REGISTER_SESSION, encapsulation.encode_registration()
        )
        self.session = header.session
        return header

    async def ask(self, request):
        """An explicit message without a connection, and what came of it."""
        data = encapsulation.encode_unconnected(cip.encode_request(request))
        header, data = await self.exchange(Command.SEND_RR_DATA, data)
        if header.status:
            return header.status
        return cip.decode_response(encapsulation.decode_unconnected(data))

    async def read(self, instance, attribute=3, class_id=4, service=cip.GET_ATTRIBUTE_SINGLE):
        return await self.ask(Request(service, class_id, instance, attribute))

    async def ended(self):
        async with asyncio.timeout(LIMIT_SECONDS):
            try:
                return b"" == await self.reader.read(1)
            except ConnectionError:
                return True


@asynccontextmanager
async def client_of(monitor, *, register=True):
    reader, writer = await asyncio.open_connection(monitor.host, monitor.port)
    client = Client(reader, writer)
    try:
        if register:
            await client.register()
        yield client
    finally:
        writer.transport.abort()


def forward_open(serial=1, transport=0xA3, answers_to=77, service=cip.FORWARD_OPEN):
    data = OPEN.pack(
        10, 5, 0, answers_to, serial, 9, 5, 1, 2000, 0x43F4, 2000, 0x43F4, transport, 2
    )
    return Request(service, 6, 1, None, data + bytes.fromhex("20022401"))


def forward_close(serial=1):
    data = struct.pack("<BBHHIBx", 10, 5, serial, 9, 5, 2) + bytes.fromhex("20022401")
    return Request(cip.FORWARD_CLOSE, 6, 1, None, data)
