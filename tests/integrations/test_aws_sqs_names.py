"""SQS by the name of a queue: asked for once, told in SolarNetwork's words when it is not there."""

import asyncio
import json

import pytest
from aws_faults import forward
from aws_sending import batch, deliver, keys_of, reset
from bench_aws_sqs import sqs_error, sqs_half
from integrations_counterparts import LOCAL, REGION, Reply, access
from pydantic import ValidationError

from wattwire.delivery.verdicts import judge
from wattwire.integrations import aws_sqs
from wattwire.integrations.contract import Delivered, Retry, UnreachableError, Verdict
from wattwire.solarnetwork import queues

GET = "AmazonSQS.GetQueueUrl"
ABSENT = f"Queue [nowhere] does not exist (using region {REGION})."


def named(name, url, **more):
    return aws_sqs.Settings(queue_name=name, aws=access(url) | more)


def name_of(queue):
    return queue.url.rpartition("/")[2]


async def one(settings, surroundings=LOCAL):
    return (await deliver(aws_sqs.TYPE, settings, batch(1), surroundings))["m-0"]


def asked(faults):
    return [r for r in faults.requests if r.headers.get("x-amz-target") == GET]


async def test_messages_arrive_in_the_queue_of_that_name(moto, queue):
    """Sent through the emulator's own GetQueueUrl; the test takes the same road."""
    async with aws_sqs.connect(named(name_of(queue), moto), LOCAL) as sqs:
        outcomes = await sqs.deliver(batch(3))
        outcome = await sqs.test(batch(4)[3])

    assert {"m-0", "m-1", "m-2"} == {i for i, o in outcomes.items() if isinstance(o, Delivered)}
    assert isinstance(outcome, Delivered)
    assert 4 == len(queue.bodies())


async def test_a_fifo_queue_by_name(moto, aws):
    """Its name says that it keeps order, as its address does."""
    sqs = aws("sqs")
    url = sqs.create_queue(QueueName="by-name.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    settings = named("by-name.fifo", moto)
    for _ in range(2):
        assert isinstance(await one(settings), Delivered)
    got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])

    assert ["m-0"] == [m["Attributes"]["MessageDeduplicationId"] for m in got["Messages"]]
    assert aws_sqs.TYPE.ordered(settings)
    assert not aws_sqs.TYPE.ordered(named("by-name", moto))


async def test_it_is_asked_for_once_for_each_connection(moto, queue, faults):
    """Ten calls at once and ten later ones: one question; a new connection asks again."""
    faults.reply = lambda request: forward(moto, request)
    async with faults.serving() as url:
        settings = named(name_of(queue), url)
        for opened in (1, 2):
            async with aws_sqs.connect(settings, LOCAL) as sqs:
                await asyncio.gather(*(sqs.deliver([m]) for m in batch(10)))
                for message in batch(2):
                    await sqs.deliver([message])
            assert opened == len(asked(faults))
    sent = [json.loads(r.body) for r in faults.requests if r.headers["x-amz-target"] != GET]

    assert {"QueueName": name_of(queue)} == json.loads(asked(faults)[0].body)
    assert {queue.url.rpartition("/")[2]} == {s["QueueUrl"].rpartition("/")[2] for s in sent}
    assert 24 == len(queue.bodies())


async def test_with_an_address_nothing_is_asked(queue, faults):
    """And so no further permission is needed."""
    faults.reply = sqs_half
    async with faults.serving() as url:
        await one(aws_sqs.Settings(queue_url=queue.url, aws=access(url)))

    assert ([], 1) == (asked(faults), len(faults.requests))


async def test_a_queue_that_is_not_there(moto):
    """The emulator's own answer, in SolarNetwork's words; it parks until somebody makes it."""
    outcome = await one(named("nowhere", moto))

    assert ABSENT == outcome.reason
    assert Verdict.PARK == judge(outcome, aws_sqs.TYPE.verdicts)


@pytest.mark.parametrize("code", ["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"])
async def test_both_names_of_its_absence(faults, code):
    """SQS' code of today, and its older one."""
    faults.reply = sqs_error(400, code)
    async with faults.serving() as url:
        outcome = await one(named("nowhere", url))

    assert (ABSENT, Verdict.PARK) == (outcome.reason, judge(outcome, aws_sqs.TYPE.verdicts))


