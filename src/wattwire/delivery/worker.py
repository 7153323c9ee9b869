"""Delivers, for as many integrations as this process owns."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Protocol
from uuid import UUID

import structlog

from wattwire.delivery.beginnings import standing_of, state_at_start, state_without_plan
from wattwire.delivery.breaker import Rule
from wattwire.delivery.clock import Clock, SystemClock
from wattwire.delivery.engine import Settled
from wattwire.delivery.fetcher import Fetcher
from wattwire.delivery.lane import Lane
from wattwire.delivery.lookout import Lookout
from wattwire.delivery.plan import Plan, plan_of
from wattwire.delivery.settler import Emit, Settler
from wattwire.endings import end
from wattwire.integrations.contract import ConfigurationError, IntegrationType, Surroundings
from wattwire.store import deliveries
from wattwire.store.deliveries import LaneRow, Settlement, StateChange
from wattwire.store.sealing import Sealer

#: How often free leases are asked for, so that what another process left is taken over in time.
LEASE_SECONDS: Final = 2.0
#: How often one that hands integrations over looks whether their calls have ended.
HANDOVER_SECONDS: Final = 0.2
#: What workers that share integrations call themselves.
COMPANY: Final = "delivery-worker"
#: How often the queues are looked at for rows of which nobody told.
POLL_SECONDS: Final = 0.5

log = structlog.get_logger()


class Leases(Protocol):
    """Who owns what, agreed between processes."""

    async def acquire(self, names: Sequence[str], most: int | None = None) -> set[str]:
        """Take what is free of these names, at most so many; return those that are ours now."""

    async def release(self, names: Iterable[str]) -> None:
        """Let others have these leases at once."""

    async def join(self, company: str) -> int:
        """Be one of those who share some work; return how many they are, us included."""

    def held(self, name: str) -> int | None:
        """Return the epoch of a lease that this process holds, else None."""


def lease_name(integration_id: int) -> str:
    """Return the name under which an integration is owned."""
    return f"delivery-{integration_id}"


class DeliveryWorker:
    """Owns integrations by lease and serves each by a lane of its own.

    `emit` writes an event with its deliveries in the transaction of the connection it is given.
    `run()` has to run for as long as messages are to be delivered; it raises when a part of the
    engine dies. Everything else returns at once.
    """

    def __init__(
        self,
        pool: Any,
        leases: Leases,
        sealer: Sealer,
        types: Mapping[str, IntegrationType[Any]],
        *,
        emit: Emit,
        clock: Clock | None = None,
        surroundings: Surroundings | None = None,
        rule: Rule | None = None,
        luck: Callable[[], float] = random.random,
        poll_seconds: float = POLL_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.clock = clock or SystemClock()
        self.rule = rule or Rule()
        self.random = luck
        self.surroundings = surroundings or Surroundings()
        self.stopping = False
        self.ready = False  #: whether what there is to own has been looked at
        self.lanes: dict[int, Lane] = {}
        self._rows: dict[int, LaneRow] = {}
        self._pool = pool
        self._leases = leases
        self._lease_seconds = lease_seconds
        self._sealer = sealer
        self._types = types
        self._fetcher = Fetcher(pool, self.clock)
        self._settler = Settler(pool, emit, self._describe)
        self._lookout = Lookout(pool, self.clock, self.lanes, poll_seconds)
        self._work: set[asyncio.Task[None]] = set()
        self._parts: list[asyncio.Task[None]] = []
        self._changed: set[int] = set()
        self._everything_changed = True
        self._counted: Counter[str] = Counter()
        self._look = asyncio.Event()
        self._refreshing = False

    # --- what lanes need (engine.Engine) ---

    def ask(self, lane: Lane) -> None:
        """Fetch rows for a lane soon."""
        self._fetcher.ask(lane)

    def put(self, settlement: Settlement, settled: Settled) -> None:
        """Write what happened soon."""
        self._counted.update(
            attempts=len(settlement.attempts),
            delivered=len(settlement.delivered),
            dead=len(settlement.dead),
        )
        self._settler.put(settlement, settled)

    def owns(self, lane: Lane) -> bool:
        """Return whether a lane's lease is still ours, at this instant."""
        return self._leases.held(lane.lease) == lane.epoch

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the background; what dies there is told in the log."""
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("delivery.task_died", error=repr(error), exc_info=error)

    # --- what others tell the worker ---

    def wake(self, integration_ids: Iterable[int]) -> None:
        """Hear that messages wait for these integrations; those of others are left to them."""
        for integration_id in integration_ids:
            lane = self.lanes.get(integration_id)
            if lane is not None:
                lane.wake()

    def configuration_changed(self, integration_id: int | None) -> None:
        """Hear that an integration was made, changed or deleted; None: any may have been."""
        if integration_id is None:
            self._everything_changed = True
        else:
            self._changed.add(integration_id)
        self._look.set()

    def lease_lost(self, name: str) -> None:
        """Hear that a lease is gone. It would be noticed anyway, a little later."""
        for lane in [lane for lane in self.lanes.values() if lane.lease == name]:
            self._let_go(lane)

    @property
    def busy(self) -> bool:
        """Return whether anything is being fetched, sent or written."""
        parts = (self._fetcher.busy, self._settler.busy, self._lookout.busy, self._refreshing)
        lanes = any(lane.busy for lane in self.lanes.values())
        return lanes or any(parts) or bool(self._work) or self._look.is_set()

    def figures(self) -> dict[str, float]:
        """Return what this process did, and does, by the names of the metrics."""
        lanes = self.lanes.values()
        return {
            "wattwire_delivery_integrations": len(lanes),
            "wattwire_delivery_integrations_in_error": sum(lane.troubled for lane in lanes),
            "wattwire_delivery_calls": sum(lane.calls for lane in lanes),
            "wattwire_delivery_attempts_total": self._counted["attempts"],
            "wattwire_delivery_delivered_total": self._counted["delivered"],
            "wattwire_delivery_dead_total": self._counted["dead"],
        }

    # --- life ---

    async def run(self) -> None:
        """Deliver until `stop()` or cancelled. Raises when a part of the engine dies.

        It may be run again after that: lanes begin anew with what the database says.
        """
        for lane in list(self.lanes.values()):
            self._let_go(lane)
        parts = (self._fetcher.run, self._settler.run, self._tend, self._lookout.run)
        async with asyncio.TaskGroup() as group:
            self._parts = [group.create_task(part()) for part in parts]

    async def stop(self, drain_seconds: float = 10.0) -> None:
        """Start nothing more, wait for what is under way, then end `run()`.

        What has not been answered in time is sent again by whoever is next, with the same ids.
        """
        self.stopping = True
        try:
            async with asyncio.timeout(drain_seconds):
                while self._is_draining:  # noqa: ASYNC110 - near enough when stopping
                    await asyncio.sleep(0.01)
        except TimeoutError:
            log.warning("delivery.drain_given_up", seconds=drain_seconds)
        for lane in list(self.lanes.values()):
            self._let_go(lane)
        await self._end([*self._work])
        await self._end(self._parts)

    @property
    def _is_draining(self) -> bool:
        return self._settler.busy or any(lane.calls for lane in self.lanes.values())

    async def _end(self, tasks: Sequence["asyncio.Task[None]"]) -> None:
        closing = [task for task in tasks if not task.done()]
        if closing:
            _, slow = await asyncio.wait(closing, timeout=0 if tasks is self._parts else 1)
            await end(*slow)

    # --- lanes ---

    async def _tend(self) -> None:
        """Take what is free, follow the configuration, let go of what was lost."""
        while True:
            self._refreshing = True
            changed, self._changed = self._changed, set()
            everything, self._everything_changed = self._everything_changed, False
            try:
                await self._refresh(changed, everything=everything)
                self.ready = True
            except deliveries.TROUBLE as error:
                log.warning("delivery.lanes_not_read", error=str(error) or type(error).__name__)
                self._changed |= changed
                self._everything_changed |= everything
            finally:
                self._refreshing = False
            retiring = any(lane.retired for lane in self.lanes.values())
            seconds = HANDOVER_SECONDS if retiring else self._lease_seconds
            timer = self.clock.call_later(seconds, self._look.set)
            await self._look.wait()
            self._look.clear()
            timer.cancel()

    async def _refresh(self, changed: set[int], *, everything: bool) -> None:
        ids = set(await deliveries.list_lane_ids(self._pool))
        for lane in list(self.lanes.values()):
            if lane.id not in ids or not self.owns(lane):
                self._let_go(lane)
        await self._hand_over()
        share = -(-len(ids) // await self._leases.join(COMPANY))
        self._retire(len(self.lanes) - share)
        known = self.lanes.keys() if everything else self.lanes.keys() & changed
        wanted = known | await self._take_over(ids - self.lanes.keys(), share - len(self.lanes))
        if wanted:
            for row in await deliveries.list_lanes(self._pool, sorted(wanted)):
                self._follow(row)

    def _retire(self, surplus: int) -> None:
        """Start nothing more for what is above our share: idle integrations first."""
        lanes = sorted(self.lanes.values(), key=lambda lane: (not lane.retired, lane.calls))
        for lane in lanes[: max(surplus, 0)]:
            lane.retired = True

    async def _hand_over(self) -> None:
        """Let others have the retired integrations whose calls have ended and are written down."""
        done = [lane for lane in self.lanes.values() if lane.retired and not lane.busy]
        for lane in done:
            self._let_go(lane)
        if done:
            log.info("delivery.integrations_handed_over", count=len(done))
            await self._leases.release([lane.lease for lane in done])

    async def _take_over(self, free: set[int], most: int) -> set[int]:
        names = {lease_name(integration_id): integration_id for integration_id in sorted(free)}
        if most <= 0 or not names or self.stopping:
            return set()
        held = await self._leases.acquire(list(names), most)
        return {names[name] for name in held}

    def _follow(self, row: LaneRow) -> None:
        """Serve an integration as its row says, from now on."""
        lane = self.lanes.get(row.id) or self._new_lane(row.id)
        if lane is None:
            return
        before = self._rows.get(row.id)
        self._rows[row.id] = row
        lane.max_age = timedelta(seconds=row.max_age_seconds)
        edited = before is None or _configuration(before) != _configuration(row)
        if edited or lane.troubled:
            fine = before is not None and not lane.troubled
            standing = standing_of(row, self.clock.now(), edited=before is not None and edited)
            lane.adopt(self._plan(lane, row), lane.standing if fine else standing)

    def _new_lane(self, integration_id: int) -> Lane | None:
        name = lease_name(integration_id)
        epoch = self._leases.held(name)
        if epoch is None:
            return None
        lane = self.lanes[integration_id] = Lane(integration_id, name, epoch, self)
        return lane

    def _plan(self, lane: Lane, row: LaneRow) -> Plan | None:
        if not row.enabled:
            return None
        try:
            plan = plan_of(row, self._types, self._sealer)
        except ConfigurationError as error:
            log.warning("delivery.integration_unusable", integration=row.id, reason=str(error))
            self._change(lane, state_without_plan(row, str(error)))
            return None
        self._change(lane, state_at_start(row))
        return plan

    def _change(self, lane: Lane, state: StateChange | None) -> None:
        if state is not None:
            now = self.clock.now()
            self.put(Settlement(lane.id, lane.lease, lane.epoch, now, state=state), lambda: None)

    def _let_go(self, lane: Lane) -> None:
        lane.close()
        self.lanes.pop(lane.id, None)
        self._rows.pop(lane.id, None)

    def _describe(self, integration_id: int) -> tuple[UUID, dict[str, Any]] | None:
        row = self._rows.get(integration_id)
        if row is None:
            return None
        facts = {"integration_id": row.id, "name": row.name, "type": row.type}
        return row.organization_id, facts


def _configuration(row: LaneRow) -> tuple[object, ...]:
    """Return what people decide about an integration.

    Not its sealed secrets: a new one comes with a new time, and sealing them again is no decision.
    """
    return (row.updated_at, row.enabled, row.settings)
