"""What tests of SQS and SNS send, and the way they do; keys of the emulator."""

from integrations_counterparts import REGION, access
from test_conformance import message_of

from wattwire.integrations._aws_access import Access
from wattwire.model import Message

ARN = f"arn:aws:sns:{REGION}:123456789012:readings"


QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/readings"


REFUSAL = (
    "User: arn:aws:iam::940497413619:user/CXASubCloudPush is not authorized to perform: SNS:Publish"
    " on resource: arn:aws:sns:us-east-2:393221637266:MainSolar because no resource-based policy"
    " allows the SNS:Publish action"
)


def batch(count, **facts):
    return [Message(f"m-{n}", b'{"n": %d}' % n, **facts) for n in range(count)]


async def deliver(kind, settings, messages, surroundings):
    async with kind.connect(settings, surroundings) as integration:
        return await integration.deliver(messages)


def keys_of(iam, user, moto):
    keys = iam.create_access_key(UserName=user)["AccessKey"]
    return access(moto) | {
        "access_key_id": keys["AccessKeyId"],
        "secret_access_key": keys["SecretAccessKey"],
    }


async def probe(bench, aws):
    """Send one message with these keys."""
    settings = bench.settings.model_copy(update={"aws": Access.model_validate(aws)})
    message = message_of("m-1", {"n": 1.0})
    async with bench.connect(settings) as integration:
        return (await integration.deliver([message]))["m-1"]


def reset(moto, requests):
    """Have the emulator check signatures after so many requests."""
    import urllib.request

    request = urllib.request.Request(
        f"{moto}/moto-api/reset-auth",
        data=requests.encode(),
        headers={"Content-Type": "text/plain"},
    )
    urllib.request.urlopen(request, timeout=5).read()
