"""The sections of DEVELOPER_APIS.md about consuming: code that runs, tables that are true."""

import asyncio
import base64
import json
import re
import threading

import msgspec
import pytest
from client_messages import DEVICE, NODE, device_birth, device_data, node_birth, node_death
from paho.mqtt import publish

from documented import ROOT, blocks, sample_of, shape
from wattwire.client import (
    Born,
    Broker,
    Died,
    Gap,
    Interrupted,
    Missed,
    Refused,
    Sample,
    read_record,
)
from wattwire.delivery.rendering import find_format
from wattwire.formats import sparkplug_b
from wattwire.formats.assembly_maps import DEFAULT_MAP, MAPS
from wattwire.formats.protobuf_wire import fields
from wattwire.integrations._json_bodies import identified
from wattwire.model import Message
from wattwire.payloads._metrics import POWERMONITOR_500
from wattwire.payloads.examples import POWER

PAGE = blocks("DEVELOPER_APIS.md")
CODE = {b.words[0]: b for b in PAGE if b.language == "python" and b.words}
TEXT = (ROOT / "DEVELOPER_APIS.md").read_text()
PATIENCE = 20


def example(word):
    (block,) = [b for b in PAGE if b.language == "json" and b.words == (word,)]
    return json.loads(block.text)


def rows(heading):
    """The rows of all tables of a section."""
    section = TEXT.split(f"\n{heading}\n", 1)[1]
    section = re.split(r"\n##+ ", section, maxsplit=1)[0]
    found = re.findall(r"^\|(.+)\|$", section, re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in found]


# --- tables and payloads ---


def test_the_metrics_of_a_powermonitor_500():
    """Names, aliases and units are those that the hub writes."""
    shown = {
        row[0].strip("`"): (row[1].strip("`"), row[2])
        for row in rows("### JSON of a PowerMonitor 500")
        if "PM500/" in row[1]
    }

    assert POWERMONITOR_500 == {name: shown.get(name) for name in POWERMONITOR_500}
    assert len(POWERMONITOR_500) == len(shown)


def test_what_the_hub_reads_from_a_powermonitor_500():
    """Every quantity of the map that it reads by default, with its unit."""
    further = {
        name: row[1] for row in rows("### JSON of a PowerMonitor 500") if len(row) == 2
        for name in re.findall(r"`(\w+)`", row[0])
    }  # fmt: skip
    units = {name: unit for name, (_, unit) in POWERMONITOR_500.items()} | further

    assert MAPS[DEFAULT_MAP].units == units
    assert not further.keys() & POWERMONITOR_500.keys()


@pytest.mark.parametrize("word", ["sparkplug_json", "record"])
def test_the_documented_message_is_what_the_hub_writes(word):
    """The members, in their order and of their types."""
    form = find_format("sparkplug_json", {"powermonitor_500_aliases": word == "sparkplug_json"})
    body = form.render(POWER)
    if word == "record":
        body = identified(Message("m-1", body))
    real, shown = json.loads(body), example(word)
    if word == "record":
        real["metrics"][0] = real["metrics"][2]  # one with the members that are shown

    assert list(shown) == list(real)
    assert shape(shown) == shape(real)


def test_the_documented_output_of_a_rule():
    """What the rule adds is in its SQL and in the table; the client reads it."""
    output = example("aws_iot_output")
    added = [name for name in output if name not in example("sparkplug_json")]
    folder = ROOT / "cloud" / "aws-iot" / "terraform" / "modules" / "data_routes"
    sql = (folder / "main.tf").read_text()
    (sample,) = read_record(json.dumps(output))

    assert added == re.findall(r"\) AS (\w+)", sql)
    assert added == [row[0].strip("`") for row in rows("## AWS IoT rule outputs") if "`" in row[0]]
    assert ("site-north/pm-0007", "realPower", 4.2) == (sample.key, sample.name, sample.value)


def test_the_numbers_of_the_fields():
    """The numbers of the table are those on the wire."""
    numbers = {r[0].strip("`"): r[1] for r in rows("### Sparkplug B") if r[1].isdigit()}
    metric = sparkplug_b.metric_of(
        sparkplug_b.DataType.INT32, None, name="x", alias=1, timestamp=2, historical=True,
        properties={"engUnit": "V"},
    )  # fmt: skip
    body = sparkplug_b.encode_payload(sparkplug_b.Payload([metric], 3, 4, "u"))
    outer = {key >> 3: value for key, value in fields(body, "")}
    inner = [key >> 3 for key, _ in fields(outer[2], "")]
    said = {name: int(number) for name, number in numbers.items()}
    of_metrics = {n.partition("[].")[2]: number for n, number in said.items() if "[]" in n}

    assert {"timestamp": 1, "metrics": 2, "seq": 3, "uuid": 4} == {
        name: number for name, number in said.items() if "[]" not in name
    }
    assert [1, 2, 3, 4, 5, 7, 9] == sorted(inner)
    assert ["name", "alias", "timestamp", "datatype", "is_historical", "is_null", "properties"] == (
        sorted(of_metrics, key=of_metrics.get)
    )
    assert sorted(inner) == sorted(of_metrics.values())


