"""Sends one message marked as a test, along the same road as every other."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any, Final
from uuid import UUID, uuid4

from wattwire.delivery.clock import Clock, SystemClock
from wattwire.delivery.link import Link
from wattwire.delivery.plan import Plan, plan_of
from wattwire.delivery.settle import reason_of
from wattwire.delivery.verdicts import judge
from wattwire.integrations.contract import (
    ConfigurationError,
    Delivered,
    IntegrationType,
    Outcome,
    Surroundings,
    Verdict,
)
from wattwire.model import Event, Message
from wattwire.payloads import RenderError
from wattwire.store import deliveries
from wattwire.store.deliveries import AttemptRow, attempt_row
from wattwire.store.sealing import Sealer

TOPIC: Final = "integration.test"
_WORDS: Final = {Verdict.OK: "delivered", Verdict.REJECT: "rejected"}


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What came of the message that Test sent."""

    outcome: str  #: delivered, retry or rejected
    reason: str
    receipt: str
    duration_ms: float
    message_id: str
    address: str = ""


async def send_test(
    pool: Any,
    integration_id: int,
    sealer: Sealer,
    types: Mapping[str, IntegrationType[Any]],
    *,
    surroundings: Surroundings | None = None,
    clock: Clock | None = None,
) -> TrialResult | None:
    """Really send one message; None when there is no such integration.

    It is written into the ledger with its mark and counted nowhere. A success lets an integration
    that was parked, or whose receiver was down, be tried again at once.
    """
    rows = await deliveries.list_lanes(pool, [integration_id])
    if not rows:
        return None
    clock = clock or SystemClock()
    message_id = f"test-{uuid4().hex}"
    try:
        plan = plan_of(rows[0], types, sealer)
    except ConfigurationError as error:
        return TrialResult("rejected", str(error), "", 0.0, message_id)
    try:
        message = _message(plan, message_id, clock.now())
    except RenderError as error:
        reason = f"cannot be written in this format: {error}"
        return TrialResult("rejected", reason, "", 0.0, message_id, plan.address)
    row, verdict = await _send(plan, message, surroundings or Surroundings(), clock)
    async with pool.acquire() as connection:
        await deliveries.write_attempt(connection, row)
        if verdict is Verdict.OK:
            await deliveries.unpark(connection, integration_id)
    return TrialResult(
        row.outcome, row.reason, row.receipt, row.duration_ms, message_id, plan.address
    )


def _message(plan: Plan, message_id: str, now: datetime) -> Message:
    data: dict[str, Any] = {
        "message": f"A test of the integration {plan.name}.",
        "test": True,
    }
    if plan.form.sample:
        data["values"] = dict(plan.form.sample)
    event = Event(
        id=UUID(int=0),
        topic=TOPIC,
        organization_id=plan.organization_id,
        time=now,
        data=data,
        device_key="test",
        device_name="Test",
        device_type="test",
    )
    body = plan.form.render(event)
    return Message(
        message_id, body, plan.form.content_type, event.topic, event.device_key, event=event
    )


async def _send(
    plan: Plan, message: Message, surroundings: Surroundings, clock: Clock
) -> tuple[AttemptRow, Verdict]:
    started_at, begun = clock.now(), perf_counter()
    link = Link(plan, surroundings, clock)
    try:
        outcome: Outcome = await link.test(message)
    finally:
        await link.close()
    milliseconds = (perf_counter() - begun) * 1000
    verdict = judge(outcome, plan.verdicts)
    row = attempt_row(
        integration_id=plan.id,
        organization_id=plan.organization_id,
        message_id=message.id,
        event_id=None,
        event_created_at=None,
        topic=message.topic,
        device_key="",
        number=1,
        started_at=started_at,
        duration_ms=milliseconds,
        outcome=_WORDS.get(verdict, "retry"),
        reason="" if verdict is Verdict.OK else reason_of(outcome),
        receipt=outcome.receipt if isinstance(outcome, Delivered) else "",
        address=plan.address,
        test=True,
    )
    return row, verdict
