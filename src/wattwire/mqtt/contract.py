"""What the door asks of the hub it stands in; the door knows neither the log nor the database."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a connection speaks for: one MQTT credential of one organization.

    `publish` and `subscribe` hold exact topics, or filters with + and #.
    """

    credential_id: int
    organization_id: UUID
    username: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    format: str
    settings: Mapping[str, Any]


class SessionKey(NamedTuple):
    """What names a session: a client id belongs to the user that chose it."""

    credential_id: int
    client_id: str


class StoredSession(NamedTuple):
    """A lasting session as it was saved: filters with the QoS granted to each."""

    principal: Principal
    client_id: str
    subscriptions: Mapping[str, int]


class Retained(NamedTuple):
    """The last message of a topic that was published with retain."""

    organization_id: UUID
    topic: str
    payload: bytes
    qos: int


class Outgoing(NamedTuple):
    """A message for one subscriber, at the QoS it gets it with (0 or 1)."""

    topic: str
    payload: bytes
    qos: int
    retain: bool = False


class Hub(Protocol):
    """The hub. All of it is called on the door's event loop.

    The coroutines are given a time limit, but for those asked at start; a write that raises is
    tried again a few times. Writes of one key (session, or organization and topic) never overlap
    and come in the order in which things happened.
    """

    async def authenticate(
        self,
        username: str | None,
        password: bytes | None,
        client_id: str,
        certificate_sha256: bytes | None,
    ) -> Principal | None:
        """Return who this is, or None. The certificate has been checked against the CA.

        At most `Limits.verifications` run at once. A slow password hash belongs into a thread.
        """

    def publish(
        self, principal: Principal, topic: str, payload: bytes, release: Callable[[bool], None]
    ) -> None:
        """Take a message that the principal may publish. Must not block.

        `release(True)` exactly once when it is durable: only then is it acknowledged and routed.
        `release(False)` when it could not be made durable: the connection is closed without an
        acknowledgement, so that the client sends it again. It may be called at once or later, in
        any order, and for many messages in one go, which is cheapest.
        """

    async def load_sessions(self) -> Iterable[StoredSession]:
        """Return the lasting sessions that this door keeps messages for, at start.

        With one door these are all; among several doors each session belongs to one of them.
        """

    async def load_session(self, principal: Principal, client_id: str) -> Mapping[str, int] | None:
        """Return the subscriptions of a lasting session that this door does not hold, if it exists.

        Asked at each CONNECT with clean session 0 that finds nothing here; among several doors this
        is where the others are told to `Door.displace` it.
        """

    async def save_session(
        self, principal: Principal, client_id: str, subscriptions: Mapping[str, int]
    ) -> None:
        """Store a lasting session. A SUBACK waits for it."""

    async def drop_session(self, principal: Principal, client_id: str) -> None:
        """Forget a session and its offline messages, if it exists. Each clean CONNECT asks so."""

    async def append_offline(
        self, principal: Principal, client_id: str, messages: Sequence[Outgoing]
    ) -> None:
        """Keep messages for a lasting session, after those kept before.

        They are an insurance: the door has them in memory, too, and reads them only after a restart
        or when the session comes from another door. The store may drop the oldest beyond
        `Limits.queued_messages` of a session. On JetStream: one subject per session with
        `max_msgs_per_subject` and discard old.
        """

    async def read_offline(self, principal: Principal, client_id: str) -> Sequence[Outgoing]:
        """Return the messages kept for a session, oldest first, without forgetting them."""

    async def forget_offline(self, principal: Principal, client_id: str) -> None:
        """Forget them: the client has acknowledged every one. On JetStream: purge the subject."""

    async def load_retained(self) -> Iterable[Retained]:
        """Return the retained messages of all organizations, at start."""

    async def save_retained(
        self, organization_id: UUID, topic: str, payload: bytes, qos: int
    ) -> None:
        """Store the retained message of a topic; an empty payload deletes it."""
