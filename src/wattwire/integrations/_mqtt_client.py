"""One connection to an MQTT 3.1.1 or 5 broker, for publishing: guarded, bounded, confirmed.

Drives paho-mqtt from the event loop, without its thread, as the source `mqtt` does. What is sent
here is different: names are resolved and sockets made by the guard of all integrations, each
PUBLISH has its own answer, and a connection that is lost is lost with all that was on it: nothing
is kept for the next one, because the engine decides what is sent again.

**QoS 0 is confirmed, too**: by a ping behind the last message. A broker reads a connection in
order, so that its answer says that it has read what came before. Nobody can know more of QoS 0.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias, cast

from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties

from wattwire.brokers import Will
from wattwire.integrations import _http
from wattwire.integrations._guarded_socket import dial
from wattwire.integrations._mqtt_properties import PublishProperties
from wattwire.integrations._paho import CONNECT_SECONDS, FAILED, Broker, new_client
from wattwire.integrations.contract import UnreachableError

ANSWER_SECONDS: Final = 10.0
GOODBYE_SECONDS: Final = 2.0
MISC_SECONDS: Final = 1.0
READS_PER_TURN: Final = 64  #: then the event loop has its turn
MOST_INCOMING_BYTES: Final = 1_048_576  #: we ask for answers and commands only
WEBSOCKET_THREADS: Final = 16
_FIXED_HEADER: Final = 5


class Answer(NamedTuple):
    """What the broker said of one packet."""

    packet_id: int
    code: int  #: reason code; from 0x80 on it is a refusal
    text: str


class RefusedByBrokerError(Exception):
    """The broker said no to the connection, or ended it, and why."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Connection:
    """An open connection. Made by `open_connection`; everything here runs on the event loop."""

    def __init__(self, broker: Broker, ready: socket.socket, on_message: "OnMessage") -> None:
        self.broker = broker
        self.most_bytes: int | None = None  #: of a packet, says the broker
        self._most_qos = 2
        self._retains = True
        self._loop = asyncio.get_running_loop()
        self._ready = ready
        self._client = new_client(broker, ready)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_publish = self._on_publish
        self._client.on_message = lambda _c, _u, message: on_message(bytes(message.payload))
        self._client.on_socket_close = self._unwatch
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._closed = asyncio.Event()
        self._lost: Exception | None = None
        self._descriptor = -1
        self._timer: asyncio.TimerHandle | None = None

    @property
    def alive(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return self._lost is None

    # --- opening and closing ---

    async def open(self) -> None:
        """Say CONNECT and wait for the broker's yes. Raises RefusedByBrokerError and others.

        However the connection is lost, what is still in our buffers is lost with it: a broker that
        is back must not get it behind what the next connection said.
        """
        self._linger(forget=True)
        options: dict[str, Any] = {"clean_start": True} if self.broker.version == "5" else {}
        broker = self.broker

        def say_connect() -> None:
            self._client.connect(broker.host, broker.port, broker.keepalive_seconds, **options)

        if broker.websocket_path is None:
            say_connect()
        else:  # paho's handshake blocks
            await self._loop.run_in_executor(_websocket_threads(), say_connect)
        self._watch()
        await self._connected

    def _watch(self) -> None:
        connection = self._client.socket()
        if connection is None:
            raise UnreachableError(f"{self.broker.host} closed the connection")
        self._descriptor = connection.fileno()
        self._client.on_socket_register_write = self._on_want_write
        self._client.on_socket_unregister_write = self._on_written
        self._loop.add_reader(self._descriptor, self._read)
        if self._client.want_write():  # what could not be sent at once
            self._on_want_write()
        self._timer = self._loop.call_later(MISC_SECONDS, self._misc)

    async def close(self) -> None:
        """Say goodbye, so that no will is published."""
        if self.alive:
            self._linger(forget=False)
            self._client.disconnect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await self._closed.wait()
        self.drop("closed")

    def _linger(self, *, forget: bool) -> None:
        """Say what becomes of unsent bytes when the socket is closed: forgotten (RST), or sent."""
        with contextlib.suppress(OSError):  # closed already
            self._ready.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", int(forget), 0)
            )

    def drop(self, why: str = "given up: no answer") -> None:
        """Cut the connection without a goodbye: the broker publishes the will."""
        connection = self._client.socket()
        self._unwatch()
        if connection is not None:
            connection.close()
        self._end(UnreachableError(why))

    def _end(self, reason: Exception) -> None:
        self._lost = self._lost or reason
        self._unwatch()
        if self._timer is not None:
            self._timer.cancel()
        pings = [ping for ping in self._client.pings if ping is not None]
        answers: list[asyncio.Future[Any]] = [self._connected, *self._waiting.values(), *pings]
        for waiting in answers:
            if not waiting.done():
                waiting.set_exception(self._lost)
                waiting.exception()  # whoever waits still gets it; nobody is warned otherwise
        self._waiting.clear()
        self._client.pings.clear()
        self._closed.set()

    # --- what is sent ---

    def fits(self, topic: str, payload: bytes, extra: int = 0) -> bool:
        """Return whether the broker takes a message of this size."""
        size = len(payload) + len(topic.encode()) + extra + 2 * _FIXED_HEADER
        return self.most_bytes is None or size <= self.most_bytes

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int,
        retain: bool = False,
        properties: PublishProperties | None = None,
    ) -> "asyncio.Future[Answer] | None":
        """Publish; the future is done when the broker has answered in full.

        There is none for QoS 0: `confirm` tells. Raises ValueError for what is no topic, and what
        the connection was lost by.
        """
        if self._lost is not None:
            raise self._lost
        info = self._client.publish(
            topic, payload, qos, retain, cast("Properties | None", properties)
        )
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._lost or UnreachableError(f"cannot publish: {info.rc.name}")
        if not qos:
            return None
        waiting = self._waiting[info.mid] = self._loop.create_future()
        return waiting

    def check(self, qos: int, *, retain: bool) -> None:
        """Raise RefusedByBrokerError for what this broker says that it does not do (MQTT 5)."""
        if qos > self._most_qos:
            raise RefusedByBrokerError("0x9b", f"the broker takes QoS {self._most_qos} at most")
        if retain and not self._retains:
            raise RefusedByBrokerError("0x9a", "the broker retains nothing")

    async def confirm(self) -> None:
        """Return once the broker has read all that was published before."""
        if self._lost is not None:
            raise self._lost
        await self._client.ping()

    async def subscribe(self, name: str) -> None:
        """Subscribe at QoS 1. Raises RefusedByBrokerError when the broker does not grant it."""
        _rc, mid = self._client.subscribe(name, qos=1)
        if mid is None:
            raise self._lost or UnreachableError("not connected")
        waiting = self._waiting[mid] = self._loop.create_future()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await waiting
        except TimeoutError:
            raise UnreachableError("no answer to SUBSCRIBE") from None
        if answer.code >= FAILED:
            raise RefusedByBrokerError("subscription", f"subscription to {name}: {answer.text}")

    # --- what the event loop calls ---

    def _read(self) -> None:
        try:
            self._read_packets()
        except Exception as error:  # noqa: BLE001 - whatever paho raises at what a broker sends
            self.drop(f"the broker's answer cannot be read: {type(error).__name__}: {error}")

    def _read_packets(self) -> None:
        for _ in range(READS_PER_TURN):
            if self._client.loop_read() is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                return
            if self._client.incoming_bytes > MOST_INCOMING_BYTES:
                self.drop("the broker's answer is too large")
                return
            if not self._decrypted():
                return
        self._loop.call_soon(self._read_again)

    def _read_again(self) -> None:
        if self._descriptor >= 0:
            self._read()

    def _decrypted(self) -> bool:
        """Say whether TLS holds bytes that are no longer in the socket."""
        connection: Any = self._client.socket()
        pending = getattr(connection, "pending", None)
        return self.broker.tls is not None and pending is not None and pending() > 0

    def _misc(self) -> None:
        """Keep the connection alive, or notice that it is dead."""
        self._client.loop_misc()
        if self.alive:
            self._timer = self._loop.call_later(MISC_SECONDS, self._misc)

    def _unwatch(self, *_: object) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
            self._descriptor = -1

    # --- what paho calls, always on the event loop once _watch() has run ---

    def _on_want_write(self, *_: object) -> None:
        if self._descriptor >= 0:
            self._loop.add_writer(self._descriptor, self._client.loop_write)

    def _on_written(self, *_: object) -> None:
        if self._descriptor >= 0:
            self._loop.remove_writer(self._descriptor)

    def _on_connect(self, _c: object, _u: object, _f: object, reason: Any, said: Any) -> None:
        if self._connected.done():
            return
        if reason.is_failure:
            self._connected.set_exception(_refusal(reason, said))
            return
        self.most_bytes = getattr(said, "MaximumPacketSize", None)
        self._most_qos = getattr(said, "MaximumQoS", 2)
        self._retains = bool(getattr(said, "RetainAvailable", 1))
        window = getattr(said, "ReceiveMaximum", self.broker.max_in_flight)
        self._client.narrow(window)
        self._connected.set_result(None)

    def _on_disconnect(self, _c: object, _u: object, flags: Any, reason: Any, said: Any) -> None:
        where = f"{self.broker.host}:{self.broker.port}"
        if self._client.version_refused:
            self._end(RefusedByBrokerError("0x84", f"the broker speaks no {self.broker.version}"))
        elif flags.is_disconnect_packet_from_server:
            self._end(_refusal(reason, said))
        else:
            self._end(UnreachableError(f"{where} closed the connection: {reason}"))

    def _on_subscribe(self, _c: object, _u: object, mid: int, reasons: Any, _p: object) -> None:
        self._settle(Answer(mid, reasons[0].value, str(reasons[0])))

    def _on_publish(self, _c: object, _u: object, mid: int, reason: Any, said: Any) -> None:
        self._settle(Answer(mid, reason.value, _text(reason, said)))

    def _settle(self, answer: Answer) -> None:
        waiting = self._waiting.pop(answer.packet_id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)


