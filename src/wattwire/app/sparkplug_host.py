"""The hub as Sparkplug host application at its own door: its STATE, and what time leads to."""

import asyncio
import time
from typing import Any, Final
from uuid import UUID

from wattwire.formats.sparkplug_state import state_payload
from wattwire.formats.sparkplug_topics import state_topic
from wattwire.intake.intake import Intake
from wattwire.mqtt.door import Door
from wattwire.sources.routing import TopicDecoder
from wattwire.store import doors

HOST_ID: Final = "wattwire"
TICK_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 5.0


class SparkplugHostFace:
    """Publishes STATE for every organization with edge nodes; asks for rebirths that are due."""

    def __init__(self, door: Door, pool: Any, decoder: TopicDecoder, intake: Intake) -> None:
        self._door = door
        self._pool = pool
        self._decoder = decoder
        self._intake = intake
        self._told: set[UUID] = set()
        self._started_at_ms = time.time_ns() // 1_000_000

    async def run(self) -> None:
        """Tick until cancelled."""
        looked = -LOOK_SECONDS
        while True:
            if time.monotonic() - looked >= LOOK_SECONDS:
                looked = time.monotonic()
                await self._announce()
            self._tick(time.time_ns() // 1000)
            await asyncio.sleep(TICK_SECONDS)

    async def _announce(self) -> None:
        for organization_id in await doors.list_sparkplug_organizations(self._pool):
            if organization_id not in self._told:
                self._told.add(organization_id)
                self._say(organization_id, online=True)

    def _say(self, organization_id: UUID, *, online: bool) -> None:
        now_ms = self._started_at_ms if online else time.time_ns() // 1_000_000
        payload = state_payload(online=online, timestamp=now_ms)
        self._door.publish(organization_id, state_topic(HOST_ID), payload, 1, retain=True)

    def _tick(self, now: int) -> None:
        for publisher, decoded in self._decoder.due(now):
            self._intake.submit(publisher.organization_id, decoded, now, lambda _: None)

    async def leave(self) -> None:
        """Tell edge nodes that the host application goes."""
        for organization_id in self._told:
            self._say(organization_id, online=False)
        await asyncio.sleep(0)
