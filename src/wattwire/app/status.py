"""How the hub is doing: `/readyz` and `/metrics`."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import asyncpg
from nats.errors import Error as NatsError
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import CollectorRegistry

from wattwire.api.contract import Check
from wattwire.app.kit import Kit
from wattwire.app.pulse import Heard, Pulse
from wattwire.intake.log import STREAM
from wattwire.store import deliveries, ledger

LOOK_SECONDS: Final = 2.0
#: Which process, and which of those that play the same roles.
_LABELS: Final = ("process", "owner")


class Status:
    """Implements `api.contract.HubStatus`."""

    def __init__(self, kit: Kit, heard: Heard, expected_roles: Sequence[str]) -> None:
        self._kit = kit
        self._heard = heard
        self._expected = tuple(expected_roles)

    async def readiness(self) -> Sequence[Check]:
        """Look at each part now, within 2 s."""
        database, log_check = await asyncio.gather(self._database(), self._log())
        living = self._heard.living()
        played = {role for pulse in living for role in pulse.roles}
        roles = [
            Check(role, role in played, "" if role in played else "no process plays this role")
            for role in self._expected
        ]
        faults = [
            Check(f"{pulse.process}: {task}", ok=False, detail=fault)
            for pulse in living
            for task, fault in pulse.faults.items()
        ]
        return [database, log_check, *roles, *faults]

    async def _database(self) -> Check:
        try:
            async with asyncio.timeout(LOOK_SECONDS), self._kit.pool.acquire() as connection:
                await connection.execute("SELECT 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            return Check("database", ok=False, detail=_in_words(error))
        return Check("database", ok=True)

    async def _log(self) -> Check:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                info = await self._kit.nats.jetstream(timeout=LOOK_SECONDS).stream_info(STREAM)
        except (NatsError, OSError, TimeoutError) as error:
            return Check("log", ok=False, detail=_in_words(error))
        bound = info.config.max_bytes or 0
        if bound > 0 and info.state.bytes > 0.9 * bound:
            return Check("log", ok=False, detail=f"{info.state.bytes} of {bound} bytes are used")
        return Check("log", ok=True)

    async def metrics(self) -> bytes:
        """Return the metrics in the Prometheus text format.

        The ledger of every integration comes from one snapshot of the database, so that it adds up
        here as it does everywhere.
        """
        registry = CollectorRegistry(auto_describe=False)
        families = _of_processes(self._heard.living())
        try:
            async with asyncio.timeout(10), self._kit.pool.acquire() as connection:
                ids = await deliveries.list_lane_ids(connection)
                families += _of_ledgers(await ledger.counters_of(connection, ids))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            families.append(GaugeMetricFamily("wattwire_database_up", "Database answers", 0))
        else:
            families.append(GaugeMetricFamily("wattwire_database_up", "Database answers", 1))
        registry.register(_Fixed(families))
        return generate_latest(registry)


class _Fixed:
    """Shows what was collected."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        """Return all families."""
        return self._families


def _of_processes(living: Sequence[Pulse]) -> list[Metric]:
    families: dict[str, Any] = {}
    for pulse in living:
        for name, value in pulse.figures.items():
            family = families.get(name)
            if family is None:
                kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
                meaning = name.removeprefix("wattwire_").removesuffix("_total").replace("_", " ")
                family = families[name] = kind(name.removesuffix("_total"), meaning, labels=_LABELS)
            family.add_metric([pulse.process, pulse.owner], value)
    up = GaugeMetricFamily("wattwire_process_up", "Processes heard lately", labels=_LABELS)
    for pulse in living:
        up.add_metric([pulse.process, pulse.owner], 1)
    return [*families.values(), up]


def _of_ledgers(all_counters: dict[int, Any]) -> list[Metric]:
    names = ("matched", "delivered", "waiting", "in_flight", "dead", "discarded")
    families = [
        GaugeMetricFamily(
            f"wattwire_delivery_messages_{name}", f"Messages {name}", labels=["integration"]
        )
        for name in names
    ]
    for integration_id, counters in all_counters.items():
        for family, name in zip(families, names, strict=True):
            family.add_metric([str(integration_id)], getattr(counters, name))
    return list(families)


def _in_words(error: BaseException) -> str:
    return str(error) or type(error).__name__
