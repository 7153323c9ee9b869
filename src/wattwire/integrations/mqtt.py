"""# MQTT

Publishes every event to a topic of any MQTT 3.1.1 or 5 broker: Mosquitto, EMQX, HiveMQ, RabbitMQ,
NATS, AWS IoT Core, others.

**You need** the broker's URL (`mqtt://`, `mqtts://`, `ws://` or `wss://`), and a user or a client
certificate that may publish to the topics, and nothing else. For `sparkplug` it must also be
allowed to publish to `spBv1.0/{group}/+/{edge_node}/#` and to subscribe to
`spBv1.0/{group}/NCMD/{edge_node}`. Private networks are refused unless the operator of the hub
allows them (`WATTWIRE_WEBHOOK_ALLOW`).

**Topics** are templates: `netneural/{organization_id}/devices/{device_key}/telemetry`. The `/`,
`+`, `#` and `%` of a value are percent-encoded. For JSON on Sparkplug topics choose the format
`sparkplug_json` and a topic such as `spBv1.0/pm500/DDATA/edge-1/{device_key}`.

**Confirmed.** With QoS 1 and 2 a message is delivered when the broker has acknowledged it in full;
its receipt is the packet id and the reason code. With QoS 0, which nobody acknowledges, it is when
the broker has answered a ping that was sent behind it. One connection stays open while there is
something to send; a clean session, as nothing is left in it for later.

**Sparkplug B.** With `sparkplug` and the format `sparkplug_b` the integration is an edge node of
Sparkplug 3.0: NBIRTH, a DBIRTH of each device before its first data, metrics with aliases, `seq`,
rebirth on command, NDEATH as will and before a goodbye. Each message is one DDATA, at QoS 0 as the
specification asks. Late data are marked `is_historical`; after an outage of the broker they go out
first, then what is new. `bdSeq` begins with the clock's seconds modulo 256. With the topic
`device.status` beside `device.telemetry`, a device that is silent or offline dies (DDEATH) and is
born again when it answers. *Test* connects and subscribes, and publishes nothing: a second birth
would end the session that is at work. Events of no device are rejected, and another format pauses
the integration.

**Repeats.** With version 5 the user property `message_id` stays the same over all attempts.

**Refusals.** With version 5 a broker answers for each message: a topic or payload that it finds
invalid is rejected, a quota slows the integration down, *not authorized* pauses it until its
settings change. With 3.1.1 it cannot: Mosquitto acknowledges what its access list forbids, others
cut the connection. Refused credentials pause the integration. A connection that is refused or lost
counts nothing against the messages that were not confirmed; they are sent again.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from wattwire.endings import end
from wattwire.integrations._http import Guard
from wattwire.integrations._mqtt_answers import VERDICTS, Begun, failure, outcome_of, unread_by
from wattwire.integrations._mqtt_client import Connection, RefusedByBrokerError, open_connection
from wattwire.integrations._mqtt_properties import PublishProperties, publish_properties
from wattwire.integrations._mqtt_settings import Settings, address, broker_of
from wattwire.integrations._paho import Broker
from wattwire.integrations._sparkplug_edge import Edge
from wattwire.integrations._sparkplug_session import CONTENT_TYPE
from wattwire.integrations._topics import TopicTemplate
from wattwire.integrations.contract import (
    ConfigurationError,
    Delivered,
    IntegrationType,
    Limits,
    Outcome,
    Outcomes,
    Presets,
    Rejected,
    Surroundings,
    UnreachableError,
)
from wattwire.model import Message

# A batch is our choice: MQTT has no batches, and no limit below the 256 MiB of a packet.
LIMITS: Final = Limits(max_messages=100, max_bytes=4 * 1024 * 1024)
PRESETS: Final = Presets(rate_per_minute=60_000, max_concurrent=100, max_payload_bytes=262_144)
_OVERHEAD_BYTES: Final = 512  # of properties: what a broker's packet limit counts, too


class Mqtt:
    """One broker, opened by connect(). The connection is made when it is needed, and kept."""

    def __init__(self, settings: Settings, broker: Broker, guard: Guard) -> None:
        self._settings = settings
        self._broker = broker
        self._guard = guard
        self._template = TopicTemplate.parse(settings.topic, reserved=True)
        self._edge = Edge(settings.sparkplug) if settings.sparkplug else None
        self._opening: asyncio.Task[Connection] | None = None
        self._turns: list[asyncio.Future[Connection]] = []  # calls that wait, in their order
        self._connection: Connection | None = None

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Publish all, then wait for the answers."""
        self._check_format(batch)
        try:
            connection = await self._open()
        except RefusedByBrokerError as error:
            return dict.fromkeys((message.id for message in batch), failure(error))
        try:
            return await self._publish(connection, batch)
        except asyncio.CancelledError:
            connection.drop()  # what it has not sent yet must not be sent behind the engine's back
            raise

    async def test(self, probe: Message) -> Outcome:
        """Publish the probe as an ordinary message; of an edge node, all but that."""
        if self._edge is None:
            return (await self.deliver([probe]))[probe.id]
        self._check_format([probe])
        try:
            return await self._rehearse(self._edge)
        except RefusedByBrokerError as error:
            return failure(error)

    async def _rehearse(self, edge: Edge) -> Outcome:
        """Connect and listen for commands, without a will and births.

        They would end the session of the edge node that is at work, in the eyes of its hosts.
        """
        connection = await open_connection(self._broker, self._guard)
        try:
            await connection.subscribe(edge.command_topic)
            await connection.confirm()
        finally:
            await connection.close()
        return Delivered(receipt="connected and listening for commands; nothing published")

    async def close(self) -> None:
        """Say goodbye."""
        if self._opening is not None:
            await end(self._opening)
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._edge is not None and connection.alive:
                await self._edge.end(connection)
            await connection.close()

    def _check_format(self, batch: Sequence[Message]) -> None:
        sparkplug = {message.content_type == CONTENT_TYPE for message in batch}
        if True in sparkplug and self._edge is None:
            raise ConfigurationError("The format sparkplug_b needs group and edge node: sparkplug")
        if False in sparkplug and self._edge is not None:
            raise ConfigurationError("An edge node speaks sparkplug_b only: choose that format")

    async def _open(self) -> Connection:
        """Return the connection; calls that wait for one share what comes of the attempt.

        They go on in the order in which they came, so that nothing overtakes what is older.
        """
        connection = self._connection
        if connection is not None and not connection.alive:
            connection = None
        if connection is not None and not self._turns:
            return connection
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Connection] = loop.create_future()
        self._turns.append(turn)
        if connection is not None:  # those before it have got it, and are about to go on
            loop.call_soon(_give, turn, connection)
        elif self._opening is None:
            self._opening = asyncio.create_task(self._connect())
            self._opening.add_done_callback(self._opened)
        try:
            return await turn
        finally:
            self._turns.remove(turn)

    def _opened(self, task: "asyncio.Task[Connection]") -> None:
        self._opening = None
        come: Connection | BaseException = UnreachableError("closed")
        if not task.cancelled():
            come = task.exception() or task.result()
        if isinstance(come, Connection):
            self._connection = come
        for turn in self._turns:
            _give(turn, come)

    async def _connect(self) -> Connection:
        edge = self._edge
        if edge is None:
            connection = await open_connection(self._broker, self._guard)
        else:
            connection = await open_connection(self._broker, self._guard, edge.hear, edge.will)
        try:
            connection.check(self._settings.qos, retain=self._settings.retain)
            if edge is not None:
                await edge.begin(connection)
        except BaseException:
            connection.drop()
            raise
        return connection

    async def _publish(self, connection: Connection, batch: Sequence[Message]) -> Outcomes:
        begun = {message.id: self._begin(connection, message) for message in batch}
        unread = None
        if any(isinstance(one, str) for one in begun.values()):
            unread = await unread_by(connection)
        waiting = [one for one in begun.values() if isinstance(one, asyncio.Future)]
        if waiting:
            await asyncio.wait(waiting)
        return {name: outcome_of(one, unread) for name, one in begun.items()}

    def _begin(self, connection: Connection, message: Message) -> Begun:
        """Publish one message; what is wrong with it alone is its outcome."""
        try:
            if message.event is None:
                return Rejected("the message has no event that its topic could be made of")
            if self._edge is not None:
                return self._edge.say(connection, message.event, message.body)
            topic = self._template.fill(message.event)
            if not connection.fits(topic, message.body, _OVERHEAD_BYTES):
                return Rejected(f"larger than the {connection.most_bytes} bytes the broker takes")
            waiting = connection.publish(
                topic,
                message.body,
                qos=self._settings.qos,
                retain=self._settings.retain,
                properties=self._properties(message),
            )
        except (UnreachableError, RefusedByBrokerError) as error:
            return failure(error)
        except ValueError as error:
            return Rejected(str(error))
        return "QoS 0, read by the broker" if waiting is None else waiting

    def _properties(self, message: Message) -> PublishProperties | None:
        if self._settings.version != "5":
            return None
        user = {"message_id": message.id, "topic": message.topic}
        expiry = self._settings.message_expiry_seconds
        return publish_properties(message.content_type, user, expiry)


def _give(turn: "asyncio.Future[Connection]", come: Connection | BaseException) -> None:
    if turn.done():  # given up
        return
    if isinstance(come, Connection):
        turn.set_result(come)
    else:
        turn.set_exception(come)


@asynccontextmanager
async def connect(settings: Settings, surroundings: Surroundings) -> AsyncIterator[Mqtt]:
    """Give a broker that is connected to when it is needed, and left when the context ends."""
    guard = Guard(surroundings.allowed_networks)
    integration = Mqtt(settings, broker_of(settings, surroundings), guard)
    try:
        yield integration
    finally:
        await integration.close()


TYPE = IntegrationType(
    docs=__doc__,
    settings=Settings,
    limits=LIMITS,
    connect=connect,
    address=address,
    presets=PRESETS,
    verdicts=VERDICTS,
    # An end is a death to hosts, and nobody would hear their wish for a rebirth.
    rest_seconds=lambda settings: math.inf if settings.sparkplug or settings.will else 60.0,
)
