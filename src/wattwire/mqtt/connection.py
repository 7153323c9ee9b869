"""One client's connection: bytes in, what each packet means, bytes out, and when it must end."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import structlog

from wattwire.mqtt import packets as p
from wattwire.mqtt.codec import BY_LEVEL, Framer, encode
from wattwire.mqtt.contract import Principal
from wattwire.mqtt.floor import Floor, grant
from wattwire.mqtt.inbox import Inbox
from wattwire.mqtt.outbox import Outbox
from wattwire.mqtt.packets import ConnectCode, MqttError, ProtocolViolationError
from wattwire.mqtt.session import Session
from wattwire.mqtt.sessions import attach
from wattwire.mqtt.wills import publish_will

# Why a connection is not read at the moment; any of them suffices.
_OPENING: Final = 1  #: its user is being verified, its session opened
_COMMITS: Final = 2  #: too much of it is not durable yet
_RATE: Final = 4  #: more packets per second than allowed
_ANSWERS: Final = 8  #: it does not take our answers
_STOPPING: Final = 16  #: the door closes
_ENDED: Final = 32

_GRACE: Final = 1.5  #: of the keep-alive [3.1.2-24]
_REFILL_SECONDS: Final = 0.05  #: how long a connection that was too fast is not read
_CLOSE_SECONDS: Final = 5.0  #: for the network to take the last bytes

log = structlog.get_logger()


class Connection(asyncio.Protocol):
    """The protocol of one accepted socket. `deadline` is when CONNECT must be complete."""

    __slots__ = (
        "_floor",
        "_framer",
        "_holds",
        "_inbox",
        "_outbox",
        "_seen_at",
        "_stall",
        "_timer",
        "_tokens",
        "_tokens_at",
        "_transport",
        "keep_alive",
        "peer",
        "principal",
        "session",
        "will",
    )

    def __init__(self, floor: Floor, peer: str, deadline: float) -> None:
        self.peer = peer
        self.principal: Principal | None = None
        self.session: Session | None = None
        self.will: p.Will | None = None
        self.keep_alive = 0.0
        self._floor = floor
        self._framer = Framer(min(floor.desk.limits.connect_bytes, floor.desk.limits.packet_bytes))
        self._holds = 0
        self._inbox: Inbox | None = None
        self._outbox: Outbox | None = None
        self._seen_at = self._tokens_at = floor.desk.loop.time()
        self._tokens = float(floor.desk.limits.packets_per_second)
        self._stall: asyncio.TimerHandle | None = None
        self._timer = floor.desk.loop.call_at(deadline, self._expire_handshake)
        self._transport: asyncio.Transport | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more is done for this client."""
        return self._holds & _ENDED != 0

    @property
    def is_opening(self) -> bool:
        """Whether the client has not been admitted yet."""
        return self._inbox is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; with TLS, after the handshake."""
        self._transport = cast("asyncio.Transport", transport)  # what asyncio gives a Protocol
        self._transport.set_write_buffer_limits(self._floor.desk.limits.write_bytes)
        self._outbox = Outbox(self._floor.desk, self._transport, encode, self._hold_for_answers)
        if self.ended:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        desk = self._floor.desk
        self._seen_at = desk.loop.time()
        desk.counters.bytes_received += len(data)
        self._framer.feed(data)
        if not self._holds:
            self._read()

    def _read(self) -> None:
        try:
            self._read_packets()
        except MqttError as error:
            self._refuse_packet(error)

    def _read_packets(self) -> None:
        next_packet, inbox, count, published = self._framer.next_packet, self._inbox, 0, 0
        budget = self._refill()
        if inbox is not None:
            inbox.check_room()
        try:
            while not self._holds:
                packet = next_packet()
                if packet is None:
                    return
                count += 1
                if type(packet) is p.Publish and inbox is not None:
                    published += 1
                    inbox.take(packet)
                else:
                    self._obey(packet)
                if count >= budget:
                    self._slow_down()
        finally:
            self._tokens -= count
            counters = self._floor.desk.counters
            counters.packets_received += count
            counters.messages_received += published

    def _refill(self) -> int:
        """Return how many packets may be read now."""
        rate, earlier = self._floor.desk.limits.packets_per_second, self._tokens_at
        self._tokens_at = self._seen_at
        self._tokens = min(rate, self._tokens + (self._seen_at - earlier) * rate)
        if self._tokens < 1:
            self._slow_down()
        return int(self._tokens)

    def _slow_down(self) -> None:
        self._hold(_RATE)
        delay = max(_REFILL_SECONDS, 1 / self._floor.desk.limits.packets_per_second)
        self._floor.desk.loop.call_later(delay, self._speed_up)

    def _speed_up(self) -> None:
        self._seen_at = self._floor.desk.loop.time()
        self._free(_RATE)

    def _refuse_packet(self, error: MqttError) -> None:
        counters = self._floor.desk.counters
        if isinstance(error, p.MalformedPacketError):
            counters.packets_malformed += 1
        if isinstance(error, p.UnsupportedLevelError):
            self.refuse(ConnectCode.UNSUPPORTED_LEVEL, str(error))
            return
        counters.connections_refused += self.is_opening
        self.close(str(error))

    def _obey(self, packet: p.Packet) -> None:
        if self.is_opening:
            if type(packet) is not p.Connect:
                raise ProtocolViolationError("the first packet is no CONNECT [3.1.0-1]")
            self._timer.cancel()
            self._framer.limit = self._floor.desk.limits.packet_bytes
            self._hold(_OPENING)
            self._floor.admit(self, packet)
            return
        obey = _OBEY.get(type(packet))
        if obey is None:
            raise ProtocolViolationError(f"unexpected {type(packet).__name__.upper()}")
        obey(self, packet)

    def open(
        self, principal: Principal, session: Session, connect: p.Connect, *, present: bool
    ) -> None:
        """Admit the client: CONNACK first, then whatever waits for it."""
        outbox, desk = self._outbox, self._floor.desk
        if outbox is None or self.ended:
            return
        self.principal, self.session, self.will = principal, session, connect.will
        outbox.encode = BY_LEVEL[connect.level]
        self._inbox = Inbox(desk, self._floor.router, session, self)
        outbox.send(outbox.encode(p.Connack(ConnectCode.ACCEPTED, present)))
        attach(session, outbox)
        outbox.serve(session, self._floor.sessions)
        self.keep_alive, self._seen_at = connect.keep_alive * _GRACE, desk.loop.time()
        if self.keep_alive:
            self._timer = desk.loop.call_later(self.keep_alive, self._check_alive)
        desk.counters.connections_opened += 1
        self._free(_OPENING)

    def refuse(self, code: ConnectCode, reason: str) -> None:
        """Answer CONNECT with a code other than 0 and close [3.2.2-5]."""
        if self.ended:
            return
        self._floor.desk.counters.connections_refused += 1
        if self._outbox is not None:
            self._outbox.send(self._outbox.encode(p.Connack(code)))
        self.close(reason)

    def certificate_sha256(self) -> bytes | None:
        """Return the fingerprint of the client's certificate, if it gave one."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport else None
        certificate = tls.getpeercert(binary_form=True) if tls else None
        return hashlib.sha256(certificate).digest() if certificate else None

    def _acknowledged(self, packet: p.Puback) -> None:
        if self._outbox is not None:
            self._outbox.acknowledged(packet.packet_id)

    def _received(self, packet: p.Pubrec) -> None:  # not one of ours: let the client forget it
        self._answer(p.Pubrel(packet.packet_id))

    def _released(self, packet: p.Pubrel) -> None:
        if self._inbox is not None:
            self._inbox.forget(packet.packet_id)
        self._answer(p.Pubcomp(packet.packet_id))

    def _completed(self, _packet: p.Pubcomp) -> None:
        """Nothing is sent at QoS 2, so nothing is left to forget."""

    def _ping(self, _packet: p.Pingreq) -> None:
        self._answer(p.Pingresp())

    def _disconnect(self, _packet: p.Disconnect) -> None:
        self.will = None
        self.close("")

    def _subscribe(self, packet: p.Subscribe) -> None:
        if self.session is None:
            return
        codes = tuple(grant(self._floor, self.session, *wanted) for wanted in packet.filters)
        self._answer_when_stored(p.Suback(packet.packet_id, codes))
        for (topic_filter, _), code in zip(packet.filters, codes, strict=True):
            if code != p.SUBSCRIPTION_REFUSED:
                realm = self._floor.sessions.realm(self.session)
                self._floor.router.send_retained(realm, self.session, topic_filter)
        if self._outbox is not None and not self.session.lasting:
            self._outbox.pump()

    def _unsubscribe(self, packet: p.Unsubscribe) -> None:
        if self.session is not None:
            for topic_filter in packet.filters:
                self._floor.sessions.unsubscribe(self.session, topic_filter)
        self._answer_when_stored(p.Unsuback(packet.packet_id))

    def _answer_when_stored(self, packet: p.Packet) -> None:
        """Answer at once, or for a lasting session when the hub has stored its subscriptions."""
        if self.session is None or not self.session.lasting:
            self._answer(packet)
            return

        def then(durable: bool) -> None:  # noqa: FBT001 - the shape of every `then`
            if durable:
                self._answer(packet)
            else:
                self.close("the session could not be stored")
            if self._outbox is not None:
                self._outbox.pump()

        self._floor.sessions.save(self.session, then)

    def _answer(self, packet: p.Packet) -> None:
        if self._outbox is not None and not self.ended:
            self._outbox.send(self._outbox.encode(packet))

    def acknowledge(self, frames: list[bytes]) -> None:
        """Send acknowledgements, four bytes each, if the client is still there."""
        if self._outbox is not None and not self.ended:
            self._floor.desk.counters.acknowledgements_sent += len(frames)
            self._outbox.send_all(frames, 4 * len(frames))

    def wait_for_commits(self) -> None:
        """Read no more until enough is durable."""
        self._hold(_COMMITS)

    def go_on(self) -> None:
        """Read again."""
        if self._inbox is not None:
            self._inbox.waits = False
        self._free(_COMMITS)

    # When it is read, and when it ends.

    def _hold(self, reason: int) -> None:
        if not self._holds and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._holds |= reason

    def _free(self, reason: int) -> None:
        if not self._holds & reason:
            return
        self._holds &= ~reason
        if not self._holds:
            self._seen_at = self._floor.desk.loop.time()  # it could not be heard until now
            self._read()
        if not self._holds and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _hold_for_answers(self) -> None:
        self._hold(_ANSWERS)

    def stop_reading(self) -> None:
        """Take nothing new: the door closes."""
        self._hold(_STOPPING)

    def pause_writing(self) -> None:
        """Let messages wait: the client is slow, and closed if it stays so for too long."""
        if self._outbox is not None:
            self._outbox.writable = False
        desk = self._floor.desk
        self._stall = desk.loop.call_later(desk.limits.stall_seconds, self._expire_stall)

    def resume_writing(self) -> None:
        """Send what waits."""
        if self._stall is not None:
            self._stall.cancel()
        if self._outbox is not None:
            self._outbox.writable = True
            self._outbox.pump()
        self._free(_ANSWERS)

    def _expire_stall(self) -> None:
        self._floor.desk.counters.connections_stalled += 1
        self.close("it takes nothing", abort=True)

    def _expire_handshake(self) -> None:
        self._floor.desk.counters.handshakes_expired += 1
        self.close("no complete CONNECT in time", abort=True)

    def _check_alive(self) -> None:
        loop = self._floor.desk.loop
        quiet = loop.time() - self._seen_at
        if self._holds:  # not being read, it cannot be heard either
            self._timer = loop.call_later(self.keep_alive, self._check_alive)
        elif quiet < self.keep_alive:
            self._timer = loop.call_later(self.keep_alive - quiet, self._check_alive)
        else:
            self._floor.desk.counters.connections_expired += 1
            self.close("keep-alive")

    def close(self, reason: str, *, abort: bool = False) -> None:
        """End this connection, with the will unless the client said goodbye."""
        if self.ended:
            return
        self._hold(_ENDED)
        if reason:
            log.info("mqtt.connection_closed", reason=reason, **self._who())
        self._cancel_timers()
        self._depart()
        outbox, transport = self._outbox, self._transport
        if outbox is None or transport is None:
            return
        outbox.end()
        if abort:
            transport.abort()
        else:
            transport.close()
            self._timer = self._floor.desk.loop.call_later(_CLOSE_SECONDS, transport.abort)

    def _who(self) -> dict[str, str]:
        client_id = self.session.key.client_id[:100] if self.session else ""
        name = self.principal.username if self.principal else ""
        return {"peer": self.peer, "username": name, "client_id": client_id}

    def _cancel_timers(self) -> None:
        self._timer.cancel()
        if self._stall is not None:
            self._stall.cancel()

    def _depart(self) -> None:
        floor = self._floor
        if self.principal is None or self.session is None:
            return
        floor.roster.leave(self.session.key, self)
        floor.sessions.leave(self.session)
        if self.will is not None:
            publish_will(floor.desk, floor.router, self.principal, self.will)

    def connection_lost(self, exc: Exception | None) -> None:
        """Clear up."""
        self.close("" if self.will is None else f"lost: {exc}" if exc else "lost")
        self._cancel_timers()
        self._floor.connections.discard(self)


_OBEY: Final[Mapping[type, Callable[[Connection, Any], None]]] = {
    p.Puback: Connection._acknowledged,  # noqa: SLF001 - the table is part of the class
    p.Pubrec: Connection._received,  # noqa: SLF001
    p.Pubrel: Connection._released,  # noqa: SLF001
    p.Pubcomp: Connection._completed,  # noqa: SLF001
    p.Pingreq: Connection._ping,  # noqa: SLF001
    p.Disconnect: Connection._disconnect,  # noqa: SLF001
    p.Subscribe: Connection._subscribe,  # noqa: SLF001
    p.Unsubscribe: Connection._unsubscribe,  # noqa: SLF001
}
