"""What comes from one client: handed to the hub, acknowledged in order once it is durable.

This is the hot path. A message costs one small object and one call of the hub; its release flips a
flag, and all that a commit has released is acknowledged and passed on together (see `Desk`).
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from wattwire.mqtt.contract import Principal
from wattwire.mqtt.desk import Desk
from wattwire.mqtt.packets import PUBACK, PUBREC, ForbiddenTopicError, Publish
from wattwire.mqtt.router import Realm, Router, certificate_of
from wattwire.mqtt.session import Session
from wattwire.mqtt.topics import may

_WAITING: Final = 0
_DURABLE: Final = 1
_LOST: Final = 2
_OVERHEAD: Final = 256  #: what an unreleased message costs beside its payload, about
_KNOWN_TOPICS: Final = 4_096  #: remembered per connection as permitted
_QOS_2: Final = 2
#: An acknowledgement is four bytes: type, length 2, identifier. By QoS, without the identifier.
_ACKNOWLEDGEMENTS: Final = (0, PUBACK << 28 | 2 << 16, PUBREC << 28 | 2 << 16)

log = structlog.get_logger()


class Pending:
    """One message on its way into the log. An empty topic is a repeat: only acknowledged."""

    __slots__ = ("follower", "inbox", "packet_id", "payload", "qos", "retain", "state", "topic")

    def __init__(
        self, inbox: "Inbox", topic: str, payload: bytes, qos: int, packet_id: int, *, retain: bool
    ) -> None:
        self.inbox = inbox
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.packet_id = packet_id
        self.retain = retain
        self.state = _WAITING
        self.follower: Pending | None = None  #: a repeat that waits for the same commit

    def release(self, durable: bool) -> None:  # noqa: FBT001 - the hub's contract
        """Note the fate of the message; only the first call counts."""
        if self.state:
            return
        self.state = _DURABLE if durable else _LOST
        inbox = self.inbox
        if not inbox.noted:
            inbox.noted = True
            inbox.desk.settle_soon(inbox)
        if self.follower is not None:
            self._release_followers()

    def _release_followers(self) -> None:
        follower, self.follower = self.follower, None
        while follower is not None:  # not by recursion: a client may repeat itself very often
            following, follower.follower = follower.follower, None
            follower.release(self.state == _DURABLE)
            follower = following


class Sender(Protocol):
    """The connection, as its inbox sees it."""

    def acknowledge(self, frames: list[bytes], /) -> None:
        """Send acknowledgements, if the client is still there."""

    def wait_for_commits(self) -> None:
        """Read no more until released."""

    def go_on(self) -> None:
        """Read again."""

    def close(self, reason: str, /) -> None:
        """Close without a word."""


class Inbox:
    """The unreleased messages of one connection, in the order in which they came."""

    __slots__ = (
        "_bytes",
        "_known",
        "_max_bytes",
        "_max_messages",
        "_principal",
        "_publish",
        "_queue",
        "_realm",
        "_router",
        "_sender",
        "_session",
        "desk",
        "noted",
        "waits",
    )

    def __init__(self, desk: Desk, router: Router, session: Session, sender: Sender) -> None:
        self.desk = desk
        self.noted = False  #: whether the desk knows that something was released
        self.waits = False  #: whether the connection is not read because of this inbox
        self._router = router
        self._session = session
        self._sender = sender
        self._principal: Principal = session.principal
        self._realm: Realm = router.realm(session.principal.organization_id)
        self._publish = desk.hub.publish
        self._queue: deque[Pending] = deque()
        self._known: set[str] = set()
        self._bytes = 0
        self._max_messages = desk.limits.unreleased_messages
        self._max_bytes = desk.limits.unreleased_bytes

    def __len__(self) -> int:
        return len(self._queue)

    def take(self, packet: Publish) -> None:
        """Hand a message to the hub. Raises ForbiddenTopicError."""
        topic, payload, qos, retain, _, packet_id = packet
        if topic not in self._known:
            self._learn(topic)
        pending = Pending(self, topic, payload, qos, packet_id, retain=retain)
        if qos == _QOS_2 and self._is_repeat(pending):
            return
        self._queue.append(pending)
        size = len(payload) + _OVERHEAD
        self._bytes += size
        desk = self.desk
        desk.unreleased_bytes += size
        try:
            self._publish(self._principal, topic, payload, pending.release)
        except Exception:
            log.exception("mqtt.message_refused", username=self._principal.username)
            pending.release(False)
        self.check_room()

    def check_room(self) -> None:
        """Have the connection not read while too much of it, or of all, is not durable."""
        if len(self._queue) >= self._max_messages or self._bytes >= self._max_bytes:
            self._wait()
        elif self.desk.unreleased_bytes >= self.desk.limits.unreleased_bytes_total:
            self._wait()
            self.desk.held.append(self._sender)

    def _wait(self) -> None:
        self.waits = True
        self._sender.wait_for_commits()

    def _learn(self, topic: str) -> None:
        check_topic(self.desk, self._principal, topic)
        if len(self._known) >= _KNOWN_TOPICS:
            self._known.clear()
        self._known.add(topic)

    def _is_repeat(self, pending: Pending) -> bool:
        """Tell whether this QoS 2 message was taken before; if so, only acknowledge it again."""
        incoming, packet_id = self._session.incoming, pending.packet_id
        first = incoming.get(packet_id, self)
        if first is self:
            incoming[packet_id] = pending
            return False
        self.desk.counters.messages_repeated += 1
        pending.topic, pending.payload = "", b""
        self._queue.append(pending)
        self._bytes += _OVERHEAD
        self.desk.unreleased_bytes += _OVERHEAD
        if isinstance(first, Pending) and first.state != _DURABLE:
            incoming[packet_id] = pending
            first.follower = pending
            if first.state == _LOST:
                pending.release(False)
        else:
            pending.release(True)
        self.check_room()
        return True

    def forget(self, packet_id: int) -> None:
        """Take a PUBREL: the identifier may be used again."""
        self._session.incoming.pop(packet_id, None)

    def settle(self) -> None:
        """Acknowledge and pass on what was released, up to the first message that was not."""
        self.noted = False
        queue, frames, size, failed = self._queue, list[bytes](), 0, False
        pass_on = self._choose_pass_on()
        while queue and queue[0].state:
            pending = queue.popleft()
            qos = pending.qos
            size += len(pending.payload) + _OVERHEAD
            if pending.state == _LOST:
                failed = self._refuse(pending) or failed
                continue
            if qos:
                if qos == _QOS_2 and self._session.incoming.get(pending.packet_id) is pending:
                    self._session.incoming[pending.packet_id] = None
                if not failed:
                    frames.append((_ACKNOWLEDGEMENTS[qos] | pending.packet_id).to_bytes(4))
            pass_on(pending)
        self._bytes -= size
        self.desk.unreleased_bytes -= size
        if frames:
            self._sender.acknowledge(frames)
        if failed:
            self._sender.close("a message could not be made durable")
        elif self.waits:
            self._go_on_with_room()

    def _choose_pass_on(self) -> Callable[[Pending], None]:
        return self._pass_on if self._realm.subscriptions.count else self._pass_on_rarely

    def _pass_on(self, pending: Pending) -> None:
        if pending.topic:
            self._router.publish(
                self._realm, pending.topic, pending.payload, pending.qos, retain=pending.retain
            )

    def _pass_on_rarely(self, pending: Pending) -> None:
        """Pass on when there are no subscribers here: retained messages, births, other doors."""
        topic = pending.topic
        if topic and (
            pending.retain
            or self.desk.remote_interest(self._realm.id, topic)
            or certificate_of(topic) is not None
        ):
            self._pass_on(pending)

    def _refuse(self, pending: Pending) -> bool:
        """Note a message that is not durable; tell whether the client must send it again."""
        if pending.topic:
            self.desk.counters.messages_refused += 1
        if pending.qos == _QOS_2 and self._session.incoming.get(pending.packet_id) is pending:
            del self._session.incoming[pending.packet_id]
        return pending.qos > 0

    def _go_on_with_room(self) -> None:
        few = len(self._queue) <= self._max_messages // 2 and self._bytes <= self._max_bytes // 2
        if few and self.desk.unreleased_bytes < self.desk.limits.unreleased_bytes_total:
            self._sender.go_on()


def check_topic(desk: Desk, principal: Principal, topic: str) -> None:
    """Raise ForbiddenTopicError, counted and logged, unless the user may publish to the topic."""
    limits, rule = desk.limits, ""
    if len(topic.encode()) > limits.topic_bytes:
        rule = f"topics of at most {limits.topic_bytes} bytes"
    elif topic.count("/") >= limits.topic_levels:
        rule = f"topics of at most {limits.topic_levels} levels"
    elif not may(principal.publish, topic):
        rule = "may publish " + (", ".join(principal.publish) or "nothing")
    if rule:
        desk.counters.messages_forbidden += 1
        log.warning(
            "mqtt.topic_forbidden", username=principal.username, topic=topic[:200], rule=rule[:500]
        )
        raise ForbiddenTopicError("forbidden topic")
