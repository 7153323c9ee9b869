"""Each program of examples/, run as its docstring says, on what the hub itself delivers."""

import asyncio
import contextlib
import os
import sys
from datetime import UTC, datetime
from uuid import UUID

import boto3
import pytest
from client_messages import DEVICE, NODE, device_birth, device_data, node_birth
from integrations_counterparts import LOCAL, REGION, access
from moto.server import ThreadedMotoServer
from paho.mqtt import publish

from documented import ROOT
from wattwire.delivery.rendering import find_format
from wattwire.integrations import TYPES
from wattwire.integrations.contract import Delivered
from wattwire.model import Event, Message

PATIENCE = 30
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
KEYS = {"region_name": REGION, "aws_access_key_id": "k", "aws_secret_access_key": "s"}
JSON = b'{"metrics": [{"name": "realPower", "value": 4.25, "properties": {"unit": "kW"}}]}'
FORMS = ["sparkplug_json", "wattwire"]
#: What a person sees of the two events below, in either format.
SHOWN = {
    "sparkplug_json": {f"2025-06-01T12:00:00+00:00 asset-{n} power_w {n}.5 W" for n in range(2)},
    "wattwire": {f"2025-06-01T12:00:00+00:00 meter-{n} power_w {n}.5 W" for n in range(2)},
}


class Program:
    """An example in a process of its own."""

    def __init__(self, process):
        self.process = process

    async def says(self, word, stream="stdout"):
        """Wait for a line with this word."""
        async with asyncio.timeout(PATIENCE):
            while word not in (line := (await getattr(self.process, stream).readline()).decode()):
                assert line, f"it ended without {word!r}"

    async def ends(self):
        """Return the lines that are left, once it has ended well."""
        out, err = await asyncio.wait_for(self.process.communicate(), PATIENCE)
        assert self.process.returncode == 0, err.decode()
        return [line.strip() for line in out.decode().splitlines()]


