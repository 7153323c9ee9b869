"""A thread that keeps a subscription: connects, subscribes, decodes, and connects again.

Each connection has a client of paho's of its own. The thread decodes what arrives and never waits
for the reader, so that the decoder misses nothing and pings are answered however slow that one is.
"""

import random
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from wattwire.client.broker import Broker
from wattwire.client.decoder import Decoder
from wattwire.client.limits import Limits
from wattwire.client.mailbox import Mailbox
from wattwire.client.results import (
    ClientError,
    Interrupted,
    RefusedByBrokerError,
    UnreachableError,
)

CONNECT_SECONDS: Final = 10.0  #: of one try, and again until the subscription stands
TURN_SECONDS: Final = 0.25  #: how soon the end is noticed
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 60.0
STEADY_SECONDS: Final = 10.0  #: a connection that held so long makes the next pause short again
_PROTOCOLS: Final = {"3.1.1": paho.MQTTv311, "5": paho.MQTTv5}
#: Refusals that pass: server unavailable or busy, quota, rate (MQTT 5.0, 3.2.2.2; paho turns the
#: codes of 3.1.1 into these).
_PASSING: Final = frozenset({0x88, 0x89, 0x97, 0x9F})
_SUCCESS: Final = MQTTErrorCode.MQTT_ERR_SUCCESS


class _LostError(Exception):
    """The connection is over, and another may be tried."""


class _Client(paho.Client):
    """paho, over a socket of ours: it leaves one open when a TLS handshake fails."""

    def __init__(self, ready: socket.socket, **more: Any) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, reconnect_on_failure=False, **more)
        self._ready = ready

    def _create_socket(self) -> socket.socket:
        return self._ready


class Link:
    """A subscription, from `start` to `stop`. What it learns goes into the mailbox."""

    def __init__(
        self,
        broker: Broker,
        filters: Sequence[str],
        mailbox: Mailbox,
        limits: Limits,
        *,
        qos: int,
        request_rebirths: bool,
    ) -> None:
        self._broker = broker
        self._filters = [(name, qos) for name in filters]
        self._mailbox = mailbox
        self._limits = limits
        self._request_rebirths = request_rebirths
        self._decoder = Decoder(limits)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wattwire-client", daemon=True)
        self._failure: ClientError | None = None
        self._granted = self._was_open = False
        self._busy = ""  #: why the broker takes nobody for now
        self._heard = time.monotonic()  #: when the subscription stood last

    def start(self) -> None:
        """Begin. Failures end up in the mailbox."""
        self._thread.start()

    def stop(self) -> None:
        """Ask for the end; it comes within moments, but while a try to connect is under way."""
        self._stopping.set()

    def join(self, seconds: float) -> None:
        """Wait so long for the end."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        failure: Exception | None = None
        try:
            self._keep()
        except Exception as error:  # noqa: BLE001 - the thread's edge: whoever reads is told
            failure = error
        finally:
            self._mailbox.end(failure)

    def _keep(self) -> None:
        """Hold one connection after the other. Raises ClientError when there is no way on."""
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._converse()
            except _LostError as lost:
                if self._granted and time.monotonic() - began > STEADY_SECONDS:
                    pause = FIRST_PAUSE_SECONDS
                self._tell_lost(str(lost))
            self._stopping.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads, no secret
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _tell_lost(self, reason: str) -> None:
        if self._granted:
            self._heard = time.monotonic()
            self._decoder.interrupted()
            self._mailbox.put([Interrupted(reason=reason, time=datetime.now(UTC))], 0)
        self._granted = False
        limit = self._limits.away_seconds if self._was_open else self._limits.connect_seconds
        if time.monotonic() - self._heard > limit:
            raise UnreachableError(f"no connection for {limit:g} seconds: {reason}")

    def _converse(self) -> None:
        """Hold one connection until it is lost, or the end is asked for."""
        client = self._new_client(self._dial())
        try:
            client.connect(*self._broker.address, keepalive=self._broker.keepalive_seconds)
            deadline, ticked = time.monotonic() + CONNECT_SECONDS, 0.0
            while not self._stopping.is_set():
                self._turn(client)
                now = time.monotonic()
                if not self._granted and now > deadline:
                    raise _LostError("the broker does not answer")
                if self._granted and now - ticked > 1.0:
                    ticked = now
                    self._ask(client)
        finally:
            client.disconnect()

    def _dial(self) -> socket.socket:
        """Open a connection, TLS included."""
        host, port = self._broker.address
        try:
            context = self._broker.tls()
        except OSError as error:
            raise ClientError(f"TLS cannot be set up: {error}") from error
        try:
            return _open(host, port, context)
        except ssl.SSLCertVerificationError as error:
            reason = f"the certificate of {host} is not trusted: {error.verify_message}"
            raise (_LostError if self._was_open else ClientError)(reason) from error
        except (OSError, ValueError) as error:
            raise _LostError(f"{host}:{port} does not answer: {error}") from error

    def _turn(self, client: paho.Client) -> None:
        """Let the client read and write for a moment."""
        code = client.loop(timeout=TURN_SECONDS)
        if self._failure is not None:
            raise self._failure
        if code is MQTTErrorCode.MQTT_ERR_PROTOCOL and not self._granted:
            version = self._broker.version
            raise RefusedByBrokerError(f"the broker does not take MQTT {version} from this client")
        if code is not _SUCCESS or client.socket() is None:
            raise _LostError(self._busy or f"the connection was lost ({code.name})")

    def _ask(self, client: paho.Client) -> None:
        if self._request_rebirths:
            for command in self._decoder.commands():
                client.publish(command.topic, command.payload, qos=0)

    def _new_client(self, ready: socket.socket) -> paho.Client:
        broker, self._busy = self._broker, ""
        client = _Client(
            ready,
            client_id=broker.client_id,
            clean_session=None if broker.version == "5" else True,
            protocol=_PROTOCOLS[broker.version],
        )
        if broker.username is not None:
            client.username_pw_set(broker.username, broker.password)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, client: paho.Client, _u: object, _f: object, reason: Any, _p: object
    ) -> None:
        if not reason.is_failure:
            client.subscribe(self._filters)
        elif reason.value in _PASSING:
            self._busy = f"the broker takes nobody now: {reason}"
        else:
            self._failure = RefusedByBrokerError(f"the broker refuses the login: {reason}")

    def _on_subscribe(self, _c: object, _u: object, _mid: object, reasons: Any, _p: object) -> None:
        refused = [
            f"{name} ({reason})"
            for (name, _), reason in zip(self._filters, reasons, strict=False)
            if reason.is_failure
        ]
        if refused:
            self._failure = RefusedByBrokerError(f"the broker refuses {', '.join(refused)}")
            return
        self._granted = self._was_open = True
        self._mailbox.opened()

    def _on_message(self, _c: object, _u: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # refused as no topic of Sparkplug's
        payload = bytes(message.payload)
        self._mailbox.put(self._decoder.decode(topic, payload), len(topic) + len(payload))


def _open(host: str, port: int, context: ssl.SSLContext | None) -> socket.socket:
    plain = socket.create_connection((host, port), CONNECT_SECONDS)
    if context is None:
        return plain
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise
