"""Delivery in the hub: the integrations whose lease this process holds."""

from collections.abc import Iterable
from typing import Any

from wattwire.app import wakes
from wattwire.app.kit import Kit
from wattwire.app.roles import Stage
from wattwire.delivery.worker import DeliveryWorker
from wattwire.integrations import TYPES
from wattwire.integrations.contract import Surroundings
from wattwire.model import Event
from wattwire.pipeline.effects import Interests
from wattwire.store.sealing import SEALING

DRAIN_SECONDS = 8.0


async def start(stage: Stage) -> None:
    """Deliver."""
    kit = stage.kit
    interests, others = Interests(), wakes.Wakes(kit.nats)

    async def emit(connection: Any, event: Event) -> None:
        others.wake(await interests.record(connection, [event]))

    worker = DeliveryWorker(
        kit.pool,
        kit.leases,
        kit.sealer.bound(SEALING),
        TYPES,
        emit=emit,
        surroundings=surroundings_of(kit),
    )

    def forget(table: str, key: str) -> None:
        if table == "*":
            worker.configuration_changed(None)
        elif table == "integration":
            worker.configuration_changed(int(key))

    def wake(integration_ids: Iterable[int]) -> None:
        worker.wake(integration_ids)

    kit.watch.subscribe(forget)
    await wakes.listen(kit.nats, wake)
    stage.keep("wakes", others.run)
    stage.keep("delivery", worker.run)
    stage.at_end(lambda: worker.stop(DRAIN_SECONDS))
    stage.count(worker.figures)


def surroundings_of(kit: Kit) -> Surroundings:
    """Return what the operator lets integrations reach."""
    return Surroundings(
        allowed_networks=kit.settings.webhook_allow,
        aws_profiles=frozenset(kit.settings.aws_profiles),
    )
