"""A worker on a real database, receivers that do as they are told, and time that waits."""

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from wattwire.delivery.worker import DeliveryWorker
from wattwire.integrations.contract import (
    Delivered,
    IntegrationSettings,
    IntegrationType,
    Limits,
    Presets,
)
from wattwire.model import Event
from wattwire.pipeline.effects import event_ids
from wattwire.store import ledger
from wattwire.store.events import record_events

PATIENCE = 60.0


class ScriptedSettings(IntegrationSettings):
    """A receiver of the test, by its name."""

    type: Literal["scripted"] = "scripted"
    name: str


@dataclass
class Receiver:
    """A receiver in this process: `answer` says what it makes of a message."""

    answer: Callable = lambda message: Delivered("taken")
    batches: list = field(default_factory=list)
    taken: list = field(default_factory=list)
    tests: list = field(default_factory=list)
    opened: int = 0
    open: int = 0
    gate: asyncio.Event | None = None
    most: int = 0
    now: int = 0

    async def deliver(self, batch):
        self.batches.append([message.id for message in batch])
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if self.gate is not None:
                await self.gate.wait()
            else:
                await asyncio.sleep(0)
            outcomes = {}
            for message in batch:
                outcome = self.answer(message)
                if isinstance(outcome, Exception):
                    raise outcome
                if outcome is not None:
                    outcomes[message.id] = outcome
                if isinstance(outcome, Delivered):
                    self.taken.append(message.id)
            return outcomes
        finally:
            self.now -= 1

    async def test(self, probe):
        self.tests.append(probe)
        return self.answer(probe)


class Receivers(dict):
    """The receivers of one test; asking for one makes it."""

    def __missing__(self, name):
        self[name] = Receiver()
        return self[name]

    def kind(self, *, limits=None, schedule=(0.0, 5.0, 10.0), timeout=5.0, linger=0.0, **more):
        @asynccontextmanager
        async def connect(settings, surroundings):
            receiver = self[settings.name]
            receiver.opened += 1
            receiver.open += 1
            yield receiver
            receiver.open -= 1

        return IntegrationType(
            docs="# Scripted",
            settings=ScriptedSettings,
            limits=limits or Limits(max_messages=1, max_bytes=1_000_000),
            connect=connect,
            address=lambda settings: f"scripted:{settings.name}",
            presets=Presets(),
            schedule=lambda settings: schedule,
            timeout_seconds=lambda settings: timeout,
            linger_seconds=lambda settings: linger,
            **more,
        )


class FakeClock:
    """Time that passes only when the test says so."""

    def __init__(self):
        self.begun = datetime.now(UTC)
        self.passed = 0.0
        self._timers = []
        self._numbers = itertools.count()

    def now(self):
        return self.begun + timedelta(seconds=self.passed)

    def monotonic(self):
        return self.passed

    def call_later(self, seconds, call):
        timer = _Timer(call)
        heapq.heappush(self._timers, (self.passed + seconds, next(self._numbers), timer))
        return timer

    async def sleep(self, seconds):
        woken = asyncio.get_running_loop().create_future()
        self.call_later(seconds, lambda: woken.done() or woken.set_result(None))
        await woken

    async def advance(self, seconds, quiet):
        """Let time pass, timer by timer; after each, wait until nothing is under way."""
        end = self.passed + seconds
        await quiet()
        while self._timers and self._timers[0][0] <= end:
            at, _, timer = heapq.heappop(self._timers)
            if timer.call is not None:
                self.passed = max(self.passed, at)
                timer.call()
                await quiet()
        self.passed = end


class _Timer:
    def __init__(self, call):
        self.call = call

    def cancel(self):
        self.call = None


class LocalLeases:
    """Leases that are always granted, kept as rows so that the fence can be tested."""

    def __init__(self, pool, owner="me"):
        self.pool = pool
        self.owner = owner
        self.mine = {}

    async def join(self, company):
        """Nobody shares with us."""
        return 1

    async def release(self, names):
        """Nobody asks for them."""

    async def acquire(self, names, most=None):
        rows = await self.pool.fetch(
            "INSERT INTO lease (name, owner, expires_at)"
            " SELECT n, $2, now() + interval '1 hour' FROM unnest($1::text[]) AS n"
            " ON CONFLICT (name) DO UPDATE SET owner = $2,"
            " epoch = lease.epoch + CASE WHEN lease.owner = $2 THEN 0 ELSE 1 END"
            " WHERE lease.owner = $2 OR lease.expires_at < now()"
            " RETURNING name, epoch",
            list(names),
            self.owner,
        )
        self.mine |= {row["name"]: row["epoch"] for row in rows}
        return {row["name"] for row in rows}

    def held(self, name):
        return self.mine.get(name)

    async def lose(self, name):
        """Another process took the lease; this one has not heard of it yet."""
        await self.pool.execute(
            "UPDATE lease SET owner = 'other', epoch = epoch + 1 WHERE name = $1", name
        )


