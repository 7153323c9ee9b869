"""What only EventBridge promises: what rules see, details that are objects, events one by one."""

import json
from uuid import UUID

import pytest
from bench_aws_eventbridge import eventbridge_entries, eventbridge_error
from integrations_counterparts import REGION, access
from pydantic import ValidationError

from wattwire.delivery.verdicts import judge
from wattwire.integrations import aws_eventbridge
from wattwire.integrations.contract import Delivered, Rejected, Retry, Verdict
from wattwire.model import Event, Message, to_instant

EVENT = Event(
    id=UUID(int=7),
    topic="device.alert",
    organization_id=UUID(int=1),
    time=to_instant(1_748_781_004_500_000),
    data={},
)


def batch(*bodies, topic="device.alert"):
    return [Message(f"m-{n}", body, topic=topic, event=EVENT) for n, body in enumerate(bodies)]


async def deliver(settings, messages, surroundings):
    async with aws_eventbridge.connect(settings, surroundings) as bridge:
        return await bridge.deliver(messages)


async def test_what_a_rule_sees(aws_eventbridge_bench, queue, surroundings):
    """The topic as detail-type, the source, the event's own time, the body as detail."""
    outcomes = await deliver(aws_eventbridge_bench.settings, batch(b'{"a": 1}'), surroundings)
    seen = json.loads(queue.bodies()[0])

    assert ("device.alert", "wattwire") == (seen["detail-type"], seen["source"])
    assert {"message_id": "m-0", "a": 1} == seen["detail"]
    assert "2025-06-01T12:30:04Z" == seen["time"]
    assert seen["id"] == outcomes["m-0"].receipt


@pytest.mark.parametrize("body", [b"[1]", b"1", b"text", b"", b'{"a":1', b"\xff", b'{"a":"\xff"}'])
async def test_what_is_no_object_is_refused_before_it_is_sent(
    aws_eventbridge_bench, queue, surroundings, body
):
    """It is rejected with its reason; the others of the batch are sent."""
    outcomes = await deliver(aws_eventbridge_bench.settings, batch(body, b"{}"), surroundings)

    assert isinstance(outcomes["m-0"], Rejected)
    assert "JSON object" in outcomes["m-0"].reason
    assert isinstance(outcomes["m-1"], Delivered)
    assert [{"message_id": "m-1"}] == [json.loads(b)["detail"] for b in queue.bodies()]


async def test_an_event_without_topic_is_still_one(aws_eventbridge_bench, queue, surroundings):
    """EventBridge asks for a detail-type; a long one is cut to what it takes."""
    messages = [*batch(b"{}", topic=""), Message("m-9", b"{}", topic="x" * 200)]
    outcomes = await deliver(aws_eventbridge_bench.settings, messages, surroundings)
    types = {json.loads(body)["detail-type"] for body in queue.bodies()}

    assert all(isinstance(outcome, Delivered) for outcome in outcomes.values())
    assert {"event", "x" * 128} == types


@pytest.mark.parametrize(
    ("code", "kind", "verdict"),
    [
        ("MalformedDetail", Rejected, Verdict.REJECT),
        ("InvalidArgument", Rejected, Verdict.REJECT),
        ("ThrottlingException", Retry, Verdict.THROTTLE),
        ("InternalFailure", Retry, Verdict.RETRY),
        ("NotAuthorizedForSourceException", Retry, Verdict.PARK),
        ("AccessDeniedException", Retry, Verdict.PARK),
    ],
)
async def test_each_event_has_its_own_refusal(
    faults, aws_eventbridge_bench, surroundings, code, kind, verdict
):
    """The second is refused; the first and the third are not touched by that."""
    faults.reply = eventbridge_entries(lambda n: code if n == 1 else None)
    async with faults.serving() as url:
        settings = aws_eventbridge_bench.aimed_at(url)
        outcomes = await deliver(settings, batch(b"{}", b"{}", b"{}"), surroundings)

    assert ["got-0", "got-2"] == [outcomes["m-0"].receipt, outcomes["m-2"].receipt]
    assert isinstance(outcomes["m-1"], kind)
    assert verdict == judge(outcomes["m-1"], aws_eventbridge.VERDICTS)


async def test_the_emulators_own_partial_failure(aws_eventbridge_bench, surroundings, monkeypatch):
    """A source that is missing is refused event by event; the words are EventBridge's."""
    settings = aws_eventbridge_bench.settings.model_copy(update={"source": ""})
    outcome = (await deliver(settings, batch(b"{}"), surroundings))["m-0"]

    assert isinstance(outcome, Rejected)
    assert "InvalidArgument: Parameter Source" in outcome.reason


async def test_a_bus_that_does_not_exist_parks(faults, aws_eventbridge_bench, surroundings):
    """Sending on is of no use until somebody makes the bus."""
    faults.reply = eventbridge_error(400, "ResourceNotFoundException", "no such bus")
    async with faults.serving() as url:
        outcome = (await deliver(aws_eventbridge_bench.aimed_at(url), batch(b"{}"), surroundings))[
            "m-0"
        ]

    assert Verdict.PARK == judge(outcome, aws_eventbridge.VERDICTS)
    assert "ResourceNotFoundException: no such bus" == outcome.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "aws.ec2"}, {"source": ""}, {"source": "a b"}, {"event_bus": "a b"},
        {"event_bus": "arn:aws:events:us-east-2:123456789012:event-bus/x"},
    ],
)  # fmt: skip
def test_settings_that_are_refused(changes):
    """AWS' own sources, names that are none, a bus of another region."""
    with pytest.raises(ValidationError):
        aws_eventbridge.Settings(**{"aws": access("http://x"), **changes})


def test_a_bus_by_its_arn_is_in_the_region():
    """As one has to name a bus of another account."""
    arn = f"arn:aws:events:{REGION}:123456789012:event-bus/energy"

    assert arn == aws_eventbridge.Settings(event_bus=arn, aws=access("http://x")).event_bus
