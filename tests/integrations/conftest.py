"""One bench for each type: a real or emulated service, and what it says when it refuses."""

import os
import sys
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import aiohttp.web
import boto3
import pytest
from integrations_counterparts import (
    REGION,
    Bench,
    FaultServer,
    Reply,
    access,
    half_of_webhooks,
    sns_error,
    sns_half,
    sqs_error,
    sqs_half,
)
from moto.server import ThreadedMotoServer

from wattwire.integrations import TYPES
from wattwire.integrations.contract import Surroundings
from wattwire.store import ledger

sys.path.append(str(Path(__file__).parent.parent / "delivery"))
from delivery_story import FakeClock, Receivers, Story

LOCAL = Surroundings(allowed_networks=(ip_network("127.0.0.0/8"), ip_network("::1/128")))
KEYS = {"region_name": REGION, "aws_access_key_id": "k", "aws_secret_access_key": "s"}


@pytest.fixture(params=sorted(TYPES))
def bench(request):
    """Every registered type; one without a bench is an error in each of its tests."""
    return request.getfixturevalue(f"{request.param}_bench")


@pytest.fixture
def surroundings():
    """Loopback may be reached, as an operator may allow it."""
    return LOCAL


@pytest.fixture
def faults():
    """A server that fails as it is told."""
    return FaultServer()


class Inbox:
    """A real HTTP server that keeps what it is sent."""

    def __init__(self):
        self.requests = []
        self.bodies = []
        self.status = 200

    async def take(self, request):
        self.requests.append(request)
        self.bodies.append(await request.read())
        return aiohttp.web.Response(status=self.status, text="thank you")


@pytest.fixture
async def inbox():
    """A webhook's endpoint."""
    inbox = Inbox()
    app = aiohttp.web.Application()
    app.router.add_route("*", "/{path:.*}", inbox.take)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    inbox.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield inbox
    await runner.cleanup()


@pytest.fixture
def webhook_bench(inbox):
    """A real HTTP server."""
    kind = TYPES["webhook"]

    def aimed_at(url):
        return kind.settings(
            url=f"{url}/hook", secret_key="s3cr3t", headers={"X-Key": "s3cr3t"}, timeout_seconds=1
        )

    return Bench(
        kind=kind,
        surroundings=LOCAL,
        settings=aimed_at(inbox.url),
        received=lambda: inbox.bodies,
        aimed_at=aimed_at,
        replies={
            "denied": Reply(401, b"who are you?"),
            "refused": Reply(413, b"too much"),
            "broken": Reply(500, b"oops"),
            "away": Reply(503, b"later", {"Retry-After": "7"}),
            "throttled": Reply(429, b"slow", {"Retry-After": "7"}),
            "half": half_of_webhooks(),
        },
    )


@pytest.fixture(scope="session")
def moto():
    """An AWS emulator, for the whole run."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("AWS_")}
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()
    os.environ.update(kept)


@pytest.fixture
def aws(moto):
    """A maker of clients that speak to the emulator, of an independent library."""
    return lambda service: boto3.client(service, endpoint_url=moto, **KEYS)


@pytest.fixture
def queue(aws, request):
    """A queue of the test's own: URL, and what is on it."""
    sqs = aws("sqs")
    name = f"q-{abs(hash(request.node.nodeid)) % 10**9}"
    return Queue(sqs, sqs.create_queue(QueueName=name)["QueueUrl"])


class Queue:
    """A queue of the emulator."""

    def __init__(self, client, url):
        self.client = client
        self.url = url
        self.arn = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])[
            "Attributes"
        ]["QueueArn"]

    def messages(self):
        found = []
        while got := self.client.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
            VisibilityTimeout=60,
        ).get("Messages"):
            found += got
        return found

    def bodies(self):
        return [message["Body"].encode() for message in self.messages()]


@pytest.fixture
def aws_sqs_bench(moto, queue):
    """A queue of the emulator."""
    kind = TYPES["aws_sqs"]

    def aimed_at(url):
        return kind.settings(queue_url=queue.url, aws=access(url))

    return Bench(
        kind=kind,
        surroundings=LOCAL,
        settings=aimed_at(moto),
        received=queue.bodies,
        aimed_at=aimed_at,
        replies={
            "denied": sqs_error(403, "InvalidClientTokenId"),
            "refused": None,
            "broken": sqs_error(500, "InternalError"),
            "away": sqs_error(503, "ServiceUnavailable"),
            "throttled": sqs_error(400, "RequestThrottled"),
            "half": sqs_half,
        },
    )


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
            "refused": None,
            "broken": sns_error(500, "InternalError"),
            "away": sns_error(503, "ServiceUnavailable"),
            "throttled": sns_error(400, "Throttling"),
            "half": sns_half,
        },
    )


@pytest.fixture
async def story(pool, organization_id):
    """The delivery engine on a database, for what a fault does to the ledger."""
    async with pool.acquire() as connection:
        await ledger.ensure_partitions(connection, datetime.now(UTC).date())
    return Story(pool, organization_id, Receivers(), FakeClock())
