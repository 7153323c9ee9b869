"""The door: opens the listeners, wires a door's parts together, and closes them in order."""

import asyncio
import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple
from uuid import UUID

import structlog

from wattwire.endings import end
from wattwire.mqtt.contract import Hub, SessionKey
from wattwire.mqtt.desk import Desk
from wattwire.mqtt.floor import Floor
from wattwire.mqtt.handshake import Handshake
from wattwire.mqtt.keeper import Keeper
from wattwire.mqtt.limits import Counters, Limits, Statistics
from wattwire.mqtt.listener import Listener
from wattwire.mqtt.roster import Roster
from wattwire.mqtt.router import Router
from wattwire.mqtt.session import Budget
from wattwire.mqtt.sessions import Sessions

_SWEEP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.005  #: between looks at whether a step of the stop is done

log = structlog.get_logger()


class Ports(NamedTuple):
    """Where the door listens; 0 where it does not."""

    mqtt: int
    mqtts: int


class Door:
    """An MQTT 3.1.1 server for one hub. Use on one event loop: start, …, stop.

    `remote_interest(organization_id, topic)` tells whether another door wants messages of a topic;
    `on_published(organization_id, topic, payload, qos, retain)` is then called for each message
    that is durable, and for every retained one. Both may be set at any time.
    """

    def __init__(self, hub: Hub) -> None:
        self.remote_interest: Callable[[UUID, str], bool] = lambda _organization_id, _topic: False
        self.on_published: Callable[[UUID, str, bytes, int, bool], None] = lambda *_: None
        self._hub = hub
        self._floor: Floor | None = None
        self._plain: Listener | None = None
        self._tls: Listener | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._over: asyncio.Future[None] | None = None

    async def start(
        self,
        host: str,
        port: int | None,
        tls_port: int | None = None,
        ssl_context: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Load what is stored and listen; a port of 0 picks a free one, None does not listen.

        Without TLS the door listens on loopback only, whatever the host. Raises OSError for a port
        that cannot be had, ValueError for a TLS port without a context, and what the hub raises.
        """
        if tls_port is not None and ssl_context is None:
            raise ValueError("a TLS port needs a certificate")
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        self._over.add_done_callback(_look_at)
        floor = self._floor = self._build(loop, limits or Limits())
        floor.desk.keeper.start(self._died)
        self._sweeper = loop.create_task(_sweep(floor.sessions))
        self._sweeper.add_done_callback(self._died)
        try:
            await self._load(floor)
            await self._listen(floor, host, (port, tls_port), ssl_context)
        except BaseException:
            await self.stop()
            raise

    async def _listen(
        self,
        floor: Floor,
        host: str,
        ports: tuple[int | None, int | None],
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        port, tls_port = ports
        if port is not None:
            self._plain = Listener(floor, None)
            await self._plain.open(_loopback(host), port, self._died)
        if tls_port is not None:
            self._tls = Listener(floor, ssl_context)
            await self._tls.open(host, tls_port, self._died)

    def _build(self, loop: asyncio.AbstractEventLoop, limits: Limits) -> Floor:
        counters = Counters()
        desk = Desk(
            hub=self._hub,
            limits=limits,
            counters=counters,
            keeper=Keeper(counters, limits.store_seconds),
            budget=Budget(limits.queued_bytes_total),
            loop=loop,
            remote_interest=lambda *topic: self.remote_interest(*topic),  # noqa: PLW0108 - may be set later
            on_published=lambda *message: self.on_published(*message),  # noqa: PLW0108 - may be set later
        )
        router = Router(desk)
        floor = Floor(desk, router, Sessions(desk, router), Roster(), lambda *_: None)
        floor.admit = Handshake(floor).admit
        return floor

    async def _load(self, floor: Floor) -> None:
        floor.router.load(await self._hub.load_retained())
        floor.sessions.load(await self._hub.load_sessions())

    def _died(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or self._over is None or self._over.done():
            return
        error = task.exception() or RuntimeError("a task of the MQTT door ended")
        log.error("mqtt.task_died", reason=repr(error))
        self._over.set_exception(error)

    async def wait(self) -> None:
        """Return when the door has been stopped; raise when one of its tasks has died."""
        if self._over is not None:
            await asyncio.shield(self._over)

    async def stop(self, *, wills: bool = True) -> None:
        """Accept nobody, acknowledge what becomes durable in time, close, store what waits.

        With `wills`, the wills of those still connected are published; without, they are dropped.
        """
        floor = self._floor
        for listener in (self._plain, self._tls):
            if listener is not None:
                await listener.close()
        if floor is None:
            return
        await _close_all(floor, wills=wills)
        if self._sweeper is not None:
            self._sweeper.cancel()
        await floor.desk.keeper.stop(floor.desk.limits.stop_seconds)
        await end(*floor.desk.tasks)
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    @property
    def ports(self) -> Ports:
        """Where the door listens."""
        return Ports(*(listener.port if listener else 0 for listener in (self._plain, self._tls)))

    def _open_floor(self) -> Floor:
        if self._floor is None:
            raise RuntimeError("the door has not been started")
        return self._floor

    def publish(
        self,
        organization_id: UUID,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,  # noqa: FBT001, FBT002 - MQTT's own five
    ) -> None:
        """Publish a message of the hub itself, such as a command: here and on the other doors."""
        router = self._open_floor().router
        router.publish(router.realm(organization_id), topic, payload, qos, retain=retain)

    def route(
        self,
        organization_id: UUID,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,  # noqa: FBT001, FBT002 - MQTT's own five
    ) -> None:
        """Pass on a message that another door has published: to subscribers here only."""
        router = self._open_floor().router
        router.route(router.realm(organization_id), topic, payload, qos, retain=retain)

    def disconnect(self, credential_id: int, *, forget: bool = False) -> int:
        """Close the connections of a credential at once; return how many there were.

        Call it when a credential was changed or disabled: a client that was just being verified is
        refused, and whoever comes back is verified anew. With `forget` (the credential is gone)
        its lasting sessions are forgotten as well.
        """
        floor = self._open_floor()
        floor.roster.withdraw(credential_id)
        members = floor.roster.of_credential(credential_id)
        for member in members:
            member.close("the credential was changed")
        if forget:
            for session in floor.sessions.of_credential(credential_id):
                floor.sessions.forget(session)
        return len(members)

    def displace(self, key: SessionKey) -> None:
        """Close and forget a session that has moved to another door; what is stored stays."""
        floor = self._open_floor()
        member, session = floor.roster.find(key), floor.sessions.find(key)
        if member is not None:
            floor.desk.counters.connections_displaced += 1
            member.close("the same client connected to another door")
        if session is not None:
            floor.sessions.forget(session)

    def statistics(self) -> Statistics:
        """Return what has happened so far, and how many of what there are now."""
        floor = self._open_floor()
        realms = list(floor.router.realms())
        return Statistics(
            totals=replace(floor.desk.counters),
            connections=len(floor.connections),
            sessions=len(floor.sessions),
            subscriptions=sum(realm.subscriptions.count for realm in realms),
            retained_messages=sum(len(realm.retained) for realm in realms),
            unreleased_bytes=floor.desk.unreleased_bytes,
            queued_bytes=floor.desk.budget.used,
        )


async def _sweep(sessions: Sessions) -> None:
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        sessions.expire()


async def _close_all(floor: Floor, *, wills: bool) -> None:
    desk, seconds = floor.desk, floor.desk.limits.stop_seconds
    for connection in list(floor.connections):
        connection.stop_reading()
    await _until(lambda: not desk.unreleased_bytes, seconds)
    for connection in list(floor.connections):
        if not wills:
            connection.will = None
        connection.close("the hub stops")
    await _until(lambda: not floor.connections and not desk.wills, seconds)


async def _until(is_done: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition, for at most so long."""
    end = asyncio.get_running_loop().time() + seconds
    while not is_done() and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110 - happens once, at the stop; not worth an event in the hot path
        await asyncio.sleep(_POLL_SECONDS)


def _look_at(future: "asyncio.Future[None]") -> None:
    """Read a future's exception, so that nobody has to."""
    if not future.cancelled():
        future.exception()


def _loopback(host: str) -> str:
    """Return a host that is loopback: passwords do not travel a network in the clear."""
    try:
        return host if ipaddress.ip_address(host).is_loopback else "127.0.0.1"
    except ValueError:
        return "127.0.0.1"
