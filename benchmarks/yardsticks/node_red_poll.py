"""The same devices polled by Node-RED 5 with the flow of `node-red/`, as people import it.

It publishes to a Mosquitto that keeps nothing and writes to a receiver with canned answers, so that
Node-RED alone is measured. Nothing in it is durable. The flow itself says how late its polls began.
"""

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from benchmarks.hub import ROOT
from benchmarks.receivers import receiver
from benchmarks.report import Figure
from benchmarks.usage import metered
from benchmarks.yardsticks.mosquitto import broker, executable, free_port
from benchmarks.yardsticks.remembered import once

NAME = "Node-RED 5: the flow in node-red/, p99 of poll lateness"
HOME = ROOT / "node-red"
FLOW = HOME / "flows" / "listen-only-mqtt-influx.json"
#: Where Node-RED may be: installed by `make bench-peers`, or for the flow's own tests.
PLACES = (ROOT / "benchmarks" / "peers", HOME)
START_SECONDS = 60


@once
async def polled(options, *, monitors, count, seconds):
    """How late polls of so many simulated devices begin, once a second each.

    `monitors(count)` runs the devices and yields their addresses, as for the hub.
    """
    del options
    home = next((p for p in PLACES if (p / "node_modules/node/bin/node").exists()), None)
    if home is None:
        return Figure(NAME, None, "ms", note="not installed: make bench-peers")
    if executable() is None:
        return Figure(NAME, None, "ms", note="mosquitto is not installed")
    async with (
        monitors(count) as addresses,
        broker() as (_broker, mqtt_port),
        receiver("influx") as sink,
        _node_red(home, _variables(addresses, mqtt_port, sink)) as (process, url),
    ):
        await _until(url, lambda figures: figures["answering"] == count)
        before = await _figures(url)
        async with metered(process.pid) as meter:
            await asyncio.sleep(seconds)
            usage = meter.usage()
        after = await _figures(url)
        written = (await sink.until(4 * before["answered"], 30))["messages"]
    return _figure(before, after, usage, seconds, written)


def _figure(before, after, usage, seconds, written):
    answered = after["answered"] - before["answered"]
    note = (
        f"p50 {after['late_p50_ms']:.1f} ms, {answered / seconds:.0f} readings/s, "
        f"{after['missed'] - before['missed']} missed, "
        f"{usage.cpu_seconds / answered * 1e6:.0f} us CPU for each reading"
    )
    if not written:
        note += ", nothing written"
    return Figure(NAME, after["late_p99_ms"], "ms", usage, note)


def _variables(addresses, mqtt_port, sink):
    devices = [
        {"host": host, "port": port, "name": f"pm-{number:04}"}
        for number, (host, port) in enumerate(addresses)
    ]
    return {
        "DEVICES": json.dumps(devices), "POLL_MS": "1000",
        "BROKER_HOST": "127.0.0.1", "BROKER_PORT": str(mqtt_port), "BROKER_TLS": "false",
        "INFLUXDB_URL": sink.url.rstrip("/"), "INFLUXDB_ORG": "bench",
        "INFLUXDB_BUCKET": "bench", "INFLUXDB_TOKEN": "bench",
        "NODE_RED_PORT": str(free_port()), "NODE_RED_LOG": "error",
    }  # fmt: skip


@asynccontextmanager
async def _node_red(home, variables):
    """Node-RED with the flow in its user folder; yields (process, URL of its admin API)."""
    folder = Path(tempfile.mkdtemp(prefix="wattwire-bench-"))
    shutil.copy(FLOW, folder / "flows.json")
    modules = home / "node_modules"
    process = subprocess.Popen(
        [
            *(str(modules / "node/bin/node"), str(modules / "node-red/red.js")),
            *("--userDir", str(folder), "--settings", str(HOME / "settings.js")),
        ],
        cwd=folder,  # a flows.json that lies there would be taken first
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process, f"http://127.0.0.1:{variables['NODE_RED_PORT']}"
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 20)
        except subprocess.TimeoutExpired:  # it has been measured: how it ends matters to nobody
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


async def _figures(url):
    """What the flow says of its polls; None before it says anything."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/context/flow/pm500-flow/polls") as answer,
    ):
        told = await answer.json()
    return json.loads(told["msg"]) if told["format"] == "Object" else None


async def _until(url, condition):
    """Wait until the figures are so."""
    for _ in range(START_SECONDS * 2):
        try:
            if (figures := await _figures(url)) and condition(figures):
                return
        except (aiohttp.ClientError, KeyError):
            pass  # it is not up yet
        await asyncio.sleep(0.5)
    raise TimeoutError("Node-RED does not poll")
