"""Sparkplug B edge nodes: they are born, report what changes, answer rebirth requests, and die.

Some deaths are by will: the node drops its connection without a word and comes back with the next
bdSeq, as after a power cut.
"""

import asyncio
import random
from dataclasses import dataclass
from functools import partial
from typing import Final

from wattwire.brokers import Will
from wattwire.simulate.clock import Clock
from wattwire.simulate.destination import Destination, Tally, keep_trying, run_all
from wattwire.simulate.edge_node import EdgeNode, Sent, asks_rebirth, make_nodes
from wattwire.sources._mqtt_client import Session, open_session
from wattwire.sources.contract import ConnectionLostError

MEAN_LIFE_PERIODS: Final = 2000  #: after so many periods on average, a node's power fails


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fleet of edge nodes is to do."""

    count: int
    group: str = "plant"
    devices: int = 2  #: of each edge node
    days: float = 0.0  #: days before now to begin with
    speed: float = 1.0
    period_seconds: float = 1.0
    seed: int = 1
    mistakes: float = 0.0
    until_stopped: bool = False


async def run(destination: Destination, plan: Plan, tally: Tally, stop: asyncio.Event) -> None:
    """Run the fleet until the present is reached, or until stopped."""
    present = Clock(0.0, float("inf")).now()
    clock = Clock(present - plan.days * 86_400, plan.speed)
    end = float("inf") if plan.until_stopped else present

    nodes = make_nodes(plan.count, plan.devices, plan.group, plan.seed)
    lives = [_Life(node, clock, plan, tally) for node in nodes]
    sessions = [partial(life.run, destination, end, stop) for life in lives]
    await run_all([partial(keep_trying, session, tally, stop) for session in sessions])


class _Life:
    """One edge node's sessions, one after the other."""

    def __init__(self, node: EdgeNode, clock: Clock, plan: Plan, tally: Tally) -> None:
        self._node = node
        self._clock = clock
        self._plan = plan
        self._tally = tally
        self._draw = random.Random(f"{plan.seed}/{node.name}")
        self._moment = clock.start

    async def run(self, destination: Destination, end: float, stop: asyncio.Event) -> bool:
        """Live one session; return True when the end is reached, False after a power cut."""
        will = Will(*self._node.will(self._now_ms()), qos=1)
        client_id = f"sparkplug-{self._node.group}-{self._node.name}"
        async with open_session(destination.peer(client_id, will)) as session:
            self._tally.connections += 1
            self._tally.connected += 1
            try:
                return await self._live(session, end, stop)
            finally:
                self._tally.connected -= 1

    def _now_ms(self) -> int:
        return int(self._moment * 1000)

    async def _live(self, session: Session, end: float, stop: asyncio.Event) -> bool:
        await session.subscribe([self._node.command_topic], 1)
        asked = asyncio.Event()
        listening = asyncio.create_task(_listen(session, asked))
        try:
            await self._bear(session)
            while self._moment <= end and await self._clock.wait_until(self._moment, stop):
                if asked.is_set():
                    asked.clear()
                    await self._bear(session)
                await self._send(session, self._report())
                self._moment += self._plan.period_seconds
                if self._power_fails():
                    session.drop()
                    return False
            await self._send(session, [self._node.death(self._now_ms())])
            return True
        finally:
            listening.cancel()

    async def _bear(self, session: Session) -> None:
        await self._send(session, self._node.births(self._now_ms()))
        self._tally.births += 1

    def _report(self) -> list[Sent]:
        sent = self._node.data(self._now_ms())
        if sent and self._draw.random() < self._plan.mistakes:
            self._tally.mistakes += 1
            topic, payload = sent[0]
            sent.append((topic, payload[: len(payload) // 2]))
        return sent

    def _power_fails(self) -> bool:
        return self._draw.random() < 1 / MEAN_LIFE_PERIODS

    async def _send(self, session: Session, messages: list[Sent]) -> None:
        """Publish at QoS 0, as the specification has it; nobody confirms."""
        for topic, payload in messages:
            await session.publish(topic, payload)
            self._tally.sent += 1


async def _listen(session: Session, asked: asyncio.Event) -> None:
    """Wait for rebirth requests until the session ends; the one who sends notices the end, too."""
    try:
        while True:
            messages = await session.receive()
            session.acknowledge(messages)
            if any(asks_rebirth(message.payload) for message in messages):
                asked.set()
    except ConnectionLostError:
        return
