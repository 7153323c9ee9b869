"""paho-mqtt, made for one connection: with a socket, pings and answers that it does not offer."""

import asyncio
import socket
import ssl
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from wattwire.brokers import PROTOCOLS, Version, Will

CONNECT_SECONDS: Final = 10.0
FAILED: Final = 0x80  #: reason codes from here on are refusals (MQTT 5.0, 2.4)


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker and how to talk to it."""

    host: str
    port: int
    client_id: str
    version: Version = "5"
    tls: ssl.SSLContext | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    keepalive_seconds: int = 30
    max_in_flight: int = 20  #: publishes without an answer; further ones wait their turn
    websocket_path: str | None = None
    will: Will | None = None


class Client(paho.Client):
    """paho, with three things it cannot be asked for: our socket, pings of ours, failed PUBRECs."""

    def __init__(self, *, ready: socket.socket, **more: Any) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, **more)
        self._ready = ready
        self.version_refused = False
        self.pings: deque[asyncio.Future[None] | None] = deque()

    def _create_socket_connection(self) -> socket.socket:
        return self._ready

    def _handle_connack(self) -> MQTTErrorCode:
        """Notice a refused version, of which paho tells nobody in 3.1.1: it would try an older."""
        packet = bytes(self._in_packet["packet"])
        self.version_refused = packet[1:2] == b"\x01" and self._protocol != paho.MQTTv5
        return super()._handle_connack()

    def narrow(self, most: int) -> None:
        """Have no more publishes under way than the broker says it takes."""
        self._max_inflight_messages = min(most, self._max_inflight_messages)

    @property
    def incoming_bytes(self) -> int:
        """Return the size of the packet that is being read."""
        return int(self._in_packet["remaining_length"])

    def ping(self) -> "asyncio.Future[None]":
        """Send a ping; the future is done when it is answered."""
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._send_pingreq()
        self.pings[-1] = answered
        return answered

    def _send_pingreq(self) -> MQTTErrorCode:
        self.pings.append(None)
        return super()._send_pingreq()

    def _handle_pingresp(self) -> MQTTErrorCode:
        answered = self.pings.popleft() if self.pings else None
        if answered is not None and not answered.done():
            answered.set_result(None)
        return super()._handle_pingresp()

    def _handle_pubrec(self) -> MQTTErrorCode:
        """End a message that a PUBREC refuses (MQTT 5.0, 4.3.3); paho would send PUBREL."""
        packet = bytes(self._in_packet["packet"])
        code = packet[2] if len(packet) > 2 else 0  # noqa: PLR2004 - behind the packet id
        number = int.from_bytes(packet[:2], "big")
        if code < FAILED or number not in self._out_messages:
            return super()._handle_pubrec()
        reason = ReasonCode(PacketTypes.PUBREC, identifier=code)
        return self._do_on_publish(number, reason, Properties(PacketTypes.PUBREC))  # type: ignore[no-untyped-call]


def new_client(broker: Broker, ready: socket.socket) -> Client:
    """Return a client for one connection, over a socket that is connected already."""
    client = Client(
        ready=ready,
        client_id=broker.client_id,
        clean_session=None if broker.version == "5" else True,
        protocol=PROTOCOLS[broker.version],
        transport="tcp" if broker.websocket_path is None else "websockets",
        reconnect_on_failure=False,
    )
    client.connect_timeout = CONNECT_SECONDS
    client.max_inflight_messages_set(broker.max_in_flight)
    if broker.websocket_path is not None:
        client.ws_set_options(path=broker.websocket_path)
    if broker.username is not None:
        client.username_pw_set(broker.username, broker.password)
    if broker.will is not None:
        client.will_set(*broker.will)
    return client
