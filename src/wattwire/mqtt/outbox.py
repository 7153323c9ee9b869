"""What goes to one client: gathered, written once per turn, held back when the client is slow."""

import asyncio
from collections.abc import Callable
from typing import Final

from wattwire.mqtt.contract import Outgoing
from wattwire.mqtt.desk import Desk
from wattwire.mqtt.packets import Packet, Publish
from wattwire.mqtt.session import Session
from wattwire.mqtt.sessions import Sessions
from wattwire.mqtt.topics import matches

#: Answers alone may fill the buffer to this many times its mark before the client is not read.
_ANSWERS: Final = 4


class Outbox:
    """The writing side of one connection; `congested` is told when only answers pile up."""

    __slots__ = (
        "_congested",
        "_desk",
        "_frames",
        "_noted",
        "_session",
        "_sessions",
        "_size",
        "_transport",
        "encode",
        "writable",
    )

    def __init__(
        self,
        desk: Desk,
        transport: asyncio.Transport,
        encode: Callable[[Packet], bytes],
        congested: Callable[[], None],
    ) -> None:
        self.encode = encode
        self.writable = True
        self._desk = desk
        self._transport: asyncio.Transport | None = transport
        self._congested = congested
        self._frames: list[bytes] = []
        self._size = 0
        self._noted = False
        self._session: Session | None = None
        self._sessions: Sessions | None = None

    def serve(self, session: Session, sessions: Sessions) -> None:
        """Begin to deliver a session: unacknowledged messages again, then those that waited."""
        self._session, self._sessions = session, sessions
        for packet_id, message in session.window.items():
            self.send(self._frame(message, packet_id, dup=True))
        self.pump()

    def send(self, frame: bytes) -> None:
        """Send an encoded packet with the next write."""
        self.send_all((frame,), len(frame))

    def send_all(self, frames: "list[bytes] | tuple[bytes, ...]", size: int) -> None:
        """Send encoded packets of so many bytes together."""
        self._frames += frames
        self._size += size
        if not self._noted:
            self._noted = True
            self._desk.flush_soon(self)
        if self._size >= self._desk.limits.write_bytes:
            self._write()

    def flush(self) -> None:
        """Write what has gathered; called by the desk once per turn."""
        self._noted = False
        self._write()

    def _write(self) -> None:
        frames, transport = self._frames, self._transport
        if not frames:
            return
        self._frames = []
        self._desk.counters.bytes_sent += self._size
        self._size = 0
        if transport is None or transport.is_closing():
            return
        transport.write(b"".join(frames))
        if not self.writable:
            mark = self._desk.limits.write_bytes * _ANSWERS
            if transport.get_write_buffer_size() > mark:
                self._congested()

    def end(self) -> None:
        """Write what has gathered and nothing more."""
        self._write()
        self._transport = None
        self._session = None

    def deliver(self, message: Outgoing) -> None:
        """Send a message now, or let it wait for its turn in the session."""
        session, sessions = self._session, self._sessions
        if session is None or sessions is None:
            return
        if not message.qos and self.writable and not session.queued:
            self._desk.counters.messages_sent += 1
            self.send(self._frame(message, 0))
        else:
            sessions.wait(session, message)
            self.pump()

    def acknowledged(self, packet_id: int) -> None:
        """Take a PUBACK of the client and send what waited for it."""
        session, sessions = self._session, self._sessions
        if session is None or sessions is None or not session.acknowledge(packet_id):
            return
        self.pump()
        sessions.settled(session)

    def pump(self) -> None:
        """Send waiting messages as long as window and network take them."""
        session = self._session
        while session is not None and self.writable:
            item = session.take()
            if item is None and not session.queued:
                item = self._take_retained(session)
            if item is None:
                return
            self._desk.counters.messages_sent += 1
            self.send(self._frame(item[1], item[0]))

    def _take_retained(self, session: Session) -> tuple[int, Outgoing] | None:
        while session.retained and self._sessions is not None:
            topic = session.retained.popleft()
            kept = self._sessions.realm(session).retained.get(topic)
            granted = [q for f, q in session.subscriptions.items() if matches(f, topic)]
            if kept is not None and granted:
                payload, qos = kept
                session.push(Outgoing(topic, payload, min(qos, max(granted)), retain=True))
                return session.take()
        return None

    def _frame(self, message: Outgoing, packet_id: int, *, dup: bool = False) -> bytes:
        topic, payload, qos, retain = message
        return self.encode(Publish(topic, payload, qos, retain, dup, packet_id))
