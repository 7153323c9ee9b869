"""What MQTT is tested against: a real Mosquitto, an onlooker, a broker that fails."""

import asyncio
import shutil
import signal
import socket
import subprocess
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import aiohttp.web
import pytest
from integrations_counterparts import Reply, Request
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from listening import listening

PATIENCE = 10.0
PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """A real Mosquitto that keeps its port over restarts."""

    def __init__(self, folder, *lines, listener="", anonymous=True):
        self.folder = Path(folder)
        self.port = free_port()
        self.plain_port = self.port
        text = [f"listener {self.port} 127.0.0.1", *filter(None, [listener])]
        text += [f"allow_anonymous {str(anonymous).lower()}", "user root", "log_dest none", *lines]
        (self.folder / "broker.conf").write_text("\n".join(text))
        self.process = None

    async def start(self):
        program = shutil.which("mosquitto", path=PATH)
        if program is None:
            pytest.fail("mosquitto is missing: apt-get install mosquitto")
        self.process = subprocess.Popen(
            [program, "-c", str(self.folder / "broker.conf")],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        async with asyncio.timeout(PATIENCE):
            while not self._listens():
                assert self.process.poll() is None, "mosquitto stopped at once"
                await asyncio.sleep(0.02)

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self._end(signal.SIGKILL)

    def stop(self):
        self._end(signal.SIGTERM)

    def _end(self, number):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(timeout=10)


class Seen(NamedTuple):
    """A message as a subscriber got it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: object


class Onlooker:
    """A subscriber to everything, with a thread of its own; another client of paho's."""

    def __init__(self, port, **more):
        self.seen = []
        self._markers = 0
        self._marked = threading.Event()
        self._granted = threading.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, client_id=more.get("client_id", "")
        )
        if "username" in more:
            self._client.username_pw_set(more["username"], more["password"])
        self._client.on_message = self._take
        self._client.on_subscribe = lambda *_: self._granted.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe("#", qos=2)
        assert self._granted.wait(PATIENCE)

    def _take(self, _client, _userdata, message):
        if message.topic == "marker":
            self._marked.set()
        else:
            self.seen.append(
                Seen(
                    message.topic,
                    message.payload,
                    message.qos,
                    message.retain,
                    message.properties,
                )
            )

    def messages(self):
        """What was published until now: whatever the broker took before a marker."""
        self._marked.clear()
        self._client.publish("marker", b"", qos=2)
        assert self._marked.wait(PATIENCE)
        return list(self.seen)

    def publish(self, topic, payload):
        self._client.publish(topic, payload, qos=1).wait_for_publish(PATIENCE)

    def bodies(self):
        return [message.payload for message in self.messages()]

    async def until(self, condition):
        """Wait until what was seen fulfils a condition."""
        async with asyncio.timeout(PATIENCE):
            while not condition(list(self.seen)):
                await asyncio.sleep(0.01)
        return list(self.seen)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@dataclass
class MqttReply(Reply):
    """What the failing broker does. Of Reply: `hang`, `cut`, `raw`; a status of 307 sends away."""

    connack: int | None = None  #: refuses the connection (MQTT 5's code); on a PUBLISH, it as well
    answer: int = 0  #: the reason code of PUBACK
    pubrec: int | None = None  #: the reason code of PUBREC, for QoS 2
    disconnect: int | None = None  #: a DISCONNECT with this reason instead of PUBACK
    mute: bool = False  #: takes the connection and never says CONNACK
    properties: bytes = b""  #: of CONNACK


#: The same refusals in the words of 3.1.1 (3.2.2.3).
CONNACK_3 = {0x84: 1, 0x85: 2, 0x88: 3, 0x86: 4, 0x87: 5}


