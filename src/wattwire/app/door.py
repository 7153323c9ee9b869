"""The MQTT door in the hub: who comes in, and how what they publish gets into the log."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import structlog

from wattwire.app.logins import Logins, principal_of
from wattwire.app.offline import OfflineMessages
from wattwire.intake.intake import Intake
from wattwire.model import Decoded, RefusedError
from wattwire.mqtt.contract import Outgoing, Principal, Retained, StoredSession
from wattwire.sources.routing import Publisher, TopicDecoder
from wattwire.store import doors
from wattwire.store.directory import Directory, NotLoadedError

#: Messages whose device is being looked up; beyond it they are given back unsaved.
MAX_LOADING: Final = 10_000
#: Unknown devices that one message may name.
MAX_ROUNDS: Final = 1_000

log = structlog.get_logger()

Release = Callable[[bool], None]


class Origin(NamedTuple):
    """Where a message came from, for the quarantine."""

    source: str
    format: str
    topic: str
    credential_id: int | None


class Paper(NamedTuple):
    """One published message on its way in."""

    principal: Principal
    topic: str
    payload: bytes
    release: Release
    now: int  #: microseconds since the epoch


class DoorHub:
    """Implements `mqtt.contract.Hub` on the log and the database."""

    def __init__(
        self, pool: Any, intake: Intake, directory: Directory, offline: OfflineMessages,
        decoder: TopicDecoder,
    ) -> None:  # fmt: skip
        self._pool = pool
        self._intake = intake
        self._directory = directory
        self._offline = offline
        self._decoder = decoder
        self._logins = Logins(pool)
        self._publishers: dict[UUID, Publisher] = {}
        self._loading: set[asyncio.Task[None]] = set()

    async def authenticate(
        self,
        username: str | None,
        password: bytes | None,
        client_id: str,
        certificate_sha256: bytes | None,
    ) -> Principal | None:
        """Return who this is, or None."""
        del client_id
        return await self._logins.find(username, password, certificate_sha256)

    def publish(self, principal: Principal, topic: str, payload: bytes, release: Release) -> None:
        """Take a message: into the log when it can be understood, into the quarantine otherwise."""
        paper = Paper(principal, topic, payload, release, time.time_ns() // 1000)
        try:
            decoded = self._decode(paper)
            self._take(paper, decoded)
        except NotLoadedError as missing:
            self._load_then(paper, missing)
        except RefusedError as error:
            self._refuse(paper, error)

    def _decode(self, paper: Paper) -> Decoded:
        principal = paper.principal
        return self._decoder.decode(
            principal.format,
            paper.topic,
            paper.payload,
            self._publisher(principal.organization_id),
            paper.now,
        )

    def _publisher(self, organization_id: UUID) -> Publisher:
        publisher = self._publishers.get(organization_id)
        if publisher is None:
            publisher = self._publishers[organization_id] = Publisher(
                organization_id, lambda device: self._directory.zone(organization_id, device)
            )
        return publisher

    def _take(self, paper: Paper, decoded: Decoded) -> None:
        """Check and hand over. Raises RefusedError, or NotLoadedError: then nothing was taken."""
        organization_id = paper.principal.organization_id
        try:
            self._intake.check(organization_id, decoded.readings, paper.now)
        except NotLoadedError as missing:
            missing.decoded = decoded  # decoding again would tell a Sparkplug state twice
            raise
        if decoded.readings or decoded.statuses:
            self._intake.submit(organization_id, decoded, paper.now, paper.release)
        else:
            paper.release(True)  # nothing to keep: a command, a host's STATE

    def _refuse(self, paper: Paper, error: RefusedError) -> None:
        principal = paper.principal
        origin = Origin("mqtt", principal.format, paper.topic, principal.credential_id)
        self._intake.refuse(principal.organization_id, origin, paper.payload, error, paper.release)

    def _load_then(self, paper: Paper, missing: NotLoadedError) -> None:
        if len(self._loading) >= MAX_LOADING:
            paper.release(False)
            return
        task = asyncio.create_task(self._load_and_take(paper, missing))
        self._loading.add(task)
        task.add_done_callback(self._loading.discard)

    async def _load_and_take(self, paper: Paper, missing: NotLoadedError) -> None:
        try:
            await self._load_until_taken(paper, missing)
        except RefusedError as error:
            self._refuse(paper, error)
        except Exception as error:  # noqa: BLE001 - the edge of the task: the client sends it again
            log.warning("app.device_lookup_failed", error=f"{type(error).__name__}: {error}")
            paper.release(False)

    async def _load_until_taken(self, paper: Paper, missing: NotLoadedError) -> None:
        """Look up the devices that a message needs, one a round, then take it."""
        for _ in range(MAX_ROUNDS):
            await self._directory.load(missing.organization_id, [missing.device])
            try:
                decoded = missing.decoded or self._decode(paper)
                self._take(paper, decoded)
            except NotLoadedError as another:
                if another.device == missing.device:
                    raise
                missing = another
            else:
                return
        raise RefusedError(f"it names more than {MAX_ROUNDS} devices that have to be looked up")

    async def load_sessions(self) -> Iterable[StoredSession]:
        """Return all lasting sessions."""
        rows = await self._query(doors.list_sessions)
        return [
            StoredSession(principal_of(row), row["client_id"], row["subscriptions"]) for row in rows
        ]

    async def load_session(self, principal: Principal, client_id: str) -> Mapping[str, int] | None:
        """Return the subscriptions of a lasting session, if it exists."""
        found: Mapping[str, int] | None = await self._query(
            doors.find_session, principal.credential_id, client_id
        )
        return found

    async def save_session(
        self, principal: Principal, client_id: str, subscriptions: Mapping[str, int]
    ) -> None:
        """Keep a lasting session."""
        await self._query(doors.save_session, principal.credential_id, client_id, subscriptions)

    async def drop_session(self, principal: Principal, client_id: str) -> None:
        """Forget a session and what was kept for it, if it exists."""
        if await self._query(doors.drop_session, principal.credential_id, client_id):
            await self._offline.forget(principal.credential_id, client_id)

    async def append_offline(
        self, principal: Principal, client_id: str, messages: Sequence[Outgoing]
    ) -> None:
        """Keep messages for a client that is away."""
        await self._offline.append(principal.credential_id, client_id, messages)

    async def read_offline(self, principal: Principal, client_id: str) -> Sequence[Outgoing]:
        """Return what is kept for a client."""
        return await self._offline.read(principal.credential_id, client_id)

    async def forget_offline(self, principal: Principal, client_id: str) -> None:
        """Forget what is kept for a client."""
        await self._offline.forget(principal.credential_id, client_id)

    async def load_retained(self) -> Iterable[Retained]:
        """Return all retained messages."""
        return [
            Retained(row["organization_id"], row["topic"], row["payload"], row["qos"])
            for row in await self._query(doors.list_retained)
        ]

    async def save_retained(
        self, organization_id: UUID, topic: str, payload: bytes, qos: int
    ) -> None:
        """Keep a retained message; an empty payload deletes it."""
        await self._query(doors.save_retained, organization_id, topic, payload, qos)

    async def _query(self, query: Any, *values: Any) -> Any:
        async with self._pool.acquire(timeout=5) as connection:
            return await query(connection, *values)