async def test_a_queue_that_is_made_later_is_found(moto, aws):
    """What was not there is asked for again, on the same connection."""
    async with aws_sqs.connect(named("later", moto), LOCAL) as sqs:
        before = (await sqs.deliver(batch(1)))["m-0"]
        aws("sqs").create_queue(QueueName="later")
        after = (await sqs.deliver(batch(1)))["m-0"]

    assert isinstance(before, Retry)
    assert isinstance(after, Delivered)


@pytest.mark.parametrize(
    ("reply", "verdict", "words"),
    [
        (sqs_error(403, "AccessDenied", "no GetQueueUrl"), Verdict.PARK, "no GetQueueUrl"),
        (sqs_error(400, "RequestThrottled"), Verdict.THROTTLE, "said the fake"),
        (sqs_error(503, "ServiceUnavailable"), Verdict.DOWN, "said the fake"),
        (sqs_error(500, "InternalError"), Verdict.RETRY, "said the fake"),
        (Reply(200, b"<html>"), Verdict.RETRY, "named no address"),
        (Reply(200, b'{"QueueUrl": 7}'), Verdict.RETRY, "named no address"),
        (Reply(200, b"[]"), Verdict.RETRY, "named no address"),
    ],
)
async def test_other_refusals_are_what_they_are(faults, reply, verdict, words):
    """Credentials, throttling, an outage, nonsense: for every message of the batch, in one call."""
    faults.reply = reply
    async with faults.serving() as url:
        outcomes = await deliver(aws_sqs.TYPE, named("q", url), batch(3), LOCAL)

    assert {verdict} == {judge(outcome, aws_sqs.TYPE.verdicts) for outcome in outcomes.values()}
    assert words in outcomes["m-2"].reason
    assert (3, 1) == (len(outcomes), len(faults.requests))


async def test_nobody_answers(faults):
    """A connection that is cut counts nothing against the messages."""
    faults.reply = Reply(cut=True)
    async with faults.serving() as url:
        with pytest.raises(UnreachableError):
            await one(named("q", url))


async def test_the_permission_that_it_needs(moto, aws, queue):
    """With the emulator's checks on: sending alone is not enough, and the reason says so."""
    iam = aws("iam")
    iam.create_user(UserName="by-name")
    keys = keys_of(iam, "by-name", moto)
    settings = aws_sqs.Settings(queue_name=name_of(queue), aws=keys)

    async def allowed(*actions):
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        reset(moto, "1000000")
        iam.put_user_policy(UserName="by-name", PolicyName="p", PolicyDocument=policy)
        reset(moto, "0")
        return await one(settings)

    try:
        denied = await allowed("sqs:SendMessageBatch")
        taken = await allowed("sqs:SendMessageBatch", "sqs:GetQueueUrl")
    finally:
        reset(moto, "1000000")

    assert Verdict.PARK == judge(denied, aws_sqs.TYPE.verdicts)
    assert "sqs:GetQueueUrl" in denied.reason.replace("SQS", "sqs")
    assert isinstance(taken, Delivered), taken
    assert "sqs:GetQueueUrl" in aws_sqs.TYPE.docs


@pytest.mark.parametrize(
    "given",
    [
        {}, {"queue_url": "https://sqs.eu-central-1.amazonaws.com/1/q", "queue_name": "q"},
        {"queue_name": ""}, {"queue_name": "a b"}, {"queue_name": "a.b"}, {"queue_name": "q/1"},
        {"queue_name": "q" * 81}, {"queue_name": "q.fifo.fifo"}, {"queue_name": "ä"},
    ],
)  # fmt: skip
def test_settings_that_cannot_work(given):
    """Exactly one of the two, and a name that SQS would give."""
    with pytest.raises(ValidationError):
        aws_sqs.Settings(aws=access("https://x"), **given)


def test_the_ledger_tells_where_it_goes():
    """The address where there is one, else the region and the name."""
    assert f"sqs://{REGION}/readings" == aws_sqs.TYPE.address(named("readings", "https://x"))


async def test_a_name_from_solarnetwork_works(moto, queue):
    """An access key that does not tell its account: the name is kept, and delivery finds it."""
    properties = {
        "region": REGION,
        "queueName": name_of(queue),
        "accessKey": "AKIAI52OM4KFAAAAAAAA",
        "secretKey": "s",
    }
    flat = queues.to_settings(properties)
    given = {k.removeprefix("aws."): v for k, v in flat.items() if k.startswith("aws.")}
    settings = aws_sqs.Settings(queue_name=flat["queue_name"], aws={**given, "endpoint_url": moto})

    assert isinstance(await one(settings), Delivered)
    assert [b'{"n": 0}'] == queue.bodies()
    assert properties == queues.to_properties(flat)
