"""A meter of somebody else's: the printed example of its integration guide, against the hub."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from running_hub import until

PRINTED = (Path(__file__).parent / "seed_client.py.txt").read_text()
DEVICE = "6ede44a4-ea21-4c17-b5c4-37eb3875e554"
MIDNIGHT = 1646092800  # 2022-03-01T00:00:00Z, as in the guide's sample
TOPIC = "partner/smart-meters/readings"
KWH = [round(0.111 + 0.001 * n, 3) for n in range(96)]
DAY = {
    "deviceId": DEVICE,
    "dataFrequencyMins": 15,
    "date": "2022-03-01",
    "electricReadings": [
        {"timestampUtcEpochSecs": MIDNIGHT + 900 * n, "consumptionKwh": kwh}
        for n, kwh in enumerate(KWH)
    ],
}

#: The one change to the code: paho asks since version 2.0 which form callbacks have. The example's,
#: written for 1.5, is the first.
FOR_PAHO_2 = ("paho.Client(client_id)", "paho.Client(paho.CallbackAPIVersion.VERSION1, client_id)")


def filled_in(port, login, message):
    """The printed code with its placeholders filled in."""
    answers = {
        '"test-partner-broker.voltaware.com"': '"localhost"',
        "port = 8883": f"port = {port}",
        '"<your username>"': repr(login["username"]),
        '"<your password>"': repr(login["password"]),
        '"<your topic>"': repr(login["topic"]),
        '"<json event format>"': repr(json.dumps(message)),
        FOR_PAHO_2[0]: FOR_PAHO_2[1],
    }
    code = PRINTED
    for printed, answer in answers.items():
        assert code.count(printed) == 1, printed
        code = code.replace(printed, answer)
    return code


@contextlib.asynccontextmanager
async def meter(folder, hub, login, message):
    """The example in a Python of its own; yields a function that returns its next line."""
    script = folder / "client.py"
    script.write_text(filled_in(hub.info["mqtts_port"], login, message))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", str(script), stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "SSL_CERT_FILE": hub.info["ca_file"]},
    )  # fmt: skip

    async def says():
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        assert line, (await process.stderr.read()).decode()
        return line.decode().strip()

    try:
        yield says
        process.send_signal(signal.SIGINT)
        assert await says() == "Exit"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest.fixture
async def login(hub):
    return await hub.command(
        "mqtt-credential", "create", "--username", "partner", "--topic", TOPIC,
        "--format", "smart_meter",
    )  # fmt: skip


async def test_the_printed_client_hands_over_its_day(tmp_path, hub, login):
    """TLS, QoS 2, code as printed: `Data published!`, and the day is stored and added up."""
    async with meter(tmp_path, hub, login, DAY) as says:
        assert await says() == "Connected!"
        assert await says() == "Data published!"

    async with hub.api() as api:

        async def found(path):
            async def look():
                return (await api.get(path))["items"]

            return await until(look, 30, path)

        (device,) = await found(f"/api/v1/devices?key={DEVICE}")
        base = f"/api/v1/devices/{device['id']}"
        readings = await found(f"{base}/readings?limit=1000")
        span = "from=2022-03-01T00:00:00Z&to=2022-03-02T00:00:00Z"
        (day,) = await found(f"{base}/rollups?aggregation=d&{span}")
        hours = (await api.get(f"{base}/rollups?aggregation=h&{span}"))["items"]

    assert [r["values"]["energy_import_wh"] for r in readings] == [
        pytest.approx(1000 * kwh, abs=1e-9) for kwh in KWH
    ]
    assert readings[0]["time"] == "2022-03-01T00:00:00Z"
    assert day["start"] == "2022-03-01T00:00:00Z"
    assert day["end"] == "2022-03-02T00:00:00Z"
    assert total(day) == pytest.approx(1000 * sum(KWH))
    assert len(hours) == 24
    assert sum(map(total, hours)) == pytest.approx(total(day))


def total(rollup):
    return rollup["channels"]["energy_import_wh"]["sum"]


async def test_a_day_that_is_not_whole_is_kept_with_its_reason(tmp_path, hub, login):
    """The guide says such messages are discarded; here they are acknowledged and quarantined."""
    short = {**DAY, "electricReadings": DAY["electricReadings"][:95]}
    async with meter(tmp_path, hub, login, short) as says:
        assert await says() == "Connected!"
        assert await says() == "Data published!"

    async with hub.api() as api:

        async def look():
            return (await api.get("/api/v1/quarantine"))["items"]

        (entry,) = await until(look, 30, "an entry in quarantine")
        devices = await api.get("/api/v1/devices")

    assert entry["topic"] == TOPIC
    assert "96" in entry["reason"]
    assert devices["items"] == []
