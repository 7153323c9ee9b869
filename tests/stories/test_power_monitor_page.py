"""docs/power-monitor-500.md is true: its file and its commands work on a hub, as printed."""

import asyncio
import contextlib
import shutil

import pytest
from influx_counterparts import TOKEN
from mqtt_counterparts import Broker
from power_monitor_receivers import KEYS, Streams, held_by_records, influx_running, lines_of
from running_hub import until
from terminal import opened

from documented import blocks, sample_of
from wattwire.simulate.ethernet_ip import power_monitors

PAGE = [block for block in blocks("docs/power-monitor-500.md") if block.words]
(CONSUME,) = [sample_of(block) for block in PAGE if block.words == ("consume",)]


def here(text, places):
    """The page's text with this machine's addresses in place of the examples."""
    for printed, real in places.items():
        assert printed not in real, printed
        text = text.replace(printed, real)
    return text


async def walk(bash, folder, places):
    """Do what the page says; return what each command printed."""
    printed = []
    await bash.run(f"cd {folder}")
    for block in PAGE:
        if block.words[0] == "file":
            (folder / block.words[1]).write_text(here(block.text, places))
        elif block.words == ("run",):
            printed.append(await bash.run(here(block.text, places)))
        elif block.words == ("seen",):
            assert block.text.strip() in printed[-1], printed[-1]
    return printed


async def test_the_page_works_as_printed(hub, tmp_path):
    """Probe, dry run, apply, a reading, four tests, the lines; and the consumer of the page."""
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is missing: apt-get install bash curl")
    async with contextlib.AsyncExitStack() as stack:
        one, two = await stack.enter_async_context(power_monitors(2))
        broker = Broker(tmp_path)
        await broker.start()
        stack.callback(broker.stop)
        streams = Streams()
        stack.callback(streams.stop)
        streams.create("readings")
        server, (face,) = await stack.enter_async_context(influx_running(tmp_path, "readings"))
        places = {
            "probe 10.0.5.17": f"probe 127.0.0.1 --port {one.port}",
            "host: 10.0.5.17": f"host: 127.0.0.1, port: {one.port}",
            "host: 10.0.5.18": f"host: 127.0.0.1, port: {two.port}",
            "mqtts://broker.example.com": f"mqtt://127.0.0.1:{broker.port}",
            "https://influx.example.com:8086/query": f"{server.url}/query",
            "https://influx.example.com:8086": face.url,
            "region: eu-central-1": (
                f'region: "eu-central-1", endpoint_url: "http://127.0.0.1:{streams.port}"'
            ),
        }
        async with opened(hub) as bash:
            probe, _, _, applied, _, tested, lines = await walk(bash, tmp_path, places)
            again = await bash.run("wattwire apply -f power-monitors.yaml")
            await until(lambda: some_reading(bash), 30, "a reading is shown")

            assert "PowerMonitor 500" in probe
            assert "7 changes" in applied
            assert "0 changes, 7 unchanged" in again
            assert 4 == tested.count("delivered"), tested
            assert "error" not in lines.lower()
        url = f"mqtt://127.0.0.1:{broker.port}"
        found = await asyncio.to_thread(CONSUME["real_power"], url, 8)
        assert {"pm-1", "pm-2"} == {device for device, *_ in found}
        assert {"kW"} == {unit for *_, unit in found}
        await until(lambda: all_there(server, streams), 30, "lines and records of both devices")


async def some_reading(bash):
    shown = await bash.run("wattwire readings pm-1 --limit 1")
    return shown if "VOLTAGEAN" in shown else None


async def all_there(server, streams):
    phases = {(asset, phase) for asset, _, phase in lines_of(server, "readings")}
    held = {key for key, _ in held_by_records(await streams.fetch("readings"))[0]}
    assets = ("Press 4", "Compressor 1")
    return phases >= {(a, p) for a in assets for p in ("A", "B", "C", "total")} and held >= {
        "pm-1", "pm-2",
    }  # fmt: skip


def test_the_page_has_the_secrets_of_the_receivers():
    """The values on the page are what the receivers of this test ask for."""
    file, secrets = (block.text for block in PAGE if block.words[0] == "file")

    assert KEYS["access_key_id"] in file
    assert f"INFLUX_TOKEN: {TOKEN}\nAWS_KEY: {KEYS['secret_access_key']}\n" == secrets
