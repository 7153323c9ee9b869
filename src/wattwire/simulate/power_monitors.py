"""PowerMonitor 500s behind a Node-RED flow: JSON on Sparkplug topics, once per period and device.

spBv1.0/pm500/DDATA/edge-1/pm-0007  {"metrics": [{"name": "voltageAN", …}], "timestamp": …, …}
"""

import asyncio
import random
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from wattwire.simulate.clock import Clock
from wattwire.simulate.curves import Switchboard, electrical, switchboard
from wattwire.simulate.destination import Destination, Tally, keep_trying, run_all
from wattwire.sources._mqtt_client import Session, open_session

MONITORS_PER_EDGE: Final = 25
SEQ_RANGE: Final = 2**31  # the flow counts far beyond Sparkplug's 255
METRICS: Final = (
    ("voltageAN", "PM500/voltage/AN", "V"),
    ("voltageBN", "PM500/voltage/BN", "V"),
    ("voltageCN", "PM500/voltage/CN", "V"),
    ("currentA", "PM500/current/A", "A"),
    ("currentB", "PM500/current/B", "A"),
    ("currentC", "PM500/current/C", "A"),
    ("realPower", "PM500/power/real", "kW"),
    ("reactivePower", "PM500/power/reactive", "kVAR"),
    ("apparentPower", "PM500/power/apparent", "kVA"),
    ("powerFactor", "PM500/power/factor", ""),
    ("frequency", "PM500/frequency", "Hz"),
    ("realEnergy", "PM500/energy/real", "kWh"),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fleet of power monitors is to do."""

    count: int
    group: str = "pm500"
    days: float = 0.0  #: days before now to begin with
    speed: float = 1.0
    period_seconds: float = 1.0
    seed: int = 1
    mistakes: float = 0.0
    qos: int = 1
    until_stopped: bool = False  #: go on once the present is reached


@dataclass(slots=True)
class Monitor:
    """One power monitor: its asset's uuid, its topic, and how often it has spoken."""

    board: Switchboard
    topic: str
    seq: int = 0


def make_monitors(plan: Plan) -> list[Monitor]:
    """Return the power monitors of a fleet; the same seed gives the same ones."""
    monitors = []
    for number in range(plan.count):
        key = UUID(int=random.Random(f"{plan.seed}/pm/{number}").getrandbits(128), version=4)
        topic = f"spBv1.0/{plan.group}/DDATA/edge-{number // MONITORS_PER_EDGE + 1}/pm-{number:04}"
        monitors.append(Monitor(switchboard(str(key), plan.seed), topic))
    return monitors


def message_of(monitor: Monitor, moment: float) -> bytes:
    """Return what a monitor says at an instant (epoch seconds): 12 values in about 1 KB."""
    shown = electrical(monitor.board, moment)
    monitor.seq = (monitor.seq + 1) % SEQ_RANGE
    metrics = [
        {"name": name, "alias": alias, "value": shown[name], "properties": {"unit": unit}}
        for name, alias, unit in METRICS
    ]
    return msgspec.json.encode(
        {
            "metrics": metrics,
            "timestamp": int(moment * 1000),
            "seq": monitor.seq,
            "uuid": monitor.board.key,
        }
    )


async def run(destination: Destination, plan: Plan, tally: Tally, stop: asyncio.Event) -> None:
    """Run the fleet until the present is reached, or until stopped."""
    monitors = make_monitors(plan)
    clock = Clock(_now() - plan.days * 86_400, plan.speed)
    end = float("inf") if plan.until_stopped else _now()
    edges = [
        monitors[n : n + MONITORS_PER_EDGE] for n in range(0, len(monitors), MONITORS_PER_EDGE)
    ]
    sessions = [
        partial(
            _Edge(f"pm500-{plan.group}-{number}", edge, clock, plan, tally).run,
            destination,
            end,
            stop,
        )
        for number, edge in enumerate(edges, 1)
    ]
    await run_all([partial(keep_trying, session, tally, stop) for session in sessions])


def _now() -> float:
    return Clock(0.0, float("inf")).now()


class _Edge:
    """One Node-RED with its monitors: polls them, publishes, keeps its place when cut off."""

    def __init__(
        self, client_id: str, monitors: list[Monitor], clock: Clock, plan: Plan, tally: Tally
    ) -> None:
        self._client_id = client_id
        self._monitors = monitors
        self._clock = clock
        self._plan = plan
        self._tally = tally
        self._draw = random.Random(client_id)
        self._moment = clock.start

    async def run(self, destination: Destination, end: float, stop: asyncio.Event) -> bool:
        """Publish period by period; return True when the end is reached."""
        async with open_session(destination.peer(self._client_id)) as session:
            self._tally.connections += 1
            self._tally.connected += 1
            try:
                while self._moment <= end:
                    if not await self._clock.wait_until(self._moment, stop):
                        return True
                    await self._publish(session)
                    self._moment += self._plan.period_seconds
            finally:
                self._tally.connected -= 1
        return True

    async def _publish(self, session: Session) -> None:
        payloads = [(m.topic, message_of(m, self._moment)) for m in self._monitors]
        if self._draw.random() < self._plan.mistakes:
            topic, payload = self._draw.choice(payloads)
            payloads.append((topic, payload[:-7]))
            self._tally.mistakes += 1
        self._tally.sent += len(payloads)
        await asyncio.gather(
            *(session.publish(topic, payload, qos=self._plan.qos) for topic, payload in payloads)
        )
        self._tally.confirmed += len(payloads)
