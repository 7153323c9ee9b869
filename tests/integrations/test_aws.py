"""What only SQS and SNS promise: FIFO, attributes, refusals in full."""

import json
from datetime import timedelta

import pytest
from aws_sending import ARN, QUEUE, REFUSAL, batch, deliver
from bench_aws_sns import sns_error
from bench_aws_sqs import sqs_error
from integrations_counterparts import Reply, access

from wattwire.integrations import aws_sns, aws_sqs
from wattwire.integrations._aws_answers import VERDICTS
from wattwire.integrations.contract import (
    Delivered,
    Rejected,
    Retry,
    Surroundings,
    UnreachableError,
)
from wattwire.model import Message

# --- what is sent ---


async def test_attributes_of_an_sqs_message(aws_sqs_bench, queue, surroundings):
    """Receivers filter by topic and device, and drop repeats by the message's id."""
    message = Message("m-1", b"{}", topic="device.alert", device="meter-7")
    await deliver(aws_sqs.TYPE, aws_sqs_bench.settings, [message], surroundings)
    attributes = queue.messages()[0]["MessageAttributes"]

    assert {"message_id": "m-1", "topic": "device.alert", "device": "meter-7"} == {
        name: value["StringValue"] for name, value in attributes.items()
    }


async def test_an_sns_message_has_a_subject_and_attributes(moto, aws, queue, surroundings):
    """As a subscriber without raw delivery sees it."""
    sns = aws("sns")
    arn = sns.create_topic(Name="with-subject")["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)
    settings = aws_sns.Settings(topic_arn=arn, aws=access(moto))
    message = Message("m-1", b'{"a": 1}', topic="device.alert", device="meter-7")
    await deliver(aws_sns.TYPE, settings, [message], surroundings)
    envelope = json.loads(queue.bodies()[0])

    assert ("device.alert", '{"a": 1}') == (envelope["Subject"], envelope["Message"])
    assert "meter-7" == envelope["MessageAttributes"]["device"]["Value"]


@pytest.fixture
def fifo(aws, request):
    sqs = aws("sqs")
    url = sqs.create_queue(
        QueueName=f"f-{abs(hash(request.node.nodeid)) % 10**9}.fifo",
        Attributes={"FifoQueue": "true"},
    )["QueueUrl"]
    return type("Fifo", (), {"client": sqs, "url": url})


async def test_fifo_groups_by_device_and_drops_repeats(moto, fifo, surroundings):
    """The group is the device, the deduplication id the message's: a repeat arrives once."""
    settings = aws_sqs.Settings(queue_url=fifo.url, aws=access(moto))
    messages = [*batch(2, device="meter-1"), Message("m-9", b"{}", device="Zähler 7")]
    for _ in range(2):
        await deliver(aws_sqs.TYPE, settings, messages, surroundings)
    got = fifo.client.receive_message(
        QueueUrl=fifo.url, MaxNumberOfMessages=10, AttributeNames=["All"]
    )["Messages"]
    groups = {
        m["Attributes"]["MessageDeduplicationId"]: m["Attributes"]["MessageGroupId"] for m in got
    }

    assert {"m-0", "m-1", "m-9"} == set(groups)
    assert "meter-1" == groups["m-0"] == groups["m-1"]
    assert 64 == len(groups["m-9"])  # a name that SQS would refuse becomes its hash
    assert aws_sqs.TYPE.ordered(settings)
    assert not aws_sqs.TYPE.ordered(aws_sqs.Settings(queue_url=QUEUE, aws=access(moto)))


async def test_fifo_with_one_group_for_all(moto, fifo, surroundings):
    """`message_group_id` replaces the devices."""
    settings = aws_sqs.Settings(queue_url=fifo.url, message_group_id="all", aws=access(moto))
    await deliver(aws_sqs.TYPE, settings, batch(2, device="meter-1"), surroundings)
    got = fifo.client.receive_message(
        QueueUrl=fifo.url, MaxNumberOfMessages=10, AttributeNames=["All"]
    )["Messages"]

    assert {"all"} == {m["Attributes"]["MessageGroupId"] for m in got}


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"a\x00b", "a\ufffeb".encode(), b"\x1b[0m"])
@pytest.mark.parametrize("type_", [aws_sqs, aws_sns])
async def test_what_is_no_text_is_refused_before_it_is_sent(
    type_, body, request, faults, surroundings
):
    """It is rejected with its reason; the others of the batch are sent."""
    bench = request.getfixturevalue(f"{type_.TYPE.name}_bench")
    messages = [Message("bad", body), Message("good", b"{}")]
    outcomes = await deliver(type_.TYPE, bench.settings, messages, surroundings)

    assert isinstance(outcomes["bad"], Rejected)
    assert isinstance(outcomes["good"], Delivered)
    assert [b"{}"] == bench.received()
    alone = await deliver(type_.TYPE, bench.settings, messages[:1], surroundings)
    assert {"bad"} == set(alone)


async def test_a_message_too_large_for_the_topic_fails_alone(aws_sns_bench, surroundings):
    """The emulator refuses one entry of the batch, as SNS does; the others go through."""
    messages = [Message("large", b"x" * 300_000), *batch(2)]
    outcomes = await deliver(aws_sns.TYPE, aws_sns_bench.settings, messages, surroundings)

    assert not isinstance(outcomes["large"], Delivered)


