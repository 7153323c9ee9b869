"""The pipeline and the rollups in one process: each partition stored by the owner of its lease."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

import structlog

from wattwire.app.roles import Stage
from wattwire.app.rollup_events import RollupEvents
from wattwire.app.upkeep import upkeep_for_ever
from wattwire.app.wakes import Wakes
from wattwire.endings import end
from wattwire.intake.log import partitions_in
from wattwire.pipeline.effects import Effects, Interests
from wattwire.pipeline.partition import Partition, Stored
from wattwire.rollups.recompute import Patience
from wattwire.rollups.worker import RollupWorker

ROLLUPS_LEASE: Final = "rollups"
UPKEEP_LEASE: Final = "upkeep"
LOOK_SECONDS: Final = 1.0

log = structlog.get_logger()


async def start(stage: Stage) -> None:
    """Put the pipeline on the stage."""
    kit = stage.kit
    interests = Interests()
    wakes = Wakes(kit.nats)
    told = RollupEvents(interests, wakes)
    rollups = RollupWorker(
        kit.pool,
        patience=Patience(
            timedelta(seconds=kit.settings.quiet_seconds),
            timedelta(seconds=kit.settings.quiet_limit_seconds),
        ),
        holds=lambda: kit.leases.held(ROLLUPS_LEASE) is not None,
        on_changed=told.record,
        repeating=told.repeating,
        after_commit=told.committed,
    )
    stage.keep("wakes", wakes.run)
    stage.keep("rollups", rollups.run)
    stage.keep("rollups_lease", lambda: _want(stage, (ROLLUPS_LEASE, UPKEEP_LEASE)))
    stage.keep(
        "upkeep",
        lambda: upkeep_for_ever(
            kit.pool, kit.settings, lambda: kit.leases.held(UPKEEP_LEASE) is not None
        ),
    )
    owned = OwnedPartitions(stage, interests, wakes, rollups)
    kit.watch.subscribe(owned.forget)
    stage.keep("partitions", owned.run)
    stage.count(owned.figures)
    stage.count(lambda: _rollup_figures(rollups))


def _rollup_figures(rollups: RollupWorker) -> dict[str, float]:
    return {
        "wattwire_rollups_buckets_settled_total": rollups.settled,
        "wattwire_rollups_buckets_changed_total": rollups.changed,
    }


async def _want(stage: Stage, names: Iterable[str]) -> None:
    while True:
        await stage.kit.leases.acquire(list(names))
        await asyncio.sleep(LOOK_SECONDS)


class OwnedPartitions:
    """Runs the partitions whose lease this process holds."""

    def __init__(
        self, stage: Stage, interests: Interests, wakes: Wakes, rollups: RollupWorker
    ) -> None:
        self._stage = stage
        self._interests = interests
        self._wakes = wakes
        self._rollups = rollups
        self._running: dict[int, tuple[Partition, asyncio.Task[None]]] = {}

    def forget(self, table: str, key: str) -> None:
        """Follow a configuration change."""
        del key
        if table in {"*", "device", "stream", "organization"}:
            for partition, _ in self._running.values():
                partition.forget()

    async def run(self) -> None:
        """Acquire what is free, start what is held, stop what is lost; raise when one failed."""
        kit = self._stage.kit
        # Partitions of a time when there were more of them are stored to their end as well.
        count = max(kit.settings.partitions, await partitions_in(kit.nats.jetstream(timeout=5)))
        names = {f"partition-{n}": n for n in range(count)}
        try:
            while True:
                held = {names[name] for name in await kit.leases.acquire(list(names))}
                for number in held - self._running.keys():
                    self._running[number] = self._begin(number)
                for number in self._running.keys() - held:
                    await self._end(number)
                await self._wait_or_raise()
        finally:
            for number in list(self._running):
                await self._end(number)

    async def _wait_or_raise(self) -> None:
        tasks = {task for _, task in self._running.values()}
        if not tasks:
            await asyncio.sleep(LOOK_SECONDS)
            return
        done, _ = await asyncio.wait(
            tasks, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()
            raise RuntimeError("a partition ended without being told to")

    def _begin(self, number: int) -> tuple[Partition, asyncio.Task[None]]:
        kit = self._stage.kit
        partition = Partition(
            kit.pool,
            kit.nats,
            number,
            log_id=kit.log_id,
            effects=Effects(self._interests),
            on_stored=self._stored,
        )
        log.info("pipeline.partition_owned", partition=number)
        return partition, asyncio.create_task(partition.run(), name=f"partition-{number}")

    async def _end(self, number: int) -> None:
        _, task = self._running.pop(number)
        await end(task)
        log.info("pipeline.partition_left", partition=number)

    def _stored(self, stored: Stored) -> None:
        if stored.integrations:
            self._wakes.wake(stored.integrations)
        if stored.stale:
            self._rollups.wake.set()

    def figures(self) -> dict[str, float]:
        """Return the counters of all partitions run here."""
        parts = [partition.figures for partition, _ in self._running.values()]
        return {
            "wattwire_pipeline_readings_total": sum(p.readings for p in parts),
            "wattwire_pipeline_readings_changed_total": sum(p.changed for p in parts),
            "wattwire_pipeline_batches_total": sum(p.messages for p in parts),
            "wattwire_pipeline_slices_total": sum(p.slices for p in parts),
            "wattwire_pipeline_quarantined_total": sum(p.quarantined for p in parts),
            "wattwire_pipeline_partitions": len(parts),
        }