class PlainSealer:
    """Seals nothing: secrets of a test are no secrets."""

    def seal(self, plain):
        return plain

    def open(self, sealed):
        return sealed


@dataclass
class Story:
    """What a test of the engine needs, in words."""

    pool: object
    organization: UUID
    receivers: Receivers
    clock: FakeClock
    emitted: list = field(default_factory=list)
    worker: DeliveryWorker | None = None

    async def integrate(self, name="one", *, settings=None, **columns):
        """Configure an integration; return its id."""
        values = {
            "organization_id": self.organization,
            "type": "scripted",
            "name": name,
            "topics": ["device.telemetry"],
            "settings": {"name": name} if settings is None else settings,
            **columns,
        }
        names = ", ".join(values)
        places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
        return await self.pool.fetchval(
            f"INSERT INTO integration ({names}) VALUES ({places}) RETURNING id", *values.values()
        )

    def events(self, count, **changes):
        facts = {"topic": "device.telemetry", "device_key": "meter-1", **changes}
        return [
            Event(
                id=event_id,
                organization_id=self.organization,
                time=datetime.now(UTC),
                data={"values": {"n": n}},
                **facts,
            )
            for n, event_id in enumerate(event_ids(count))
        ]

    async def cause(self, count, *integrations, wake=True, **changes):
        """Make events that these integrations asked for; return their ids."""
        events = self.events(count, **changes)
        matches = [(n, i) for n in range(count) for i in integrations]
        async with self.pool.acquire() as connection, connection.transaction():
            await record_events(connection, events, matches)
        if wake and self.worker is not None:
            self.worker.wake(integrations)
        return [event.id for event in events]

    async def counters(self, integration):
        found = await ledger.counters(self.pool, integration)
        assert found.closes, found
        return found

    async def state(self, integration):
        return await self.pool.fetchrow(
            "SELECT * FROM integration_state WHERE integration_id = $1", integration
        )

    async def attempts(self, integration):
        return await self.pool.fetch(
            "SELECT * FROM attempt WHERE integration_id = $1 ORDER BY id", integration
        )

    async def letters(self, integration):
        return await self.pool.fetch(
            "SELECT * FROM dead_letter WHERE integration_id = $1 ORDER BY id", integration
        )

    async def emit(self, connection, event):
        await record_events(connection, [event], [])
        self.emitted.append(event)

    @asynccontextmanager
    async def working(self, **options):
        """Run a worker for as long as the context lasts."""
        kinds = options.pop("types", None) or {"scripted": self.receivers.kind()}
        leases = options.pop("leases", None) or LocalLeases(self.pool)
        options.setdefault("clock", self.clock)
        options.setdefault("luck", lambda: 0.5)
        options.setdefault("poll_seconds", 20.0)  # of simulated time
        options.setdefault("lease_seconds", 60.0)
        worker = DeliveryWorker(self.pool, leases, PlainSealer(), kinds, emit=self.emit, **options)
        self.worker = worker
        run = asyncio.create_task(worker.run())
        try:
            await self.until(lambda: run.done() or worker.ready)
            yield worker
        finally:
            if not run.done():
                await worker.stop(1.0)
            with contextlib.suppress(asyncio.CancelledError):
                await run
            self.worker = None

    async def quiet(self):
        """Wait until nothing is fetched, sent or written: what is left waits for the clock."""
        async with asyncio.timeout(PATIENCE):
            calm = 0
            while calm < 5:
                await asyncio.sleep(0.001 if self.worker.busy else 0)
                calm = 0 if self.worker.busy else calm + 1

    async def pass_time(self, seconds):
        await self.clock.advance(seconds, self.quiet)

    async def until(self, condition):
        """Wait in real time until an (async) condition holds."""
        async with asyncio.timeout(PATIENCE):
            while not (
                await condition() if asyncio.iscoroutinefunction(condition) else condition()
            ):
                await asyncio.sleep(0.005)
