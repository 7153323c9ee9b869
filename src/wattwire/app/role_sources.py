"""Configured sources, each worker of each kept running by the owner of its lease."""

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final
from uuid import UUID

import structlog

from wattwire.app.door import Origin
from wattwire.app.inlet import Inlet
from wattwire.app.keeping import keep
from wattwire.app.roles import Stage
from wattwire.endings import end
from wattwire.engines.secrets import SealError
from wattwire.intake.intake import Intake
from wattwire.model import Reading, RefusedError, StatusChange
from wattwire.pipeline.effects import Effects, Interests
from wattwire.sources import TYPES
from wattwire.sources.contract import DeviceDescription, SourceContext
from wattwire.store import registry
from wattwire.store import sources as stored
from wattwire.store.sealing import SEALING, join

LOOK_SECONDS: Final = 2.0
DATABASE_SECONDS: Final = 10.0

log = structlog.get_logger()


async def start(stage: Stage) -> None:
    """Run the configured sources."""
    runner = SourceRunner(stage)
    stage.kit.watch.subscribe(runner.forget)
    stage.keep("sources", runner.run)


class SourceIntake:
    """Implements `sources.contract.Intake` on the hub's intake."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def accept(
        self,
        organization_id: UUID,
        readings: Sequence[Reading],
        *,
        statuses: Sequence[StatusChange] = (),
    ) -> None:
        """Take readings; return once they are durable. Raises RefusedError for a faulty one."""
        await self._intake.check_loading(organization_id, readings, time.time_ns() // 1000)
        await self._intake.accept(organization_id, readings, statuses=statuses)

    async def quarantine(
        self,
        organization_id: UUID,
        raw: bytes,
        *,
        source: str,
        format: str,  # noqa: A002 - the word of the quarantine table
        topic: str,
        reason: str,
        where: str,
        device_key: str = "",
    ) -> None:
        """Keep something unreadable; return once it is durable."""
        origin = Origin(source, format, topic, None)
        await self._intake.keep(
            organization_id, origin, raw, RefusedError(reason, where), device=device_key
        )


class Describer:
    """Writes what sources know of their devices. Whoever remembers those devices is told."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._effects = Effects(Interests())

    async def describe(
        self, organization_id: UUID, devices: Sequence[DeviceDescription]
    ) -> Collection[str]:
        """Describe devices; return the keys of those that are not there, nor may be registered."""
        said = [registry.Described(d.key, d.name, d.type, d.metadata) for d in devices]
        async with (
            self._pool.acquire(timeout=DATABASE_SECONDS) as connection,
            connection.transaction(),
        ):
            new, missing = await registry.describe_devices(connection, organization_id, said)
            await self._effects.registered(connection, new)
        return missing


class SourceRunner:
    """Starts, stops and restarts sources as they are configured."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._changed = asyncio.Event()
        self._running: dict[str, tuple[Any, asyncio.Task[None]]] = {}
        self._inlet: Inlet | None = None
        self._describer = Describer(stage.kit.pool)
        self._figures = {name: kind.figures() for name, kind in TYPES.items()}
        for figures in self._figures.values():
            stage.count(figures.read)

    def forget(self, table: str, key: str) -> None:
        """Follow a configuration change."""
        del key
        if table in {"*", "source"}:
            self._changed.set()

    async def run(self) -> None:
        """Look at what is configured, now and after each change."""
        try:
            while True:
                self._changed.clear()
                await self._adjust()
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._changed.wait()
                except TimeoutError:
                    continue
        finally:
            for name in list(self._running):
                await self._end(name)

    async def _adjust(self) -> None:
        kit = self._stage.kit
        async with kit.pool.acquire() as connection:
            rows = {f"source-{row.id}": row for row in await stored.list_enabled(connection)}
        wanted = {
            f"{name}-{worker}": (row, worker)
            for name, row in rows.items()
            for worker in range(self._workers(row))
        }
        held = await kit.leases.acquire(sorted(wanted)) if wanted else set()
        for name in list(self._running):
            if name not in held or not self._same(self._running[name][0], wanted[name][0]):
                await self._end(name)
        for name in held - self._running.keys():
            row, worker = wanted[name]
            task = asyncio.create_task(
                keep(f"source {row.name}", partial(self._work, row, worker), kit.health)
            )
            self._running[name] = (row, task)

    def _same(self, running: Any, row: Any) -> bool:
        """Return whether a source is what runs. Secrets sealed again still are the same."""
        if replace(running, secrets=None) != replace(row, secrets=None):
            return False
        try:
            return bool(
                running.secrets == row.secrets or self._settings(running) == self._settings(row)
            )
        except SealError:  # the key of what runs is gone
            return False

    def _workers(self, row: Any) -> int:
        kind = TYPES[row.type]
        return kind.workers(self._settings(row))

    def _settings(self, row: Any) -> Any:
        sealer = self._stage.kit.sealer.bound(SEALING)
        return TYPES[row.type].settings.model_validate(join(row.settings, row.secrets, sealer))

    async def _work(self, row: Any, worker: int) -> None:
        if self._inlet is None:
            self._inlet = Inlet(self._stage)
        inlet = self._inlet
        context = SourceContext(
            organization_id=row.organization_id,
            name=row.name,
            zone_of=lambda device: inlet.directory.zone(row.organization_id, device),
            load_devices=lambda keys: inlet.directory.load(row.organization_id, list(keys)),
            worker=worker,
            describe=partial(self._describer.describe, row.organization_id),
            figures=self._figures[row.type],
        )
        await TYPES[row.type].run(self._settings(row), SourceIntake(inlet.intake), context)

    async def _end(self, name: str) -> None:
        _, task = self._running.pop(name)
        await end(task)
