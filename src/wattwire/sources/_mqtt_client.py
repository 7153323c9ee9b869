"""One connection to an MQTT 3.1.1 or 5 broker, with acknowledgement by hand.

Drives paho-mqtt from the event loop, without its thread: the loop tells when the socket can be
read or written, paho does the protocol. docs/decisions/0005-mqtt-client-library.md says why paho.

A session never reconnects by itself. Messages that were read and not acknowledged come again in
the next session of the same client id, so that nothing depends on what this process remembers.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from wattwire.sources._mqtt_peer import Peer, connect_options, new_client
from wattwire.sources.contract import ConnectionLostError, RefusedByPeerError

ANSWER_TIMEOUT_SECONDS: Final = 30.0
GOODBYE_TIMEOUT_SECONDS: Final = 2.0
MISC_INTERVAL_SECONDS: Final = 1.0
PACKETS_PER_READ: Final = 64  # then the event loop has its turn
NEW_SUBSCRIPTIONS_ONLY: Final = 1  # retained messages come once, not at each reconnect (MQTT 5)


class Incoming(NamedTuple):
    """A message from the broker, not yet acknowledged."""

    topic: str
    payload: bytes
    mid: int
    qos: int
    retain: bool


class Session:
    """An open connection. Use `open_session`; everything here runs on the event loop."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._loop = asyncio.get_running_loop()
        self._client = new_client(peer)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message
        self._client.on_socket_close = self._on_socket_close
        self._connected: asyncio.Future[bool] = self._loop.create_future()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._messages: deque[Incoming] = deque()
        self._arrived = asyncio.Event()
        self._closed = asyncio.Event()
        self._written = asyncio.Event()
        self._written.set()
        self._lost: Exception | None = None
        self._held = 0
        self._reading = False
        self._descriptor = -1
        self._timer: asyncio.TimerHandle | None = None

    # -- opening and closing ---------------------------------------------------------------

    async def open(self) -> None:
        """Connect and wait for the broker's yes.

        Raises ConnectionLostError when nobody answers, RefusedByPeerError when the answer is no.
        """
        dialling = asyncio.ensure_future(asyncio.to_thread(self._dial))
        try:
            await asyncio.shield(dialling)
        except asyncio.CancelledError:
            dialling.add_done_callback(self._hang_up)
            raise
        except (OSError, ValueError) as error:
            where = f"{self.peer.host}:{self.peer.port}"
            raise ConnectionLostError(f"{where} does not answer: {error}") from error
        self._watch()
        await self._answer(self._connected, "CONNECT")

    def _dial(self) -> None:
        """Open the socket, TLS included, and send CONNECT. Blocks: runs in a thread."""
        peer = self.peer
        self._client.connect(
            peer.host, peer.port, keepalive=peer.keepalive_seconds, **connect_options(peer)
        )

    def _hang_up(self, dialling: "asyncio.Future[None]") -> None:
        """Close a socket that was opened for nobody."""
        if not dialling.cancelled() and dialling.exception() is None:
            self._client.disconnect()

    def _watch(self) -> None:
        connection = self._client.socket()
        if connection is None:
            raise ConnectionLostError(f"{self.peer.host}:{self.peer.port} closed the connection")
        self._descriptor = connection.fileno()
        self._client.on_socket_register_write = self._on_want_write
        self._client.on_socket_unregister_write = self._on_written
        self._resume()
        self._client.loop_write()  # what the thread could not send at once
        self._timer = self._loop.call_later(MISC_INTERVAL_SECONDS, self._misc)

    async def close(self) -> None:
        """Say goodbye. A lasting session stays with the broker."""
        if self._lost is None and self._descriptor >= 0:
            self._client.disconnect()
            try:
                async with asyncio.timeout(GOODBYE_TIMEOUT_SECONDS):
                    await self._closed.wait()
            except TimeoutError:
                self._end(ConnectionLostError("closed without a goodbye"))
        self._end(ConnectionLostError("closed"))

    def drop(self) -> None:
        """Cut the connection without a goodbye: the broker publishes the will."""
        connection = self._client.socket()
        if connection is not None:
            self._unwatch()
            connection.close()
        self._end(ConnectionLostError("dropped"))

    def _end(self, reason: Exception) -> None:
        self._lost = self._lost or reason
        self._unwatch()
        if self._timer is not None:
            self._timer.cancel()
        answers: list[asyncio.Future[Any]] = [self._connected, *self._waiting.values()]
        for waiting in answers:
            if not waiting.done():
                waiting.set_exception(self._lost)
                waiting.exception()  # whoever waits still gets it; nobody is warned otherwise
        self._waiting.clear()
        for event in (self._arrived, self._written, self._closed):
            event.set()

    @property
    def alive(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return self._lost is None

    # -- messages --------------------------------------------------------------------------

    async def receive(self, limit: int = 512, seconds: float | None = None) -> list[Incoming]:
        """Wait for messages and return up to `limit` of them, oldest first.

        With `seconds`, wait no longer than that and return none when none came.

        Raises ConnectionLostError once the connection is gone, even when messages are left: they
        could not be acknowledged any more and come again in the next session.
        """
        if self._lost is None and not self._messages:
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._arrived.wait()
        if self._lost is not None:
            raise self._lost
        messages = self._messages
        return [messages.popleft() for _ in range(min(limit, len(messages)))]

    def acknowledge(self, messages: Sequence[Incoming]) -> None:
        """Tell the broker that these messages are safe, in the order they came."""
        for message in messages:
            if message.qos:
                self._client.ack(message.mid, message.qos)
        self._held -= len(messages)
        if not self._reading and self._lost is None and self._held <= self.peer.max_in_flight // 2:
            self._resume()

    async def subscribe(self, filters: Sequence[str], qos: int) -> None:
        """Subscribe to all filters at once; raise RefusedByPeerError when one is refused."""
        _result, mid = self._client.subscribe(self._requests(filters, qos))
        if mid is None:
            raise self._lost or ConnectionLostError("not connected")
        try:
            await self._settled(mid, "SUBSCRIBE")
        except RefusedByPeerError as error:
            raise RefusedByPeerError(f"subscription to {', '.join(filters)}: {error}") from error

    def _requests(self, filters: Sequence[str], qos: int) -> list[Any]:
        if self.peer.version != "5":
            return [(name, qos) for name in filters]
        options = SubscribeOptions(qos=qos, retainHandling=NEW_SUBSCRIPTIONS_ONLY)
        return [(name, options) for name in filters]

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False
    ) -> None:
        """Publish; return once the broker has acknowledged it in full.

        With QoS 0, which nobody acknowledges, once the operating system has taken it.
        """
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._lost or ConnectionLostError(str(info.rc.name))
        if qos:
            await self._settled(info.mid, "PUBLISH")
        else:
            await self._taken()

    async def _taken(self) -> None:
        """Wait until the operating system has all that was to be written."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
                await self._written.wait()
        except TimeoutError as error:
            raise ConnectionLostError("the broker takes nothing") from error

    async def _settled(self, mid: int, what: str) -> None:
        """Wait for the answer to packet `mid`."""
        if self._lost is not None:
            raise self._lost
        waiting = self._waiting[mid] = self._loop.create_future()
        try:
            await self._answer(waiting, what)
        finally:
            self._waiting.pop(mid, None)

    async def _answer(self, waiting: "asyncio.Future[Any]", what: str) -> None:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):  # wait_for may lose a cancellation
                await waiting
        except TimeoutError as error:
            raise ConnectionLostError(f"no answer to {what}") from error

    # -- what the event loop calls ---------------------------------------------------------

    def _resume(self) -> None:
        self._reading = True
        self._loop.add_reader(self._descriptor, self._read)

    def _read(self) -> None:
        """Take what the socket has, up to a bound."""
        for _ in range(PACKETS_PER_READ):
            before = self._held
            if self._client.loop_read() is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
            if self._held >= self.peer.max_in_flight:
                self._reading = False
                self._loop.remove_reader(self._descriptor)
                return
            if self._held == before and not self._decrypted():
                return
        if self._decrypted():  # the socket is empty, so the loop would not call again
            self._loop.call_soon(self._read_again)

    def _read_again(self) -> None:
        if self._reading and self._lost is None:
            self._read()

    def _decrypted(self) -> bool:
        """Say whether TLS holds bytes that are no longer in the socket."""
        connection: Any = self._client.socket()
        return isinstance(connection, ssl.SSLSocket) and connection.pending() > 0

    def _misc(self) -> None:
        """Keep the connection alive, or notice that it is dead."""
        self._client.loop_misc()
        if self._lost is None:
            self._timer = self._loop.call_later(MISC_INTERVAL_SECONDS, self._misc)

    def _unwatch(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
            self._descriptor = -1

    # -- what paho calls, always on the event loop once _watch() has run -------------------

    def _on_want_write(self, *_: object) -> None:
        if self._descriptor >= 0:
            self._written.clear()
            self._loop.add_writer(self._descriptor, self._client.loop_write)

    def _on_written(self, *_: object) -> None:
        self._written.set()
        if self._descriptor >= 0:
            self._loop.remove_writer(self._descriptor)

    def _on_socket_close(self, *_: object) -> None:
        self._unwatch()

    def _on_connect(self, _c: object, _u: object, _flags: object, reason: Any, _p: object) -> None:
        if self._connected.done():
            return
        if reason.is_failure:
            self._connected.set_exception(RefusedByPeerError(f"the broker refused: {reason}"))
        else:
            self._connected.set_result(True)

    def _on_disconnect(self, _c: object, _u: object, _f: object, reason: Any, _p: object) -> None:
        where = f"{self.peer.host}:{self.peer.port}"
        self._end(ConnectionLostError(f"{where} closed the connection: {reason}"))

    def _on_subscribe(self, _c: object, _u: object, mid: int, reasons: Any, _p: object) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        self._settle(mid, RefusedByPeerError(", ".join(refused)) if refused else None)

    def _on_publish(self, _c: object, _u: object, mid: int, reason: Any, _p: object) -> None:
        self._settle(mid, RefusedByPeerError(str(reason)) if reason.is_failure else None)

    def _settle(self, mid: int, error: Exception | None) -> None:
        waiting = self._waiting.pop(mid, None)
        if waiting is None or waiting.done():
            return
        if error is None:
            waiting.set_result(None)
        else:
            waiting.set_exception(error)

    def _on_message(self, _c: object, _u: object, message: paho.MQTTMessage) -> None:
        self._messages.append(
            Incoming(
                _topic(message), bytes(message.payload), message.mid, message.qos, message.retain
            )
        )
        self._held += 1
        self._arrived.set()


def _topic(message: paho.MQTTMessage) -> str:
    """Return the topic, or nothing for one that is not UTF-8 (the decoder refuses it)."""
    try:
        return message.topic
    except UnicodeDecodeError:
        return ""


@asynccontextmanager
async def open_session(peer: Peer) -> AsyncIterator[Session]:
    """Open a session for as long as the context lasts; say goodbye on the way out."""
    session = Session(peer)
    try:
        await session.open()
        yield session
    finally:
        await session.close()
