"""One bench for each type: a real or emulated service, and what it says when it refuses."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import aiohttp.web
import boto3
import pytest
from bench_aws_eventbridge import aws_eventbridge_bench, bus
from bench_aws_iot import aws_iot_bench, broker
from bench_aws_kinesis import aws_kinesis_bench, stream
from bench_aws_s3 import aws_s3_bench, bucket
from bench_aws_sns import aws_sns_bench, topic
from bench_aws_sqs import aws_sqs_bench
from bench_azure_iot import azure_iot_bench, iot_hub
from bench_email import (
    bench_faults,
    email_bench,
    mail_authority,
    mail_server,
    mail_settings,
    trusting,
)
from bench_gcp_pubsub import authority, gcp_pubsub_bench, google_surroundings, pubsub
from bench_golioth import golioth, golioth_bench
from bench_google_iot import google_iot_bench
from bench_influxdb import influx, influx_process, influxdb_bench, version_two
from bench_mqtt import mqtt_bench, mqtt_broker, onlooker, start_broker
from bench_slack import fake_slack, slack_bench
from bench_webhook import webhook_bench
from integrations_counterparts import LOCAL, REGION, FaultServer
from moto.server import ThreadedMotoServer

from wattwire.integrations import TYPES
from wattwire.store import ledger

sys.path.append(str(Path(__file__).parent.parent / "delivery"))
from delivery_story import FakeClock, Receivers, Story

# One bench for each type, in a file of its own; pytest finds the fixtures by these names.
__all__ = [
    "authority",
    "aws_eventbridge_bench",
    "aws_iot_bench",
    "aws_kinesis_bench",
    "aws_s3_bench",
    "aws_sns_bench",
    "aws_sqs_bench",
    "azure_iot_bench",
    "bench_faults",
    "broker",
    "bucket",
    "bus",
    "email_bench",
    "fake_slack",
    "gcp_pubsub_bench",
    "golioth",
    "golioth_bench",
    "google_iot_bench",
    "google_surroundings",
    "influx",
    "influx_process",
    "influxdb_bench",
    "iot_hub",
    "mail_authority",
    "mail_server",
    "mail_settings",
    "mqtt_bench",
    "mqtt_broker",
    "onlooker",
    "pubsub",
    "slack_bench",
    "start_broker",
    "stream",
    "topic",
    "trusting",
    "version_two",
    "webhook_bench",
]
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
def faults(request):
    """A server that fails as it is told, in the protocol of the type under test."""
    asks = "bench" in request.fixturenames
    return request.getfixturevalue("bench").faults if asks else FaultServer()


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
async def story(pool, organization_id):
    """The delivery engine on a database, for what a fault does to the ledger."""
    async with pool.acquire() as connection:
        await ledger.ensure_partitions(connection, datetime.now(UTC).date())
    return Story(pool, organization_id, Receivers(), FakeClock())