@contextlib.asynccontextmanager
async def running(name, *options):
    environment = {
        **{n: v for n, v in os.environ.items() if not n.startswith("AWS_")},
        "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "examples" / name), *options, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def say(port):
    """A session of an edge node, and a message in JSON: four values."""
    messages = [
        (NODE.format("NBIRTH"), node_birth()),
        (DEVICE.format("DBIRTH"), device_birth()),
        (DEVICE.format("DDATA"), device_data(2, value=481.5)),
        (DEVICE.format("DDATA"), JSON),
    ]
    publish.multiple([(t, p, 1, False) for t, p in messages], hostname="127.0.0.1", port=port)


async def test_paho_consumer(mosquitto):
    """Births, values by their names and units, from both forms."""
    options = ("--port", str(mosquitto.port), "--count", "4")
    async with running("paho_consumer.py", *options) as program:
        await program.says("subscribed", "stderr")
        await asyncio.to_thread(say, mosquitto.port)
        lines = await program.ends()

    assert "born: edge-1/pm-7 with 2 metrics" in lines
    assert "2025-06-01T12:00:00+00:00 pm500/edge-1/pm-7 voltageAN 481.5 V" in lines
    assert lines[-1].endswith("pm500/edge-1/pm-7 realPower 4.25 kW")


async def test_client_consumer(mosquitto):
    """The same values by the subscriber."""
    options = (f"mqtt://127.0.0.1:{mosquitto.port}", "--count", "4", "--rebirths")
    async with running("client_consumer.py", *options) as program:
        await program.says("subscribed", "stderr")
        await asyncio.to_thread(say, mosquitto.port)
        lines = await program.ends()

    assert 4 == len(lines)
    assert "2025-06-01T12:00:00+00:00 pm500/edge-1/pm-7 voltageAN 481.5 V" == lines[2]


# --- AWS ---


@pytest.fixture(scope="module")
def moto():
    """An AWS emulator."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


def message(form, number):
    event = Event(
        id=UUID(int=number),
        topic="device.telemetry",
        organization_id=UUID(int=1),
        time=NOON,
        data={"stream": "/power/1", "values": {"power_w": number + 0.5}},
        device_key=f"meter-{number}",
        stream="/power/1",
        metadata={"site": "north", "uuid": f"asset-{number}"},
    )
    return Message(
        f"m-{number}", form.render(event), form.content_type, event.topic, event.device_key,
        event=event,
    )  # fmt: skip


async def deliver(kind, form, **settings):
    """Two events, the second one twice, as happens when an answer is lost."""
    made = TYPES[kind].settings(**settings)
    batch = [message(find_format(form), number) for number in range(2)]
    async with TYPES[kind].connect(made, LOCAL) as integration:
        outcomes = [await integration.deliver(part) for part in (batch, batch[1:])]
    assert {Delivered} == {type(o) for found in outcomes for o in found.values()}


@pytest.mark.parametrize("form", FORMS)
async def test_kinesis_consumer(moto, form):
    """Every record that `aws_kinesis` put, from both shards."""
    stream = f"readings-{form}"
    client = boto3.client("kinesis", endpoint_url=moto, **KEYS)
    client.create_stream(StreamName=stream, ShardCount=2)
    await deliver("aws_kinesis", form, stream=stream, aws=access(moto))
    client.put_record(StreamName=stream, PartitionKey="x", Data=b"not ours")
    options = ("--stream", stream, "--region", REGION, "--endpoint-url", moto, "--seconds", "0")
    async with running("kinesis_consumer.py", *options) as program:
        lines = await program.ends()

    assert (3, SHOWN[form]) == (len(lines), set(lines))


@pytest.mark.parametrize("form", FORMS)
async def test_s3_reader(moto, form):
    """Every event that `aws_s3` archived under the prefix, each once."""
    bucket = f"archive-{form.replace('_', '-')}"
    client = boto3.client("s3", endpoint_url=moto, **KEYS)
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    await deliver("aws_s3", form, bucket=bucket, max_age_seconds=0, aws=access(moto))
    client.put_object(Bucket=bucket, Key="south/2025/06/01/x.gz", Body=b"another site's")
    options = ("--bucket", bucket, "--prefix", "north/2025/06/01/", "--region", REGION,
               "--endpoint-url", moto)  # fmt: skip
    async with running("s3_reader.py", *options) as program:
        lines = await program.ends()

    assert (2, SHOWN[form]) == (len(lines), set(lines))


async def test_eventbridge_rule(moto):
    """The rule takes what `aws_eventbridge` puts; in the end nothing of it is left."""
    events, sqs = (boto3.client(name, endpoint_url=moto, **KEYS) for name in ("events", "sqs"))
    events.create_event_bus(Name="energy")
    options = ("--bus", "energy", "--region", REGION, "--endpoint-url", moto, "--seconds", "6",
               "--delete")  # fmt: skip
    async with running("eventbridge_rule.py", *options) as program:
        await program.says("routed")
        (rule,) = events.list_rules(EventBusName="energy")["Rules"]
        for form in FORMS:
            await deliver("aws_eventbridge", form, event_bus="energy", aws=access(moto))
        lines = await program.ends()

    assert "wattwire-example" == rule["Name"]
    assert {
        f"device.telemetry {name}-{n} power_w {n}.5" for name in ("asset", "meter") for n in (0, 1)
    } == set(lines)
    assert [] == events.list_rules(EventBusName="energy")["Rules"]
    assert "QueueUrls" not in sqs.list_queues()


def test_every_example_is_run():
    """A program without a test here is a mistake; each is short, and holds no credentials."""
    programs = {path.stem: path.read_text() for path in (ROOT / "examples").glob("*.py")}

    assert {f"test_{name}" for name in programs} <= set(globals())
    assert [] == [name for name, text in programs.items() if text.count("\n") >= 80]
    assert [] == [name for name, text in programs.items() if "password=" in text.replace(
        'password=os.environ.get("MQTT_PASSWORD")', "")]  # fmt: skip
