"""From a smart meter's message to a message on a queue, and back to the datum that it names."""

import asyncio
import json
import os
import shutil
import ssl
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import boto3
import paho.mqtt.client as paho
import pytest
from moto.server import ThreadedMotoServer
from running_hub import until

HERE = Path(__file__).parent
MODULES = HERE.parent / "node" / "node_modules"
#: As SolarNetwork's documentation prints it: June 2020 of a node in New Zealand.
PRINTED = """
{
  "topic"          : "datum/agg/update",
  "userId"         : 123,
  "hookId"         : 234,
  "nodeId"         : 456,
  "sourceId"       : "/power/1",
  "aggregationKey" : "M",
  "timestamp"      : 1590926400000
}
"""
EVENT = json.loads(PRINTED)
IDS = ("userId", "hookId", "nodeId", "sourceId")
SQS = "net.solarnetwork.central.user.event.dest.sqs.SqsUserNodeEventHookService"
KEYS = {
    "aws_access_key_id": "AAAAAAA555555555FFFF",
    "aws_secret_access_key": "super.secret.key.here",
}
REGION = "us-west-2"
ZONE = "Pacific/Auckland"
DEVICE = "6ede44a4-ea21-4c17-b5c4-37eb3875e554"
MIDNIGHT = EVENT["timestamp"] // 1000  # the first of June there
KWH = [round(0.111 + 0.001 * n, 3) for n in range(96)]
DAY = {
    "deviceId": DEVICE,
    "dataFrequencyMins": 15,
    "date": "2020-06-01",
    "electricReadings": [
        {"timestampUtcEpochSecs": MIDNIGHT + 900 * n, "consumptionKwh": kwh}
        for n, kwh in enumerate(KWH)
    ],
}


@pytest.fixture
def queue():
    """A queue of an AWS emulator, with the name that the documentation has."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("AWS_")}
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    client = boto3.client("sqs", endpoint_url=endpoint, region_name=REGION, **KEYS)
    url = client.create_queue(QueueName="node-event-dest-test")["QueueUrl"]
    yield SimpleNamespace(endpoint=endpoint, client=client, url=url)
    client.close()
    server.stop()
    os.environ.update(kept)


def received(queue):
    """The bodies of what waits on the queue, taken off it."""
    found = []
    while got := queue.client.receive_message(
        QueueUrl=queue.url, MaxNumberOfMessages=10, VisibilityTimeout=60
    ).get("Messages"):
        for message in got:
            found.append(message["Body"])
            queue.client.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
    return found


def publish(hub, login, message):
    """Hand a message over as the meter's integration guide says: MQTT 3.1.1, TLS, QoS 2."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="meter")
    client.username_pw_set(login["username"], login["password"])
    client.tls_set_context(ssl.create_default_context(cafile=hub.info["ca_file"]))
    client.connect("localhost", hub.info["mqtts_port"])
    client.loop_start()
    sent = client.publish(login["topic"], json.dumps(message), qos=2)
    sent.wait_for_publish(20)
    client.disconnect()
    client.loop_stop()
    assert sent.is_published()


async def run_library(folder, script, *arguments, body=""):
    """Run a script with SolarNetwork's own library; return what it printed."""
    if not (MODULES / "solarnetwork-api-core").exists():
        pytest.fail("solarnetwork-api-core is missing: npm ci --prefix tests/node")
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(MODULES)
    process = await asyncio.create_subprocess_exec(
        "node", shutil.copy(script, folder), *arguments, cwd=folder, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate(body.encode())
    assert process.returncode == 0, err.decode()
    return [json.loads(line) for line in out.splitlines()]


async def save_hook(hub, token, queue, folder, node):
    """Create the hook of the documentation, for this node, with the library; return the answer."""
    hook = {
        "name": "SQS Test",
        "topic": EVENT["topic"],
        "nodeIds": [node],
        "sourceIds": ["/consumption"],
        "serviceIdentifier": SQS,
        "serviceProperties": {
            "region": REGION,
            "queueName": queue.url,
            "accessKey": KEYS["aws_access_key_id"],
            "secretKey": KEYS["aws_secret_access_key"],
            "aws.endpoint_url": queue.endpoint,
        },
    }
    request = {
        "method": "POST",
        "path": "/solaruser/api/v1/sec/user/event/node/hooks",
        "body": json.dumps(hook),
    }
    script = HERE.parent / "solarnetwork" / "solarnetwork_client.mjs"
    where = (hub.info["http_url"], token["id"], token["secret"])
    (answer,) = await run_library(folder, script, *where, body=json.dumps(request) + "\n")
    assert answer["json"]["success"], answer
    return answer["json"]["data"]


@pytest.mark.slow
async def test_a_meters_day_reaches_a_queue_and_the_datum_is_found(hub, queue, tmp_path):
    """The body is the documented one but for ids; what it names is there to be fetched.

    The hours, the day and the month that the meter's message changed are told, each in the zone of
    the node; each is found by the key, the timestamp and the ids of its message.
    """
    async with hub.api() as api:
        device = await api.post("/api/v1/devices", {"key": DEVICE, "time_zone": ZONE})
    token = await hub.command("solarnetwork-token", "create", "--name", "receiver")
    login = await hub.command(
        "mqtt-credential", "create", "--username", "partner", "--topic", "partner/readings",
        "--format", "smart_meter",
    )  # fmt: skip
    hook = await save_hook(hub, token, queue, tmp_path, device["id"])
    await asyncio.to_thread(publish, hub, login, DAY)

    bodies = []

    async def all_told():
        bodies.extend(await asyncio.to_thread(received, queue))
        told = Counter(json.loads(body)["aggregationKey"] for body in bodies)
        return told if told["h"] >= 24 and told["d"] and told["M"] else None

    told = await until(all_told, 60, "24 hours, a day and a month on the queue")
    own = {"userId": hook["userId"], "hookId": hook["id"], "nodeId": device["id"],
           "sourceId": "/consumption"}  # fmt: skip
    wanted = EVENT | own
    month = next(body for body in bodies if '"M"' in body)
    assert month == json.dumps(wanted, separators=(",", ":"))
    for body in bodies:
        event = json.loads(body)
        assert list(event) == list(EVENT)
        assert {k: type(v) for k, v in event.items()} == {k: type(v) for k, v in EVENT.items()}
        assert {k: event[k] for k in IDS} == own
    assert told["h"] == 24

    async def fetched(body):
        where = (hub.info["http_url"], token["id"], token["secret"])
        (found,) = await run_library(tmp_path, HERE / "hook_receiver.mjs", *where, body=body)
        return found["results"]

    async def has_all(body):
        (result,) = await fetched(body)
        return result if result["energy_import_wh"] == pytest.approx(1000 * sum(KWH)) else None

    day = next(body for body in bodies if '"d"' in body)
    hour = next(body for body in bodies if '"h"' in body)
    for body, starts in ((month, "2020-06-01"), (day, "2020-06-01")):
        result = await until(lambda body=body: has_all(body), 30, "the sum of the whole day")
        assert (result["nodeId"], result["sourceId"]) == (device["id"], "/consumption")
        assert result["created"] == "2020-05-31 12:00:00Z"
        assert (result["localDate"], result["localTime"]) == (starts, "00:00")
    (result,) = await fetched(hour)
    place = (json.loads(hour)["timestamp"] // 1000 - MIDNIGHT) // 900
    assert result["energy_import_wh"] == pytest.approx(1000 * sum(KWH[place : place + 4]))
