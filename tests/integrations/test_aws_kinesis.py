"""What only Kinesis promises: partitions, records refused one by one, ids inside."""

import json

import pytest
from aws_faults import applied_and_lost
from bench_aws_kinesis import kinesis_error, kinesis_records
from integrations_counterparts import REGION, Reply, access
from pydantic import ValidationError

from wattwire.integrations import TYPES, aws_kinesis
from wattwire.integrations._aws_answers import VERDICTS
from wattwire.integrations.contract import Delivered, Retry, UnreachableError
from wattwire.model import Message

ARN = f"arn:aws:kinesis:{REGION}:123456789012:stream/readings"


def batch(count, **facts):
    return [Message(f"m-{n}", b'{"n": %d}' % n, **facts) for n in range(count)]


async def deliver(settings, messages, surroundings):
    async with aws_kinesis.connect(settings, surroundings) as kinesis:
        return await kinesis.deliver(messages)


async def test_the_partition_is_the_device(aws_kinesis_bench, stream, surroundings):
    """A device's records share a key; without a device each has its own; a long name its hash."""
    messages = [
        *batch(2, device="meter-1"),
        Message("m-8", b"{}"),
        Message("m-9", b"{}", device="x" * 300),
    ]
    await deliver(aws_kinesis_bench.settings, messages, surroundings)
    keys = sorted(record["PartitionKey"] for record in stream.records())

    assert ["m-8", "meter-1", "meter-1"] == keys[1:]
    assert 64 == len(keys[0])


async def test_the_receipt_is_shard_and_number(aws_kinesis_bench, stream, surroundings):
    """By the receipt the record is found again."""
    outcome = (await deliver(aws_kinesis_bench.settings, batch(1), surroundings))["m-0"]
    shard, number = outcome.receipt.split()
    iterator = stream.client.get_shard_iterator(
        StreamName=stream.name,
        ShardId=shard,
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        StartingSequenceNumber=number,
    )["ShardIterator"]
    record = stream.client.get_records(ShardIterator=iterator)["Records"][0]

    assert {"message_id": "m-0", "n": 0} == json.loads(record["Data"])


async def test_bodies_that_are_no_objects_are_left_alone(aws_kinesis_bench, stream, surroundings):
    """And so is every body when nobody wants the id inside."""
    bodies = [b"\x00\xff", b"m,d=1 v=2 3", b"[1]", b"", b'{"data": {"message_id": "own"}}']
    messages = [Message(f"m-{n}", body) for n, body in enumerate(bodies)]
    await deliver(aws_kinesis_bench.settings, messages, surroundings)
    plain = aws_kinesis_bench.settings.model_copy(update={"add_message_id": False})
    await deliver(plain, [Message("m-9", b'{"a":1}')], surroundings)

    assert sorted([*bodies, b'{"a":1}']) == sorted(record["Data"] for record in stream.records())


async def test_a_stream_by_its_arn(aws_kinesis_bench, stream, moto, surroundings):
    """As one has to name a stream of another account."""
    settings = aws_kinesis.Settings(stream=stream.arn, aws=access(moto))
    outcomes = await deliver(settings, batch(2), surroundings)

    assert all(isinstance(outcome, Delivered) for outcome in outcomes.values())
    assert 2 == len(stream.records())


async def test_throttled_records_alone_are_sent_again(faults, aws_kinesis_bench, story):
    """The engine sends the second call with those that were refused, and with no other."""
    calls = []

    def reply(request):
        calls.append([json.loads(record_of(r))["message_id"] for r in records_of(request)])
        throttled = "ProvisionedThroughputExceededException"
        return kinesis_records(lambda n: throttled if n % 2 and len(calls) == 1 else None)(request)

    faults.reply = reply
    async with faults.serving() as url:
        one = await story.integrate(
            type="aws_kinesis",
            settings=aws_kinesis_bench.aimed_at(url).model_dump(mode="json") | {"aws": access(url)},
            max_concurrent=1,
        )
        await story.cause(6, one)
        async with story.working(types=TYPES, surroundings=aws_kinesis_bench.surroundings):
            await story.quiet()
            await story.pass_time(5)
            await story.quiet()
            counters = await story.counters(one)

    assert [6, 3] == [len(call) for call in calls]
    assert calls[0][1::2] == calls[1]
    assert (6, 6, 0, 0) == (
        counters.matched, counters.delivered, counters.waiting, counters.dead,
    )  # fmt: skip


def records_of(request):
    return json.loads(request.body)["Records"]


def record_of(record):
    import base64

    return base64.b64decode(record["Data"])


async def test_an_answer_that_got_lost_makes_a_repeat_that_can_be_told(
    faults, aws_kinesis_bench, stream, moto, surroundings
):
    """The record is there twice, under one message id."""
    faults.reply = applied_and_lost(moto)
    async with faults.serving() as url:
        settings = aws_kinesis_bench.aimed_at(url)
        with pytest.raises(UnreachableError):
            await deliver(settings, batch(1), surroundings)
        again = await deliver(settings, batch(1), surroundings)
    ids = [json.loads(record["Data"])["message_id"] for record in stream.records()]

    assert isinstance(again["m-0"], Delivered)
    assert ["m-0", "m-0"] == ids


@pytest.mark.parametrize(
    "body",
    [
        b'{"FailedRecordCount":0,"Records":[]}',
        b'{"FailedRecordCount":0,"Records":[{}]}',
        b'{"FailedRecordCount":0,"Records":[{"SequenceNumber":"1"},{"SequenceNumber":"2"}]}',
    ],
)
async def test_an_answer_that_does_not_fit_is_no_success(
    faults, aws_kinesis_bench, surroundings, body
):
    """Records are told apart by their place alone: too few or too many say nothing."""
    faults.reply = Reply(200, body)
    async with faults.serving() as url:
        try:
            outcomes = await deliver(aws_kinesis_bench.aimed_at(url), batch(1), surroundings)
        except ValueError:
            outcomes = {}

    assert not any(isinstance(outcome, Delivered) for outcome in outcomes.values())


async def test_a_stream_that_does_not_exist(moto, surroundings):
    """The emulator's own answer parks."""
    settings = aws_kinesis.Settings(stream="nowhere", aws=access(moto))
    outcome = (await deliver(settings, batch(1), surroundings))["m-0"]

    assert "park" == VERDICTS[outcome.code], outcome


async def test_a_key_that_may_not_be_used_parks(faults, aws_kinesis_bench, surroundings):
    """A stream that is encrypted with a key of one's own asks for permission on both."""
    faults.reply = kinesis_error(400, "KMSAccessDeniedException", "not you")
    async with faults.serving() as url:
        outcome = (await deliver(aws_kinesis_bench.aimed_at(url), batch(1), surroundings))["m-0"]

    assert isinstance(outcome, Retry)
    assert "KMSAccessDeniedException: not you" == outcome.reason
    assert "park" == VERDICTS[outcome.code]


@pytest.mark.parametrize("stream", [ARN.replace(REGION, "us-east-2"), "a b", "", "arn:aws:sqs:x"])
def test_streams_that_are_refused(stream):
    """Another region, a name that is none."""
    with pytest.raises(ValidationError):
        aws_kinesis.Settings(stream=stream, aws=access("http://x"))


def test_order_is_kept_when_it_is_asked_for():
    """Then calls leave one at a time."""
    settings = aws_kinesis.Settings(stream="s", ordered=True, aws=access("http://x"))

    assert aws_kinesis.TYPE.ordered(settings)
    assert not aws_kinesis.TYPE.ordered(aws_kinesis.Settings(stream="s", aws=access("http://x")))
