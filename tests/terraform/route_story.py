"""One message of Wattwire's, through a deployment, to everywhere it has to arrive.

Shared by the deployments: made through the API of the evaluated values, and applied by Terraform.
"""

import gzip
import json
from dataclasses import replace
from ipaddress import ip_network
from urllib.request import urlopen

import iam_fake
from moto_iot import REGION
from route_fakes import arn

from wattwire.integrations import aws_iot
from wattwire.integrations.contract import Delivered, Surroundings
from wattwire.model import Message
from wattwire.payloads import FORMATS
from wattwire.payloads.examples import POWER

LOCAL = Surroundings(allowed_networks=(ip_network("127.0.0.0/8"),))
TOPIC = "spBv1.0/pm500/DDATA/{metadata.site}/{device_key}"
NORTH = "spBv1.0/pm500/DDATA/site-north/pm-0007"
EVENT = replace(POWER, metadata={**POWER.metadata, "site": "site-north"})
#: When the broker has the message: five seconds into the next day (the reading is of 2024-04-23).
NOW = 1_713_916_805_000


def payload(event=EVENT):
    """The body that Wattwire's format sparkplug_json makes of a PowerMonitor's event."""
    kind = FORMATS["sparkplug_json"]
    settings = kind.settings.model_validate({"powermonitor_500_aliases": True})
    return kind.make(settings, 1).render(event)


async def published(deployed):
    """Publish by Wattwire's own integration; returns (topic, payload) as the broker has them."""
    settings = aws_iot.Settings(
        topic=TOPIC,
        endpoint=deployed.url.partition("://")[2],
        aws={"region": REGION, "access_key_id": "k", "secret_access_key": "s",
             "endpoint_url": deployed.url},
    )  # fmt: skip
    message = Message("m-1", payload(), topic=EVENT.topic, device=EVENT.device_key, event=EVENT)
    async with aws_iot.connect(settings, LOCAL) as iot:
        outcome = (await iot.deliver([message]))["m-1"]
    assert isinstance(outcome, Delivered), outcome
    with urlopen(f"{deployed.url}/published", timeout=10) as answer:
        return tuple(json.loads(answer.read())[-1])


def expected():
    """What every consumer has to see: the payload, and what the topic and the broker know."""
    return {
        **json.loads(payload()),
        "message_type": "DDATA",
        "site": "site-north",
        "asset": "pm-0007",
        "received_at": NOW,
    }


async def message_arrives(deployed):
    """Publish, run the routes, and hold what arrives against what was sent."""
    topic, body = await published(deployed)

    assert topic == NORTH
    assert body.encode() == payload()
    _the_publisher_may(deployed, topic)
    message_is_carried(deployed)


def message_is_carried(deployed):
    """From the broker to the stream, the archive and the queue."""
    routes = deployed.routes
    routes.publish(NORTH, payload().decode(), NOW)
    routes.flush_firehose()
    routes.run_pipe(f"{deployed.name}-events")

    assert routes.failures == []
    _on_the_stream(deployed, routes)
    _in_the_archive(deployed)
    _on_the_queue(deployed)


def _the_publisher_may(deployed, topic):
    policy = deployed.outputs["publisher_policy_arn"]
    document = iam_fake.document_of(deployed.client("iam"), policy)
    assert iam_fake.allows(document, "iot:Publish", arn("iot", f"topic/{topic}"))
    assert iam_fake.allows(document, "iot:DescribeEndpoint", "*")


def _on_the_stream(deployed, routes):
    (record,) = routes.records(deployed.outputs["kinesis_stream_arn"])
    assert record["PartitionKey"] == "pm-0007"
    assert json.loads(record["Data"]) == expected()


def _in_the_archive(deployed):
    s3, bucket = deployed.client("s3"), deployed.outputs["archive_bucket_name"]
    (entry,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert entry["Key"].startswith(f"site-north/2024/04/23/{deployed.name}-archive-1-")
    assert entry["Key"].endswith(".jsonl.gz")
    text = gzip.decompress(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()).decode()
    assert text.endswith("\n")
    assert [json.loads(line) for line in text.splitlines()] == [expected()]


def _on_the_queue(deployed):
    sqs = deployed.client("sqs")
    url = sqs.get_queue_url(QueueName=deployed.name)["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ())
    event = json.loads(message["Body"])
    assert (event["source"], event["detail-type"]) == ("wattwire", "device.telemetry")
    assert event["detail"] == expected()
