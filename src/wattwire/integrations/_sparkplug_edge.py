"""A Sparkplug edge node on its connection: births at its beginning and on command, a death."""

import asyncio
import time
from typing import Final

import structlog

from wattwire.brokers import Will
from wattwire.integrations._mqtt_client import Connection
from wattwire.integrations._mqtt_settings import Sparkplug
from wattwire.integrations._sparkplug_session import EdgeNode, Sent, asks_rebirth, first_bd_seq
from wattwire.integrations._topics import TopicTemplate
from wattwire.integrations.contract import UnreachableError
from wattwire.model import Event, to_micros

#: Births follow one another no faster, however often somebody asks.
REBIRTH_SECONDS: Final = 1.0
GOODBYE_SECONDS: Final = 2.0
#: The topic of events that tell of a device's coming and going.
STATUS: Final = "device.status"
_DEVICE: Final = TopicTemplate.parse("{device_key}")

log = structlog.get_logger()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _kind_of(topic: str) -> str:
    return topic.split("/")[2]


class Edge:
    """One edge node, over as many connections as it takes."""

    def __init__(self, settings: Sparkplug) -> None:
        self._node = EdgeNode(
            settings.group,
            settings.edge_node,
            first_bd_seq(time.time()),
            settings.historical_after_seconds * 1000,
            typed_data=settings.typed_data,
        )
        self._connection: Connection | None = None
        self._born_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def command_topic(self) -> str:
        """Where commands to this node arrive."""
        return self._node.command_topic

    def will(self) -> Will:
        """Begin a session: return the will of its connection."""
        return Will(*self._node.begin(_now_ms()), qos=1)

    async def begin(self, connection: Connection) -> None:
        """Hear commands, then be born."""
        await connection.subscribe(self._node.command_topic)
        self._connection = connection
        self._bear()

    def hear(self, payload: bytes) -> None:
        """Take a command: a rebirth is the only one."""
        if self._timer is None and asks_rebirth(payload):
            loop = asyncio.get_running_loop()
            wait = self._born_at + REBIRTH_SECONDS - loop.time()
            self._timer = loop.call_later(max(wait, 0.0), self._bear)

    def _bear(self) -> None:
        self._cancel_timer()
        connection = self._connection
        if connection is None or not connection.alive:
            return
        self._born_at = asyncio.get_running_loop().time()
        births = self._node.births(_now_ms())
        for topic, payload in births:
            connection.publish(topic, payload, qos=0)
        log.info("integrations.edge_node_born", edge_node=self._node.name, births=len(births))

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def say(self, connection: Connection, event: Event, body: bytes) -> str:
        """Send what a message says, data or a device's coming or going; return the receipt.

        Raises ValueError for a message that has no place in an edge node.
        """
        device = _DEVICE.fill(event)
        if event.topic == STATUS:
            sent = self._status(device, event)
        else:
            sent = self._node.data(device, body, _now_ms())
        for topic, payload in sent:
            connection.publish(topic, payload, qos=0)
        return f"{_kind_of(sent[-1][0])}, seq {self._node.seq}" if sent else "nothing to say"

    def _status(self, device: str, event: Event) -> list[Sent]:
        """Return a device's death or its birth: what it means that it comes or goes."""
        if event.data.get("status") == "online":
            return self._node.found(device, _now_ms())
        return self._node.lost(device, to_micros(event.time) // 1000, _now_ms())

    async def end(self, connection: Connection) -> None:
        """Die before the goodbye: the broker publishes no will then."""
        self._cancel_timer()
        self._connection = None
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                died = connection.publish(*self._node.death(_now_ms()), qos=1)
                if died is not None:
                    await died
        except (TimeoutError, UnreachableError) as error:
            log.warning(
                "integrations.death_unconfirmed", edge_node=self._node.name, error=str(error)
            )
