"""From the terminals of two power monitors to the API of a running hub, over EtherNet/IP."""

import re

import pytest
from running_hub import until

from wattwire.simulate.ethernet_ip import power_monitors

TAGS = {"site": "North", "asset": "Press 4", "phase": "ABC", "breaker": "Q3"}


async def test_two_power_monitors_on_a_hub(hub):
    """A source is configured: readings come with units, devices with tags, name and status."""
    async with power_monitors(2, frozen=True) as monitors, hub.api() as api:
        listed = [
            {"host": "127.0.0.1", "port": monitor.port, "key": f"pm-{n}"}
            for n, monitor in enumerate(monitors)
        ]
        listed[0] |= {"name": "Press 4, main feeder", **TAGS}
        settings = {"devices": listed, "period_ms": 200, "timeout_ms": 500}
        await api.post(
            "/api/v1/sources", {"name": "Hall 1", "type": "ethernet_ip", "settings": settings}
        )
        first, second = await until(lambda: online(api), 30, "both devices are online")

        assert ("Press 4, main feeder", "powermonitor_500", TAGS) == (
            first["name"], first["type"], first["metadata"],
        )  # fmt: skip
        assert ("pm-1", "powermonitor_500", {}) == (
            second["name"], second["type"], second["metadata"],
        )  # fmt: skip
        await check_readings(api, first["id"], monitors[0].device.values())

        await monitors[1].stop()
        await until(lambda: gone(api, second["id"]), 30, "the one that was switched off is told")
        await until(lambda: counted(api), 30, "the metrics say that one of two answers")


async def counted(api):
    async with api.session.get("/metrics") as answer:
        text = await answer.text()
    names = ("devices", "devices_answering")
    found = [
        re.search(rf"^wattwire_ethernet_ip_{n}{{.*}} (\S+)$", text, re.MULTILINE) for n in names
    ]
    return [line and line[1] for line in found] == ["2.0", "1.0"]


async def online(api):
    devices = (await api.get("/api/v1/devices"))["items"]
    return len(devices) == 2 and {d["status"] for d in devices} == {"online"} and devices


async def gone(api, device_id):
    return (await api.get(f"/api/v1/devices/{device_id}"))["status"] == "offline"


async def check_readings(api, device_id, shown):
    """The stream has every channel with its unit and kind, its readings what the device shows."""
    (stream,) = (await api.get(f"/api/v1/devices/{device_id}/streams"))["items"]
    units = {channel["name"]: channel["unit"] for channel in stream["channels"]}
    kinds = {channel["name"]: channel["kind"] for channel in stream["channels"]}
    newest = (await api.get(f"/api/v1/devices/{device_id}/readings?limit=1"))["items"][0]

    assert "/metrics" == stream["path"]
    assert ("V", "kW", "kWh", "accumulating") == (
        units["voltageAN"], units["realPower"], units["realEnergy"], kinds["realEnergy"],
    )  # fmt: skip
    assert {name: shown.get(name, 0.0) for name in units} == pytest.approx(
        newest["values"], rel=1e-6
    )