# --- refusals ---


async def test_permission_errors_are_shown_in_full(faults, aws_sns_bench, surroundings):
    """The whole sentence of the seed's table, code first."""
    faults.reply = sns_error(403, "AuthorizationError", REFUSAL)
    async with faults.serving() as url:
        outcomes = await deliver(aws_sns.TYPE, aws_sns_bench.aimed_at(url), batch(2), surroundings)

    assert {f"AuthorizationError: {REFUSAL}"} == {o.reason for o in outcomes.values()}
    assert 403 == outcomes["m-0"].status


async def test_retry_after_is_honoured(faults, aws_sqs_bench, surroundings):
    """A front door that asks for so many seconds gets them."""
    reply = sqs_error(503, "ServiceUnavailable")
    faults.reply = Reply(503, reply.body, {**reply.headers, "Retry-After": "7"})
    async with faults.serving() as url:
        outcomes = await deliver(aws_sqs.TYPE, aws_sqs_bench.aimed_at(url), batch(1), surroundings)

    assert timedelta(seconds=7) == outcomes["m-0"].after


async def test_a_missing_queue_is_told_by_its_older_name_too(faults, aws_sqs_bench, surroundings):
    """SQS names it twice, in the body and in a header; both park."""
    for headers in ({}, {"x-amzn-query-error": "AWS.SimpleQueueService.NonExistentQueue;Sender"}):
        reply = sqs_error(400, "QueueDoesNotExist")
        faults.reply = Reply(reply.status, reply.body, {**reply.headers, **headers})
        async with faults.serving() as url:
            outcome = (
                await deliver(aws_sqs.TYPE, aws_sqs_bench.aimed_at(url), batch(1), surroundings)
            )["m-0"]
        assert "park" == VERDICTS[outcome.code]


async def test_a_queue_that_does_not_exist(moto, surroundings):
    """The emulator's own answer parks as well."""
    settings = aws_sqs.Settings(queue_url=f"{moto}/123456789012/nowhere", aws=access(moto))
    outcome = (await deliver(aws_sqs.TYPE, settings, batch(1), surroundings))["m-0"]

    assert "park" == VERDICTS[outcome.code], outcome


async def test_a_topic_that_does_not_exist(moto, surroundings):
    """NotFound parks: sending on is of no use until somebody makes the topic."""
    settings = aws_sns.Settings(topic_arn=f"{ARN}-nowhere", aws=access(moto))
    outcome = (await deliver(aws_sns.TYPE, settings, batch(1), surroundings))["m-0"]

    assert "park" == VERDICTS[outcome.code], outcome


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"Code": "InvalidMessageContents", "SenderFault": True}, Rejected),
        ({"Code": "InternalError", "SenderFault": False}, Retry),
        ({"Code": "RequestThrottled", "SenderFault": True}, Retry),
        ({"Code": "AccessDenied", "SenderFault": True}, Retry),
    ],
)
async def test_whose_fault_decides(faults, aws_sqs_bench, surroundings, entry, expected):
    """What SQS calls the sender's fault is rejected, unless the table knows better."""
    failed = {"Failed": [{"Id": "m-0", "Message": "because", **entry}]}
    faults.reply = Reply(200, json.dumps(failed).encode())
    async with faults.serving() as url:
        outcomes = await deliver(aws_sqs.TYPE, aws_sqs_bench.aimed_at(url), batch(1), surroundings)

    assert isinstance(outcomes["m-0"], expected)
    assert f"{entry['Code']}: because" == outcomes["m-0"].reason


async def test_xml_that_would_explode_is_not_read(faults, aws_sns_bench, surroundings):
    """An answer that declares entities is refused, not expanded."""
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><x>&a;</x>'
    faults.reply = Reply(200, bomb)
    async with faults.serving() as url:
        with pytest.raises(ValueError, match="declares"):
            await deliver(aws_sns.TYPE, aws_sns_bench.aimed_at(url), batch(1), surroundings)


async def test_an_endless_answer_is_cut_off(faults, aws_sqs_bench, surroundings):
    """Nobody makes the hub read megabytes."""
    faults.reply = Reply(200, b"x" * 3_000_000)
    async with faults.serving() as url:
        with pytest.raises(UnreachableError, match="longer"):
            await deliver(aws_sqs.TYPE, aws_sqs_bench.aimed_at(url), batch(1), surroundings)


async def test_an_endpoint_of_ones_own_is_guarded(faults, aws_sqs_bench):
    """`endpoint_url` reaches the hub's own network as little as a webhook does."""
    async with faults.serving() as url:
        with pytest.raises(UnreachableError, match="not a public address"):
            await deliver(aws_sqs.TYPE, aws_sqs_bench.aimed_at(url), batch(1), Surroundings())

    assert [] == faults.requests


async def test_the_way_to_sts_is_guarded_as_well(faults):
    """The SDK's own calls, for a role, cannot be aimed at the hub's network either."""
    async with faults.serving() as url:
        aws = access(url) | {"role_arn": "arn:aws:iam::123456789012:role/hub"}
        settings = aws_sqs.Settings(queue_url=QUEUE, aws=aws)
        outcome = (await deliver(aws_sqs.TYPE, settings, batch(1), Surroundings()))["m-0"]

    assert "unreachable" == outcome.code
    assert [] == faults.requests
