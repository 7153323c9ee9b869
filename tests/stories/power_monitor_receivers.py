"""Where a power monitor's readings go in the stories: real receivers, and what each of them holds.

What is held is told in one form everywhere: {(device, epoch milliseconds): {channel: value}}.
"""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from collections import defaultdict
from datetime import datetime
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from influx_counterparts import BUCKET, ORG, TOKEN, InfluxServer, VersionTwo
from moto.server import ThreadedMotoServer

from wattwire.formats.assembly_maps import MAPS, read_values, write_values

TESTS = Path(__file__).parents[1]
MODULES = TESTS / "node" / "node_modules"
REGION = "eu-central-1"
KEYS = {"access_key_id": "AKIAEXAMPLE", "secret_access_key": "s3cr3t"}
#: What each line of InfluxDB holds: its fields, each with its channel.
PHASES = {
    phase: {
        "voltage": f"voltage{phase}N", "current": f"current{phase}", "kW": f"realPower{phase}",
        "kVAR": f"reactivePower{phase}", "kVA": f"apparentPower{phase}",
        "power_factor": f"powerFactor{phase}",
    }
    for phase in "ABC"
}  # fmt: skip
PHASES["total"] = {
    "kWh": "realEnergy", "kW": "realPower", "kVAR": "reactivePower", "kVA": "apparentPower",
    "voltage": "voltageAverage", "power_factor": "powerFactor",
}  # fmt: skip


# --- the hub's own store ---


async def stored(hub, stream="/metrics"):
    """What the hub holds of all streams of this path."""
    database = await hub.database()
    try:
        names = await database.fetch(
            "SELECT stream_id, array_agg(name ORDER BY position) AS names FROM channel GROUP BY 1"
        )
        rows = await database.fetch(
            "SELECT d.key, r.stream_id, r.values,"
            " (extract(epoch FROM r.time) * 1000)::bigint AS at FROM reading r"
            " JOIN stream s ON s.id = r.stream_id JOIN device d ON d.id = s.device_id"
            " WHERE s.path = $1",
            stream,
        )
    finally:
        await database.close()
    channels = {row["stream_id"]: row["names"] for row in names}
    return {
        (row["key"], row["at"]): dict(zip(channels[row["stream_id"]], row["values"], strict=True))
        for row in rows
    }


async def at_rest(hub, api, numbers):
    """The figures of integrations, once nothing more is stored and all of it is delivered."""
    before = await stored(hub)
    found = await closed_ledger(api, numbers, len(before))
    return found and before == await stored(hub) and found


async def closed_ledger(api, numbers, least=1):
    """The figures of integrations, once each has delivered everything that it was given."""
    found = [await api.get(f"/api/v1/integrations/{number}/stats") for number in numbers]
    done = all(least <= s["matched"] == s["delivered"] for s in found)
    return found if done else None


def shown_as(values, name="ab-pm500-manual"):
    """What a device that holds these values shows under a map: as REALs have them."""
    return read_values(MAPS[name], write_values(MAPS[name], values))


# --- Sparkplug B ---


