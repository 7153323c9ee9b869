"""Power monitors that are polled over EtherNet/IP: how punctually, at which price."""

import asyncio
import json
import re
import subprocess
from contextlib import asynccontextmanager

from benchmarks.hub import HubError, hub, program
from benchmarks.report import Figure, Row
from benchmarks.usage import metered
from benchmarks.yardsticks import node_red_poll

DEVICES = 200
SECONDS = 60  #: measured; as long as the window of the hub's lateness figures


def extent(options):
    """(devices, seconds): for whatever else does the same job to the same devices."""
    return (50, 10) if options.quick else (DEVICES, SECONDS)


async def ethernet_ip_poll(options):
    """Simulated PowerMonitor 500s polled once a second, 39 values each, by one hub as it comes."""
    count, seconds = extent(options)
    async with monitors(count) as addresses, hub() as running:
        await configure(running, addresses)
        await running.until("SELECT count(DISTINCT stream_id) FROM reading", count, 60)
        before = await figures(running)
        async with metered(running.pid) as meter:
            await asyncio.sleep(seconds)
            usage = meter.usage()
        after = await figures(running)
        answered, stored = await settle(running)
    gained = {name: after[name] - before[name] for name in after}
    return Row(
        "ethernet_ip_poll",
        ethernet_ip_poll.__doc__,
        Figure(
            "p99 of poll lateness",
            after["lateness_p99_seconds"] * 1000,
            "ms",
            usage,
            f"{count} devices, {gained['answered_total'] / seconds:.0f} readings/s",
        ),
        100,
        50,
        better="less",
        yardsticks=[
            await node_red_poll.polled(options, monitors=monitors, count=count, seconds=seconds)
        ],
        also=[
            Figure("p50 of poll lateness", after["lateness_p50_seconds"] * 1000, "ms"),
            Figure("missed polls", gained["missed_total"], "", note=f"in {seconds} s"),
            Figure(
                "CPU for each reading", usage.cpu_seconds / gained["answered_total"] * 1e6, "us"
            ),
            Figure("readings stored", stored, "", note=f"of {answered} polls answered"),
        ],
    )


@asynccontextmanager
async def monitors(count):
    """Simulated devices in a process of their own; yields their (host, port)s."""
    process = subprocess.Popen(
        [*program(), "simulate", "powermonitors", "--count", str(count), "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 60)
        if not line:
            raise HubError("the simulated devices did not start")
        yield [(device["host"], device["port"]) for device in json.loads(line)["devices"]]
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 30)


async def configure(running, addresses):
    devices = [
        {"host": host, "port": port, "key": f"pm-{number:04}"}
        for number, (host, port) in enumerate(addresses)
    ]
    settings = {"devices": devices}
    await running.post(
        "/api/v1/sources", {"name": "bench", "type": "ethernet_ip", "settings": settings}
    )


async def figures(running):
    """What the hub says of its polls, by the end of each metric's name."""
    async with running.api() as api, api.get("/metrics") as answer:
        text = await answer.text()
    found = re.findall(r"^wattwire_ethernet_ip_(\w+)\{[^}]*\} (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


async def settle(running):
    """Stop polling; return (polls answered, readings stored) once they agree, or 30 s later."""
    (source,) = (await running.get("/api/v1/sources"))["items"]
    async with running.api() as api:
        await api.patch(f"/api/v1/sources/{source['id']}", json={"enabled": False})
    answered = await resting(running)
    stored, _ = await running.until("SELECT count(*) FROM reading", answered, 30)
    return answered, stored


async def resting(running):
    """The polls answered, once they have not become more for two seconds."""
    last = -1
    for _ in range(30):
        answered = int((await figures(running))["answered_total"])
        if answered == last:
            break
        last = answered
        await asyncio.sleep(2)
    return last