OnMessage: TypeAlias = Callable[[bytes], None]


def _refusal(reason: Any, said: Any) -> RefusedByBrokerError:
    return RefusedByBrokerError(code_of(reason.value), f"the broker refused: {_text(reason, said)}")


def code_of(value: int) -> str:
    """Return a reason code as it stands in the specification: 0x87."""
    return f"0x{value:02x}"


def _text(reason: Any, said: Any) -> str:
    """Return the reason's name, and what the broker says of it in its own words."""
    own = getattr(said, "ReasonString", "")
    return f"{reason} ({_http.printable(own, 200)})" if own else str(reason)


@cache
def _websocket_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(WEBSOCKET_THREADS, thread_name_prefix="websocket")


async def open_connection(
    broker: Broker,
    guard: _http.Guard,
    on_message: OnMessage = lambda _: None,
    will: Callable[[], Will] | None = None,
) -> Connection:
    """Open a connection. Raises UnreachableError, RefusedByBrokerError.

    `will` is asked for the last will once there is somebody to say CONNECT to.
    """
    where = f"{broker.host}:{broker.port}"
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            ready = await dial(guard, broker.host, broker.port, broker.tls)
            if will is not None:
                broker = replace(broker, will=will())
            connection = Connection(broker, ready, on_message)
            try:
                await connection.open()
            except BaseException:
                connection.drop()
                ready.close()
                raise
    except TimeoutError:
        raise UnreachableError(
            f"cannot connect to {where}: no answer within {CONNECT_SECONDS:g} s"
        ) from None
    except ssl.SSLCertVerificationError as error:
        raise UnreachableError(
            f"certificate of {broker.host} not trusted: {error.verify_message}"
        ) from error
    except ssl.SSLError as error:
        raise UnreachableError(f"TLS with {broker.host} failed: {error.reason or error}") from error
    except (OSError, paho.WebsocketConnectionError) as error:
        why = getattr(error, "strerror", None) or error
        raise UnreachableError(f"cannot connect to {where}: {why}") from error
    return connection