def tahu(messages):
    """Messages as a host of Eclipse Tahu's JavaScript reads them."""
    node = shutil.which("node")
    if node is None or not (MODULES / "sparkplug-payload").exists():
        pytest.fail("sparkplug-payload is missing: npm ci --prefix tests/node")
    found = subprocess.run(
        [node, str(Path(__file__).with_name("sparkplug_host.cjs")), str(MODULES)],
        input="\n".join(f"{m.topic}\t{m.payload.hex()}" for m in messages),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [json.loads(line) for line in found.stdout.splitlines()]


class EdgeView:
    """What an independent host makes of an edge node: Tahu's decoder, and its own books."""

    def __init__(self, messages, edge):
        said = [(m.topic.split("/"), m) for m in messages if m.topic.startswith("spBv1.0/pm500/")]
        mine = [(t, m) for t, m in said if t[3] == edge and t[2] != "NCMD"]
        decoded = tahu([m for _, m in mine])
        self.births = defaultdict(list)  #: DBIRTHs by device
        self.node_births = []
        self.deaths = []  #: (NDEATH or DDEATH, device, bdSeq)
        self.gaps = []  #: (expected, came)
        self.samples = {}
        self.data = []  #: (device, milliseconds, whether historical), in the order of arrival
        self.unknown = []  #: aliases that no birth has told
        self._names = {}
        self._seq = None
        for (topic, message), payload in zip(mine, decoded, strict=True):
            self._take(topic[2], topic[4] if len(topic) > 4 else "", payload, message)

    def _take(self, kind, device, payload, message):
        metrics = payload["metrics"]
        if kind == "NDEATH":
            self.deaths.append((kind, "", metrics[0]["value"]))
            return
        self._follow(0 if kind == "NBIRTH" else (self._seq + 1) % 256, payload["seq"])
        if kind == "NBIRTH":
            self.node_births.append((payload, message))
            self._names = {}
        elif kind == "DBIRTH":
            self.births[device].append(payload)
            self._names |= {(device, m["alias"]): m["name"] for m in metrics}
        elif kind == "DDEATH":
            self.deaths.append((kind, device, None))
        else:
            self._note(device, metrics)

    def _follow(self, expected, came):
        if came != expected:
            self.gaps.append((expected, came))
        self._seq = came

    def _note(self, device, metrics):
        at = metrics[0]["timestamp"]
        self.unknown += [m["alias"] for m in metrics if (device, m["alias"]) not in self._names]
        values = {self._names.get((device, m["alias"])): m["value"] for m in metrics}
        self.samples[device, at] = values
        self.data.append((device, at, bool(metrics[0].get("isHistorical"))))


# --- JSON ---


def held_by_json(messages):
    """What the JSON messages of an edge node hold; and each message as it came."""
    held, bodies = {}, {}
    for message in messages:
        topic = message.topic.split("/")
        if topic[2:4] != ["DDATA", "json-edge"]:
            continue
        body = json.loads(message.payload)
        held[topic[4], body["timestamp"]] = {m["name"]: m["value"] for m in body["metrics"]}
        bodies[topic[4], body["timestamp"]] = message.payload
    return held, bodies


# --- InfluxDB ---


@contextlib.asynccontextmanager
async def influx_running(folder, *databases):
    """A real influxd with version 2's face for each database: yields server and faces."""
    server = InfluxServer(folder / "influx")
    faces = []
    try:
        await server.ready()
        for name in databases:
            for database in (name, f"{name}_trial"):
                server.query(f'CREATE DATABASE "{database}"')
            faces.append(VersionTwo(server, name))
            await faces[-1].start()
        yield server, faces
    finally:
        for face in faces:
            await face.stop()
        server.stop()


def influx_settings(url):
    return {"url": url, "org": ORG, "bucket": BUCKET, "token": TOKEN, "flush_seconds": 0.2}


def lines_of(server, database):
    """The lines of the measurement: {(asset, milliseconds, phase): (tags, fields)}."""
    found = {}
    for row in server.query("SELECT * FROM powermonitor_500", database):
        at = round(datetime.fromisoformat(row.pop("time")).timestamp() * 1000)
        tags = {name: row.pop(name, None) for name in ("site", "asset", "phase", "breaker")}
        fields = {name: value for name, value in row.items() if value is not None}
        found[tags["asset"], at, tags["phase"]] = (tags, fields)
    return found


# --- Kinesis ---


class Streams:
    """Streams of the AWS emulator."""

    def __init__(self):
        self._kept = {n: os.environ.pop(n) for n in list(os.environ) if n.startswith("AWS_")}
        self._server = ThreadedMotoServer(port=0, verbose=False)
        self._server.start()
        self._made = []  # all emulators of a process share what they keep
        self.port = self._server.get_host_and_port()[1]
        self.client = boto3.client(
            "kinesis", region_name=REGION, endpoint_url=f"http://127.0.0.1:{self.port}",
            config=Config(read_timeout=10),
            **{f"aws_{name}": value for name, value in KEYS.items()},
        )  # fmt: skip

    def create(self, name):
        self.client.create_stream(StreamName=name, ShardCount=1)
        self._made.append(name)

    async def fetch(self, name):
        """The records of a stream, oldest first; what runs in this loop goes on meanwhile."""
        return await asyncio.to_thread(self._read, name)

    def _read(self, name):
        (shard,) = self.client.list_shards(StreamName=name)["Shards"]
        iterator = self.client.get_shard_iterator(
            StreamName=name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        found = []
        while (got := self.client.get_records(ShardIterator=iterator, Limit=1000))["Records"]:
            found += got["Records"]
            iterator = got["NextShardIterator"]
        return found

    def stop(self):
        for name in self._made:
            self.client.delete_stream(StreamName=name)
        self.client.close()
        self._server.stop()
        os.environ.update(self._kept)


def kinesis_settings(stream, port):
    aws = {"region": REGION, "endpoint_url": f"http://127.0.0.1:{port}", **KEYS}
    return {"stream": stream, "add_message_id": False, "aws": aws}


def held_by_records(records):
    """What the records hold, by partition key; and each body as it came."""
    held, bodies = {}, {}
    for record in records:
        body = json.loads(record["Data"])
        key = record["PartitionKey"], body["timestamp"]
        held[key] = {m["name"]: m["value"] for m in body["metrics"]}
        bodies[key] = record["Data"]
    return held, bodies


async def integrate(api, kind, name, settings, form, form_settings=None, **more):
    """Make an integration of telemetry; return its number.

    What failed goes again each second, and not after the five minutes of the usual schedule.
    """
    made = await api.post(
        "/api/v1/integrations",
        {
            "type": kind, "name": name, "topics": ["device.telemetry"], "settings": settings,
            "format": form, "format_settings": form_settings or {},
            "schedule_seconds": [0.0] + [1.0] * 20, **more,
        },
    )  # fmt: skip
    return made["id"]


async def poll(api, ports, **more):
    """Make a source of devices pm-0, pm-1, … behind these ports."""
    listed = [
        {"host": "127.0.0.1", "port": port, "key": f"pm-{n}", "site": "North",
         "asset": f"Press {n}", "breaker": "Q3"}
        for n, port in enumerate(ports)
    ]  # fmt: skip
    settings = {"devices": listed, **more}
    source = {"name": "Hall 1", "type": "ethernet_ip", "settings": settings}
    await api.post("/api/v1/sources", source)


async def stop_polling(api):
    """Switch every source off, so that everything comes to rest."""
    for source in (await api.get("/api/v1/sources"))["items"]:
        await api.call("PATCH", f"/api/v1/sources/{source['id']}", {"enabled": False})