def test_the_fields_of_results():
    """The table names every field of every result."""
    shown = {name: row[2] for row in rows("## Python client") if len(row) == 3
             for name in re.findall(r"`(\w+)`", row[0])}  # fmt: skip
    for kind in (Sample, Born, Died, Gap, Refused, Interrupted, Missed):
        named = set(re.findall(r"`(\w+)`", shown[kind.__name__]))
        assert {f.name for f in msgspec.structs.fields(kind)} <= named


def test_every_program_is_listed():
    """The examples of the folder, and no others."""
    programs = {path.name for path in (ROOT / "examples").glob("*.py")}

    assert programs == set(re.findall(r"\(examples/(\w+\.py)\)", TEXT))


# --- code ---


def say(port):
    messages = [
        (NODE.format("NBIRTH"), node_birth()),
        (DEVICE.format("DBIRTH"), device_birth()),
        (DEVICE.format("DDATA"), device_data(2, value=481.5)),
        (DEVICE.format("DDATA"), b"\xff"),
        (NODE.format("NDEATH"), node_death()),
    ]
    publish.multiple([(t, p, 1, False) for t, p in messages], hostname="127.0.0.1", port=port)


async def test_the_blocking_example(mosquitto):
    """It yields the value of the data, and not those of the birth."""
    found = sample_of(CODE["listen"])["values"](f"mqtt://127.0.0.1:{mosquitto.port}")
    first = asyncio.create_task(asyncio.to_thread(next, found))
    async with asyncio.timeout(PATIENCE):
        while not first.done():
            await asyncio.to_thread(say, mosquitto.port)
            await asyncio.wait([first], timeout=0.2)
    await asyncio.to_thread(found.close)

    assert ("pm500/edge-1/pm-7", "voltageAN", 481.5, "V") == first.result()[1:]
    assert not [t for t in threading.enumerate() if t.name == "wattwire-client"]


async def test_the_asyncio_example(mosquitto, capsys):
    """It follows values and deaths, and says what was not understood."""
    state, broker = {}, Broker(url=f"mqtt://127.0.0.1:{mosquitto.port}")
    following = asyncio.create_task(sample_of(CODE["subscribe"])["follow"](broker, state))
    async with asyncio.timeout(PATIENCE):
        while ("pm500/edge-1/pm-7", "status") not in state:
            await asyncio.to_thread(say, mosquitto.port)
            await asyncio.sleep(0.1)
    following.cancel()
    await asyncio.wait([following])

    assert 481.5 == state["pm500/edge-1/pm-7", "voltageAN"]
    assert "offline" == state["pm500/edge-1", "status"]
    assert DEVICE.format("DDATA") in capsys.readouterr().out


class Publishes:
    """What `client.publish` was called with."""

    def __init__(self):
        self.topics = []

    def publish(self, topic, payload):
        self.topics.append(topic)


class Incoming:
    def __init__(self, topic, payload):
        self.topic, self.payload = topic, payload


def test_the_example_for_other_libraries(capsys):
    """Printed by name; a birth is asked for where it is missing, as after a lost connection."""
    sample, client = sample_of(CODE["paho"]), Publishes()
    for topic, payload in [
        (NODE.format("NBIRTH"), node_birth()),
        (DEVICE.format("DBIRTH"), device_birth()),
        (DEVICE.format("DDATA"), device_data(2, value=481.5)),
    ]:
        sample["on_message"](client, None, Incoming(topic, payload))
    assert [] == client.topics
    sample["on_disconnect"](client, None, None, None, None)
    sample["on_message"](client, None, Incoming(DEVICE.format("DDATA"), device_data(9)))

    assert "pm500/edge-1/pm-7 voltageAN 481.5 V" in capsys.readouterr().out
    assert ["spBv1.0/pm500/NCMD/edge-1"] == client.topics


def test_the_example_for_lambda():
    """It reads the documented record as Kinesis hands it to a function."""
    data = base64.b64encode(json.dumps(example("record")).encode()).decode()
    found = sample_of(CODE["lambda"])["handler"]({"Records": [{"kinesis": {"data": data}}]}, None)

    assert [("pm-0007", "realPower", 4.2, "kW", "2024-04-23T18:40:00+00:00")] == found
