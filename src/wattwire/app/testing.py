"""What the Test button does: one message, really sent, marked as a test."""

import time
from datetime import UTC, datetime

from wattwire.api.contract import TestResult
from wattwire.app.kit import Kit
from wattwire.app.role_delivery import surroundings_of
from wattwire.delivery.clock import SystemClock
from wattwire.delivery.link import Link
from wattwire.delivery.plan import Plan, plan_of
from wattwire.delivery.rendering import find_format
from wattwire.integrations import TYPES
from wattwire.integrations.contract import ConfigurationError, Delivered, Outcome, Retry
from wattwire.model import Event, Message
from wattwire.pipeline.effects import event_ids
from wattwire.store import deliveries
from wattwire.store.sealing import SEALING

TOPIC = "integration.test"


class IntegrationTester:
    """Tests integrations from this process, whoever owns them."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def test(self, integration_id: int) -> TestResult:
        """Send a probe, write its attempt. Raises LookupError when there is no such integration."""
        kit = self._kit
        rows = await deliveries.list_lanes(kit.pool, [integration_id])
        if not rows:
            raise LookupError(integration_id)
        try:
            plan = plan_of(rows[0], TYPES, kit.sealer.bound(SEALING))
        except ConfigurationError as error:
            return TestResult("rejected", str(error), "", 0.0, "")
        message = _probe(plan)
        started_at, clock = datetime.now(UTC), time.perf_counter()
        link = Link(plan, surroundings_of(kit), SystemClock())
        try:
            outcome = await link.test(message)
        finally:
            await link.close()
        result = _result(plan, message, outcome, 1000 * (time.perf_counter() - clock))
        await self._write(plan, result, started_at)
        return result

    async def _write(self, plan: Plan, result: TestResult, started_at: datetime) -> None:
        row = deliveries.attempt_row(
            integration_id=plan.id,
            organization_id=plan.organization_id,
            message_id=result.message_id,
            event_id=None,
            event_created_at=None,
            topic=TOPIC,
            device_key="",
            number=1,
            started_at=started_at,
            duration_ms=result.duration_ms,
            outcome=result.outcome,
            reason=result.reason,
            receipt=result.receipt,
            address=result.address,
            test=True,
        )
        async with self._kit.pool.acquire() as connection, connection.transaction():
            await deliveries.write_attempt(connection, row)
            if result.outcome == "delivered":
                await deliveries.unpark(connection, plan.id)


def _probe(plan: Plan) -> Message:
    (event_id,) = event_ids(1)
    event = Event(
        id=event_id,
        topic=TOPIC,
        organization_id=plan.organization_id,
        time=datetime.now(UTC),
        data={"test": True, "integration": plan.name},
        device_key="test",
        device_name="Test",
        device_type="test",
    )
    form = find_format(plan.kind.format)
    return Message(
        f"test-{event_id.hex}-{plan.id}", form.render(event), form.content_type, TOPIC, "test"
    )


def _result(plan: Plan, message: Message, outcome: Outcome, duration_ms: float) -> TestResult:
    if isinstance(outcome, Delivered):
        return TestResult("delivered", "", outcome.receipt, duration_ms, message.id, plan.address)
    name = "retry" if isinstance(outcome, Retry) else "rejected"
    return TestResult(name, outcome.reason, "", duration_ms, message.id, plan.address)
