"""Passes messages on to subscribers and keeps the retained ones, one realm per organization.

Nothing crosses realms: a realm has its own subscriptions and its own retained messages.
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

import structlog

from wattwire.mqtt.contract import Outgoing, Retained
from wattwire.mqtt.desk import Desk
from wattwire.mqtt.session import Session
from wattwire.mqtt.subscriptions import SubscriptionTree, TopicTree
from wattwire.mqtt.topics import may

#: Sparkplug 3.0 section 10.2: an aware server keeps births retained below this topic.
CERTIFICATES: Final = "$sparkplug/certificates/"
_SPARKPLUG: Final = "spBv1.0"
_BIRTHS: Final = ("NBIRTH", "DBIRTH")
_MAX_QOS: Final = 1

log = structlog.get_logger()


def certificate_of(topic: str) -> str | None:
    """Return where the birth published under this topic is retained, if it is one."""
    if not topic.startswith(_SPARKPLUG):
        return None
    levels = topic.split("/", 3)
    is_birth = len(levels) > 3 and levels[0] == _SPARKPLUG and levels[2] in _BIRTHS  # noqa: PLR2004 - namespace, group, type, rest
    return CERTIFICATES + topic if is_birth else None


def may_subscribe(filters: Iterable[str], wanted: str) -> bool:
    """Tell whether a permission covers a filter; births are covered by the topic they are of."""
    return may(filters, wanted.removeprefix(CERTIFICATES))


class Realm:
    """The subscriptions and retained messages of one organization."""

    __slots__ = ("id", "retained", "retained_bytes", "retained_full", "subscriptions")

    def __init__(self, organization_id: UUID) -> None:
        self.id = organization_id
        self.subscriptions: SubscriptionTree[Session] = SubscriptionTree()
        self.retained: TopicTree[tuple[bytes, int]] = TopicTree()
        self.retained_bytes = 0
        self.retained_full = False  #: said once, until there is room again

    def deliver(self, topic: str, payload: bytes, qos: int, *, retain: bool = False) -> None:
        """Give a message to each local subscriber that asked for it."""
        for session, granted in self.subscriptions.match(topic):
            message = Outgoing(topic, payload, min(qos, granted), retain)
            if session.link is not None:
                session.link.deliver(message)


class Router:
    """All realms of a door."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._realms: dict[UUID, Realm] = {}

    def realm(self, organization_id: UUID) -> Realm:
        """Return the realm of an organization."""
        realm = self._realms.get(organization_id)
        if realm is None:
            realm = self._realms[organization_id] = Realm(organization_id)
        return realm

    def realms(self) -> Iterable[Realm]:
        """Return every realm there is."""
        return self._realms.values()

    def load(self, retained: Iterable[Retained]) -> None:
        """Take over the retained messages that the hub has stored."""
        for message in retained:
            self.retain(self.realm(message.organization_id), *message[1:], save=False)

    def publish(self, realm: Realm, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        """Pass on a durable message of this door: to subscribers here and on other doors."""
        desk = self._desk
        birth = certificate_of(topic)
        if birth is not None:
            self.publish(realm, birth, payload, qos, retain=True)
        if retain:
            self.retain(realm, topic, payload, qos)
        if realm.subscriptions.count:
            realm.deliver(topic, payload, qos)
        if retain or desk.remote_interest(realm.id, topic):
            desk.on_published(realm.id, topic, payload, qos, retain)

    def route(self, realm: Realm, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        """Pass on a message that another door has published: to subscribers here only."""
        if retain:
            self.retain(realm, topic, payload, qos, save=False)
        if realm.subscriptions.count:
            realm.deliver(topic, payload, qos)

    def retain(
        self, realm: Realm, topic: str, payload: bytes, qos: int, *, save: bool = True
    ) -> None:
        """Keep the last message of a topic; an empty payload forgets it."""
        qos = min(qos, _MAX_QOS)
        if payload and not self._has_room(realm, topic, len(payload)):
            payload = b""  # rather no retained message than one that is out of date
        earlier = realm.retained.discard(topic)
        realm.retained_bytes += len(payload) - (len(earlier[0]) if earlier else 0)
        if payload:
            realm.retained.put(topic, (payload, qos))
        if save and (payload or earlier):
            self._save(realm, topic)

    def _has_room(self, realm: Realm, topic: str, size: int) -> bool:
        limits, earlier = self._desk.limits, realm.retained.get(topic)
        held = realm.retained_bytes - (len(earlier[0]) if earlier else 0)
        has_place = earlier is not None or len(realm.retained) < limits.retained_messages
        if has_place and held + size <= limits.retained_bytes:
            realm.retained_full = False
            return True
        self._desk.counters.retained_refused += 1
        if not realm.retained_full:
            realm.retained_full = True
            log.warning("mqtt.retained_refused", organization_id=str(realm.id), topic=topic[:200])
        return False

    def _save(self, realm: Realm, topic: str) -> None:
        async def save() -> None:  # what is stored is what is retained by then
            payload, qos = realm.retained.get(topic) or (b"", 0)
            await self._desk.hub.save_retained(realm.id, topic, payload, qos)

        self._desk.keeper.submit("retained", (realm.id, topic), save)

    def send_retained(self, realm: Realm, session: Session, topic_filter: str) -> None:
        """Have the retained messages of a new subscription sent, as the client takes them."""
        session.retained.extend(topic for topic, _ in realm.retained.find(topic_filter))