class FaultBroker:
    """A fake MQTT broker, and it says so: it reads real packets and fails as it is told.

    A request is what `reply` answers: a CONNECT that is refused, else each PUBLISH. What brokers do
    when all is well is tested against Mosquitto; this one does what that cannot be made to do.
    """

    def __init__(self):
        self.requests = []
        self.reply = MqttReply()
        self.connections = 0
        self.packets = []
        self.granted = 1  #: what SUBACK says
        self.pong = b"\xd0\x00"

    @asynccontextmanager
    async def serving(self, tls=None):
        async with listening(self._converse, tls=tls) as port:
            yield f"{'mqtts' if tls else 'mqtt'}://127.0.0.1:{port}"

    async def _converse(self, reader, writer):
        self.connections += 1
        version = 4
        while True:
            head, body = await _packet(reader)
            self.packets.append((head, body))
            if head >> 4 == 1:
                version = body[6]
                if not self._welcome(writer, version, body):
                    return
            elif head >> 4 == 3:
                if not self._take(writer, version, head, body):
                    return
            elif head >> 4 == 6:  # PUBREL
                writer.write(b"\x70\x02" + body[:2])
            elif head >> 4 == 8:  # SUBSCRIBE
                granted = b"\x00" * (version == 5) + bytes([self.granted])
                writer.write(bytes([0x90, 2 + len(granted)]) + body[:2] + granted)
            elif head >> 4 == 12:
                writer.write(self.pong)
            elif head >> 4 == 14:
                return
            await writer.drain()

    def _welcome(self, writer, version, body):
        reply = MqttReply() if callable(self.reply) else self.reply
        code = 0x9C if reply.status == 307 else getattr(reply, "connack", None)
        if code is not None:
            self.requests.append(Request("CONNECT", "", {}, body))
        if getattr(reply, "mute", False):
            return True
        said = (code or 0) if version == 5 else CONNACK_3.get(code, 0)
        properties = getattr(reply, "properties", b"")
        tail = bytes([len(properties)]) + properties if version == 5 else b""
        writer.write(bytes([0x20, 2 + len(tail), 0, said]) + tail)
        return code is None

    def _take(self, writer, version, head, body):
        size = int.from_bytes(body[:2], "big")
        topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
        qos, number = head >> 1 & 3, b""
        if qos:
            number, rest = rest[:2], rest[2:]
        if version == 5:  # properties of fewer than 128 bytes, or of two bytes' length
            length, skip = (rest[0], 1) if rest[0] < 128 else (rest[0] - 128 + 128 * rest[1], 2)
            rest = rest[skip + length :]
        request = Request("PUBLISH", topic, {}, rest)
        self.requests.append(request)
        reply = self.reply(request) if callable(self.reply) else self.reply
        return self._answer(writer, version, qos, number, reply)

    def _answer(self, writer, version, qos, number, reply):
        if reply.cut or getattr(reply, "disconnect", None) is not None:
            if not reply.cut:
                writer.write(bytes([0xE0, 1, reply.disconnect]))
            return False
        if reply.hang or not qos:
            return True
        if reply.raw is not None:
            writer.write(reply.raw)
            return True
        code = getattr(reply, "connack", None) or getattr(reply, "answer", 0)
        kind = 0x40
        if qos == 2:
            kind, code = 0x50, getattr(reply, "pubrec", None) or 0
        writer.write(bytes([kind, 3 if version == 5 else 2]) + number)
        if version == 5:
            writer.write(bytes([code]))
        return True


async def _packet(reader):
    head = (await reader.readexactly(1))[0]
    size = shift = 0
    while True:
        byte = (await reader.readexactly(1))[0]
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return head, await reader.readexactly(size)


@asynccontextmanager
async def websocket_relay(port, path="/mqtt"):
    """A real WebSocket server (aiohttp's) that passes on to a broker's port; yields its URL.

    Mosquitto has one of its own, which does not start where IPv6 is switched off.
    """

    async def relay(request):
        websocket = aiohttp.web.WebSocketResponse(protocols=("mqtt",))
        await websocket.prepare(request)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def back():
            while data := await reader.read(65_536):
                await websocket.send_bytes(data)
            await websocket.close()

        task = asyncio.create_task(back())
        async for frame in websocket:
            writer.write(frame.data)
        writer.close()
        await task
        return websocket

    app = aiohttp.web.Application()
    app.router.add_get(path, relay)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"ws://127.0.0.1:{runner.addresses[0][1]}{path}"
    await runner.cleanup()
