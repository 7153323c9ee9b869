"""A topic of the emulator for SNS, and SNS' words for refusals."""

from urllib.parse import parse_qs

import pytest
from integrations_counterparts import LOCAL, Bench, Reply, access

from wattwire.integrations import TYPES

XML = "text/xml"


def sns_error(status, code, text="said the fake"):
    body = (
        '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{text}</Message></Error></ErrorResponse>"
    )
    return Reply(status, body.encode(), {"Content-Type": XML})


def sns_half(request):
    """The same in SNS' words."""
    form = parse_qs(request.body.decode())
    ids = [v[0] for k, v in form.items() if k.endswith(".Id")]
    taken = "".join(
        f"<member><Id>{i}</Id><MessageId>got-{i}</MessageId></member>" for i in ids[::2]
    )
    failed = "".join(
        f"<member><Id>{i}</Id><Code>InternalError</Code><Message>half</Message>"
        "<SenderFault>false</SenderFault></member>"
        for i in ids[1::2]
    )
    body = (
        '<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">'
        f"<PublishBatchResult><Successful>{taken}</Successful><Failed>{failed}</Failed>"
        "</PublishBatchResult></PublishBatchResponse>"
    )
    return Reply(200, body.encode(), {"Content-Type": XML})


@pytest.fixture
def topic(aws, queue, request):
    """A topic whose messages end up on a queue, as they are."""
    sns = aws("sns")
    name = f"t-{abs(hash(request.node.nodeid)) % 10**9}"
    arn = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(
        TopicArn=arn,
        Protocol="sqs",
        Endpoint=queue.arn,
        Attributes={"RawMessageDelivery": "true"},
    )
    return arn


@pytest.fixture
def aws_sns_bench(moto, queue, topic):
    """A topic of the emulator, with a queue that subscribes to it."""
    kind = TYPES["aws_sns"]

    def aimed_at(url):
        return kind.settings(topic_arn=topic, aws=access(url))

    return Bench(
        kind=kind,
        surroundings=LOCAL,
        settings=aimed_at(moto),
        received=queue.bodies,
        aimed_at=aimed_at,
        replies={
            "denied": sns_error(403, "AuthorizationError"),
            "broken": sns_error(500, "InternalError"),
            "away": sns_error(503, "ServiceUnavailable"),
            "throttled": sns_error(400, "Throttling"),
            "half": sns_half,
            "taken": sns_half,
        },
    )
