"""Lasting sessions: opened, left, resumed, stored and, when nobody comes back, dropped.

Memory is the truth while the process lives; what the hub stores is an insurance against its end.
"""

from collections.abc import Callable, Iterable

import structlog

from wattwire.mqtt.contract import Outgoing, Principal, SessionKey, StoredSession
from wattwire.mqtt.desk import Desk
from wattwire.mqtt.packets import MqttError
from wattwire.mqtt.router import Realm, Router, may_subscribe
from wattwire.mqtt.session import Link, Session

log = structlog.get_logger()


class TooManySessionsError(MqttError):
    """No room for another lasting session."""


class _Absent:
    """The link of a lasting session whose client is away."""

    __slots__ = ("_session", "_sessions")

    def __init__(self, sessions: "Sessions", session: Session) -> None:
        self._sessions = sessions
        self._session = session

    def deliver(self, message: Outgoing) -> None:
        """Let a QoS 1 message wait; QoS 0 is for those who are there."""
        if message.qos:
            self._sessions.wait(self._session, message)
            self._sessions.insure(self._session, (message,))


class Sessions:
    """The sessions of one door."""

    def __init__(self, desk: Desk, router: Router) -> None:
        self._desk = desk
        self._router = router
        self._lasting: dict[SessionKey, Session] = {}

    def __len__(self) -> int:
        return len(self._lasting)

    def load(self, stored: Iterable[StoredSession]) -> None:
        """Take over the sessions of an earlier process: their messages wait from now on."""
        for principal, client_id, subscriptions in stored:
            self._restore(principal, client_id, subscriptions.items())

    def _restore(
        self, principal: Principal, client_id: str, subscriptions: Iterable[tuple[str, int]]
    ) -> Session:
        session = self._new(principal, client_id, lasting=True)
        session.unread = True
        for topic_filter, qos in subscriptions:
            self.subscribe(session, topic_filter, qos)
        return session

    def _new(self, principal: Principal, client_id: str, *, lasting: bool) -> Session:
        limits = self._desk.limits
        session = Session(
            principal,
            client_id,
            self._desk.budget,
            lasting=lasting,
            window=limits.window,
            queued_messages=limits.queued_messages,
            queued_bytes=limits.queued_bytes,
        )
        if lasting:
            self._lasting[session.key] = session
            session.link = _Absent(self, session)
            session.left_at = self._desk.loop.time()
        return session

    async def open(
        self, principal: Principal, client_id: str, *, clean: bool
    ) -> tuple[Session, bool]:
        """Return the session of a client, and whether it existed before.

        Raises TooManySessionsError, and whatever the hub raises.
        """
        key = SessionKey(principal.credential_id, client_id)
        held = self._lasting.get(key)
        if held is not None and (clean or _is_of_another(held, principal)):
            self.forget(held)
            held = None
        if clean:
            self._drop(principal, client_id)
            return self._new(principal, client_id, lasting=False), False
        session, present = (held, True) if held else await self._find(principal, client_id)
        self._allow(session, principal)
        if session.unread:
            await self._read(session)
        return session, present

    async def _find(self, principal: Principal, client_id: str) -> tuple[Session, bool]:
        """Return a session that another process left behind, or a new one."""
        if len(self._lasting) >= self._desk.limits.sessions:
            raise TooManySessionsError("no room for another lasting session")
        key, hub = SessionKey(principal.credential_id, client_id), self._desk.hub
        stored = await self._desk.keeper.run(key, lambda: hub.load_session(principal, client_id))
        arrived = self._lasting.get(key)
        if arrived is not None:  # the same client, connecting twice at once
            return arrived, True
        if stored is not None:
            return self._restore(principal, client_id, stored.items()), True
        session = self._new(principal, client_id, lasting=True)
        self.save(session)
        return session, False

    async def _read(self, session: Session) -> None:
        """Bring back what an earlier process left, before what came since."""
        principal, client_id, hub = session.principal, session.key.client_id, self._desk.hub
        session.clear_queue()  # all of it has been handed to the hub and comes back with the rest
        kept = await self._desk.keeper.run(
            session.key, lambda: hub.read_offline(principal, client_id)
        )
        if not session.unread:  # the same client, connecting twice at once
            return
        allowed = [message for message in kept if _may_get(session, message)]
        dropped = session.replace_queue((*allowed, *session.drain()))
        self._note_dropped(session, dropped)
        session.unread, session.stored = False, bool(kept)

    def _allow(self, session: Session, principal: Principal) -> None:
        """Hold a resumed session to what its user may see today."""
        session.principal = principal
        for topic_filter in list(session.subscriptions):
            if not may_subscribe(principal.subscribe, topic_filter):
                self.unsubscribe(session, topic_filter)
                log.warning(
                    "mqtt.subscription_revoked",
                    username=principal.username,
                    topic_filter=topic_filter[:200],
                )
        session.keep_only(lambda message: _may_get(session, message))

    def subscribe(self, session: Session, topic_filter: str, qos: int) -> None:
        """Add a subscription, or change its QoS."""
        session.subscriptions[topic_filter] = qos
        self.realm(session).subscriptions.add(topic_filter, session, qos)

    def unsubscribe(self, session: Session, topic_filter: str) -> None:
        """Remove a subscription, if it exists."""
        if session.subscriptions.pop(topic_filter, None) is not None:
            self.realm(session).subscriptions.remove(topic_filter, session)

    def realm(self, session: Session) -> Realm:
        """Return the realm a session lives in."""
        return self._router.realm(session.principal.organization_id)

    def save(self, session: Session, then: Callable[[bool], None] | None = None) -> None:
        """Store the subscriptions of a lasting session; `then` learns whether they are."""
        hub, (principal, client_id) = self._desk.hub, _address(session)
        subscriptions = dict(session.subscriptions)
        self._desk.keeper.submit(
            "session",
            session.key,
            lambda: hub.save_session(principal, client_id, subscriptions),
            then,
        )

    def leave(self, session: Session) -> None:
        """Note that the client has gone: a clean session ends, a lasting one waits."""
        if not session.lasting:
            self._end(session)
            return
        session.left_at, session.dropped = self._desk.loop.time(), 0
        session.keep_only(lambda message: message.qos > 0)
        session.link = _Absent(self, session)
        outstanding = tuple(session.outstanding())
        self._forget_stored(session)
        if outstanding:
            self.insure(session, outstanding)

    def _end(self, session: Session) -> None:
        for topic_filter in list(session.subscriptions):
            self.unsubscribe(session, topic_filter)
        session.link = None
        session.window.clear()
        session.clear_queue()

    def wait(self, session: Session, message: Outgoing) -> None:
        """Let a message wait in the session; what that pushes out is counted, and logged once."""
        self._note_dropped(session, session.push(message))

    def _note_dropped(self, session: Session, dropped: int) -> None:
        self._desk.counters.messages_dropped += dropped
        if dropped and session.dropped == dropped:
            log.warning(
                "mqtt.messages_dropped",
                username=session.principal.username,
                client_id=session.key.client_id[:100],
                queued=session.queued,
            )

    def insure(self, session: Session, messages: Iterable[Outgoing]) -> None:
        """Hand messages of an absent client to the hub, many in one go when it is slow."""
        is_first = not session.unsaved
        session.unsaved.extend(messages)
        del session.unsaved[: -self._desk.limits.queued_messages]
        if not is_first:
            return
        hub, (principal, client_id), batch = self._desk.hub, _address(session), list[Outgoing]()

        async def append() -> None:
            if not batch:  # the first try takes what has gathered; later ones repeat it
                batch.extend(session.unsaved)
                session.unsaved.clear()
            await hub.append_offline(principal, client_id, batch)

        session.stored = True
        self._desk.keeper.submit("offline messages", session.key, append)

    def settled(self, session: Session) -> None:
        """Forget what the hub stores for a client that has acknowledged everything."""
        if session.stored and not session.window and not session.queued:
            self._forget_stored(session)

    def _forget_stored(self, session: Session) -> None:
        if not session.stored:
            return
        hub, (principal, client_id) = self._desk.hub, _address(session)
        session.stored = False
        self._desk.keeper.submit(
            "offline messages", session.key, lambda: hub.forget_offline(principal, client_id)
        )

    def forget(self, session: Session) -> None:
        """Forget a lasting session in memory; what is stored of it stays."""
        self._lasting.pop(session.key, None)
        self._end(session)

    def find(self, key: SessionKey) -> Session | None:
        """Return a lasting session."""
        return self._lasting.get(key)

    def of_credential(self, credential_id: int) -> list[Session]:
        """Return the lasting sessions of a credential."""
        return [s for key, s in self._lasting.items() if key.credential_id == credential_id]

    def expire(self) -> None:
        """Drop the sessions that nobody came back to in time."""
        oldest = self._desk.loop.time() - self._desk.limits.session_seconds
        for session in list(self._lasting.values()):
            if isinstance(session.link, _Absent) and session.left_at < oldest:
                self.forget(session)
                self._drop(*_address(session))
                log.warning("mqtt.session_expired", username=session.principal.username)

    def _drop(self, principal: Principal, client_id: str) -> None:
        hub, key = self._desk.hub, SessionKey(principal.credential_id, client_id)
        self._desk.keeper.submit("session", key, lambda: hub.drop_session(principal, client_id))


def attach(session: Session, link: Link) -> None:
    """Note that the client is there: messages go to its connection."""
    session.link, session.dropped = link, 0


def _address(session: Session) -> tuple[Principal, str]:
    return session.principal, session.key.client_id


def _may_get(session: Session, message: Outgoing) -> bool:
    return may_subscribe(session.principal.subscribe, message.topic)


def _is_of_another(session: Session, principal: Principal) -> bool:
    """Tell whether the credential has moved to another organization since."""
    return session.principal.organization_id != principal.organization_id
