"""A client that sends exactly the packets it is told to; real clients are in test_mqtt_clients."""

import asyncio
import contextlib
import socket

from wattwire.mqtt import packets as p
from wattwire.mqtt.codec import Framer, encode


class WireClient:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.framer = Framer(16 * 1024 * 1024)

    @classmethod
    async def dial(cls, port, **options):
        return cls(*await asyncio.open_connection("127.0.0.1", port, **options))

    @classmethod
    async def dial_narrow(cls, port):
        """Connect with a small receive buffer, so that a client that reads nothing is soon full."""
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", port))
        return cls(*await asyncio.open_connection(sock=narrow))

    async def connect(self, username, password, client_id, *, clean=True, keep_alive=0, will=None):
        self.send(p.Connect(client_id, clean, keep_alive, username, password, will))
        return await self.receive()

    def send(self, *packets):
        self.send_bytes(b"".join(map(encode, packets)))

    def send_bytes(self, data):
        self.writer.write(data)

    def publish(self, topic, payload=b"x", qos=0, packet_id=0, *, retain=False, dup=False):
        self.send(p.Publish(topic, payload, qos, retain, dup, packet_id))

    async def subscribe(self, topic_filter, qos=0, packet_id=1):
        self.send(p.Subscribe(packet_id, ((topic_filter, qos),)))
        answer = await self.receive()
        assert type(answer) is p.Suback
        return answer.codes[0]

    async def receive(self, seconds=10):
        """Return the next packet, or None at the end of the connection."""
        async with asyncio.timeout(seconds):
            while (packet := self.framer.next_packet()) is None:
                data = await self._read()
                if not data:
                    return None
                self.framer.feed(data)
        return packet

    async def _read(self):
        try:
            return await self.reader.read(65536)
        except ConnectionError:
            return b""

    async def silence(self):
        """Send a ping and return every packet that comes before its answer."""
        self.send(p.Pingreq())
        packets = []
        while (packet := await self.receive()) != p.Pingresp() or type(packet) is not p.Pingresp:
            assert packet is not None
            packets.append(packet)
        return packets

    async def ended(self, seconds=10):
        """Wait for the end of the connection; return what still came."""
        packets = []
        while (packet := await self.receive(seconds)) is not None:
            packets.append(packet)
        return packets

    async def drop(self):
        """Go without saying goodbye."""
        self.writer.transport.abort()

    async def close(self):
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
