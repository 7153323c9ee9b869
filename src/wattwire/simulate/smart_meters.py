"""Smart meters: one message per meter and local day, over MQTT 3.1.1 at QoS 2.

A meter is not online all day. Some time after midnight it calls, hands over the days that have
become complete, waits for the confirmation of each, and hangs up. Now and then it sends a day
again. What was not confirmed it sends again at the next call.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from wattwire.formats.days import day_start
from wattwire.formats.smart_meter import encode
from wattwire.simulate.clock import Clock
from wattwire.simulate.curves import Household, day_readings, household
from wattwire.simulate.destination import Destination, Tally, keep_trying, run_all
from wattwire.sources._mqtt_client import Session, open_session

ONE_DAY: Final = timedelta(days=1)
RESEND_SHARE: Final = 0.03
IN_FLIGHT: Final = 10
DAYS_AT_ONCE: Final = 31
CALLS_AT_ONCE: Final = 200
FREQUENCIES: Final = (15, 15, 15, 30, 60)
CALL_WITHIN_SECONDS: Final = 6 * 3600.0  #: after midnight, meters call at different times


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fleet of meters is to do."""

    count: int
    topic: str
    days: int = 30  #: days before today to begin with
    speed: float = 86_400.0  #: simulated seconds per second
    seed: int = 1
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    mistakes: float = 0.0  #: share of messages that a wrong one goes before
    qos: int = 2
    until_stopped: bool = False  #: go on after the days before today, one message a day
    call_within_seconds: float = CALL_WITHIN_SECONDS
    calls_at_once: int = CALLS_AT_ONCE


@dataclass(slots=True)
class Meter:
    """One meter and the messages that wait in it."""

    home: Household
    minutes: int
    delay: float  #: seconds after midnight at which it calls
    draw: random.Random
    waiting: deque[bytes] = field(default_factory=deque)


def make_meters(plan: Plan) -> list[Meter]:
    """Return the meters of a fleet; the same seed gives the same meters with the same days."""
    meters = []
    for number in range(plan.count):
        draw = random.Random(f"{plan.seed}/meter/{number}")
        key = str(UUID(int=draw.getrandbits(128), version=4))
        share = (number + draw.random()) / plan.count
        delay = share * plan.call_within_seconds
        meters.append(Meter(household(key, plan.seed), draw.choice(FREQUENCIES), delay, draw))
    return meters


def messages_of(meter: Meter, day: date, plan: Plan) -> list[tuple[str, bytes]]:
    """Return what a meter sends for a day: ("day", "resent" or "mistake", payload)."""
    payload = _day_message(meter, day, plan.zone)
    messages = [("day", payload)]
    if meter.draw.random() < plan.mistakes:
        messages.insert(0, ("mistake", _spoilt(payload, meter.draw)))
    if meter.draw.random() < RESEND_SHARE:
        messages.append(("resent", _day_message(meter, day - ONE_DAY, plan.zone)))
    return messages


def _day_message(meter: Meter, day: date, zone: ZoneInfo) -> bytes:
    readings = day_readings(meter.home, day, meter.minutes, zone)
    return encode(meter.home.key, day, meter.minutes, readings)


def _spoilt(payload: bytes, draw: random.Random) -> bytes:
    """Return the message with one mistake that must not be taken."""
    message: dict[str, Any] = msgspec.json.decode(payload)
    rows: list[dict[str, Any]] = message["electricReadings"]
    mistakes: Sequence[Callable[[], object]] = (
        rows.pop,
        rows.reverse,
        lambda: rows.append(rows[-1]),
        lambda: rows[0].update(consumptionKwh=-0.1),
        lambda: rows[1].update(timestampUtcEpochSecs=rows[1]["timestampUtcEpochSecs"] + 1),
        lambda: message.update(dataFrequencyMins=20),
        lambda: message.update(date="yesterday"),
        lambda: message.update(firmware="1.0"),
        lambda: message.pop("deviceId"),
    )
    if draw.random() < 1 / (len(mistakes) + 1):
        return payload[: len(payload) // 2]
    draw.choice(mistakes)()
    return msgspec.json.encode(message)


async def run(destination: Destination, plan: Plan, tally: Tally, stop: asyncio.Event) -> None:
    """Run the fleet until its days are sent, or until stopped."""
    fleet = _Fleet(destination, plan, tally, stop)
    await run_all([partial(fleet.live, meter) for meter in make_meters(plan)])


class _Fleet:
    """What the meters of a run share."""

    def __init__(
        self, destination: Destination, plan: Plan, tally: Tally, stop: asyncio.Event
    ) -> None:
        self._destination = destination
        self._plan = plan
        self._tally = tally
        self._stop = stop
        self._today = datetime.now(UTC).astimezone(plan.zone).date()
        self._first = self._today - plan.days * ONE_DAY
        self._clock = Clock(day_start(self._first, plan.zone), plan.speed)
        self._calls = asyncio.Semaphore(plan.calls_at_once)

    async def live(self, meter: Meter) -> None:
        """Live a meter's days."""
        day = self._first
        while not self._stop.is_set() and self._wanted(day):
            if not await self._clock.wait_until(self._due(meter, day), self._stop):
                return
            day = self._collect(meter, day)
            await keep_trying(partial(self._call, meter), self._tally, self._stop)

    def _wanted(self, day: date) -> bool:
        return self._plan.until_stopped or day < self._today

    def _due(self, meter: Meter, day: date) -> float:
        """Return when a meter sends a day. A fleet that ends does not wait for this afternoon."""
        due = day_start(day + ONE_DAY, self._plan.zone) + meter.delay
        latest = day_start(self._today, self._plan.zone)
        return due if self._plan.until_stopped else min(due, latest)

    def _collect(self, meter: Meter, day: date) -> date:
        """Put what is due by now, up to a bound, into the meter's memory; return the next day."""
        now = self._clock.now()
        for _ in range(DAYS_AT_ONCE):
            for kind, payload in messages_of(meter, day, self._plan):
                meter.waiting.append(payload)
                self._tally.mistakes += kind == "mistake"
                self._tally.resent += kind == "resent"
            day += ONE_DAY
            if self._due(meter, day) > now or not self._wanted(day):
                break
        return day

    async def _call(self, meter: Meter) -> bool:
        """Connect, hand over what waits, hang up. What was confirmed is forgotten at once."""
        tally, peer = self._tally, self._destination.peer(f"meter-{meter.home.key}")
        async with self._calls, open_session(peer) as session:
            tally.connections += 1
            tally.connected += 1
            try:
                while meter.waiting:
                    await self._hand_over(meter, session)
            finally:
                tally.connected -= 1
        return True

    async def _hand_over(self, meter: Meter, session: Session) -> None:
        topic, qos = self._plan.topic, self._plan.qos
        some = list(meter.waiting)[:IN_FLIGHT]
        self._tally.sent += len(some)
        await asyncio.gather(*(session.publish(topic, payload, qos=qos) for payload in some))
        self._tally.confirmed += len(some)
        for _ in some:
            meter.waiting.popleft()
