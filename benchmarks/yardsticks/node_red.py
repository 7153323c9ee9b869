"""The same job in Node-RED 5: MQTT in, JSON, function, InfluxDB out. Nothing in it is durable.

Its InfluxDB is a receiver with canned answers and its broker a Mosquitto that keeps nothing, so
that what is measured is Node-RED alone. Installed by `make bench-peers` into benchmarks/peers.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.loading import load
from benchmarks.receivers import receiver
from benchmarks.report import Figure
from benchmarks.usage import metered
from benchmarks.yardsticks.mosquitto import broker, executable, free_port
from benchmarks.yardsticks.remembered import once

NAME = "Node-RED 5: MQTT, JSON, function, InfluxDB"
PEERS = Path(__file__).parent.parent / "peers"
START_SECONDS = 60


@once
async def forwarded(options):
    """Messages per second that reach InfluxDB through Node-RED."""
    if not (PEERS / "node_modules" / "node-red").exists():
        return Figure(NAME, None, "msg/s", note="not installed: make bench-peers")
    if executable() is None:
        return Figure(NAME, None, "msg/s", note="mosquitto is not installed")
    count = 10_000 if options.quick else 40_000
    async with (
        broker() as (_broker, port),
        receiver("influx") as sink,
        _node_red(port, sink) as process,
    ):
        await _until_subscribed(port, sink)
        await asyncio.sleep(1)
        await sink.reset()
        async with metered(process.pid) as meter:
            sent = await load(port, host="127.0.0.1", qos=1, messages=count)
            seen = await sink.until(sent["acked"], 120)
            usage = meter.usage()
    lost = sent["acked"] - seen["messages"]
    rate = seen["messages"] / (seen["last"] - seen["first"])
    return Figure(NAME, rate, "msg/s", usage, f"{lost:,} messages lost" if lost else "")


async def _until_subscribed(port, sink):
    """Send single messages until one comes through."""
    for _ in range(START_SECONDS):
        await load(port, host="127.0.0.1", qos=1, messages=1, connections=1)
        if (await sink.until(1, 1))["messages"]:
            return
    raise TimeoutError("Node-RED forwards nothing")


@asynccontextmanager
async def _node_red(mqtt_port, sink):
    folder = Path(tempfile.mkdtemp(prefix="wattwire-bench-"))
    for name in ("flows.json", "flows_cred.json", "package.json"):
        shutil.copy(PEERS / name, folder / name)
    (folder / "node_modules").symlink_to(PEERS / "node_modules")
    process = subprocess.Popen(
        [
            *(str(PEERS / "node_modules/.bin/node"), "node_modules/node-red/red.js"),
            *("--userDir", str(folder), "--settings", str(PEERS / "settings.js")),
        ],
        cwd=PEERS,
        env=os.environ
        | {
            "BENCH_FLOWS": "flows.json",
            "BENCH_UI_PORT": str(free_port()),
            "BENCH_MQTT_PORT": str(mqtt_port),
            "BENCH_SINK_URL": sink.url.rstrip("/"),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 20)
        except subprocess.TimeoutExpired:  # it has been measured: how it ends matters to nobody
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)
