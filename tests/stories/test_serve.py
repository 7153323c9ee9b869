"""`wattwire serve` as the one who operates it meets it."""

import asyncio
import json
import os
import signal
import sys

import psutil
import pytest
from running_hub import RunningHub, until

from databases import drop, execute, named


async def serve_once(folder, **environment):
    """Run `wattwire serve` that is expected to refuse; return its exit code and what it said."""
    settings = {"HTTP_PORT": "0", "MQTT_PORT": "0", "MQTTS_PORT": "0", **environment}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wattwire", "serve", "--data-dir", str(folder),
        env={**os.environ, **{f"WATTWIRE_{k}": v for k, v in settings.items()}},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    _, said = await asyncio.wait_for(process.communicate(), 60)
    sentences = [line for line in said.decode().splitlines() if line.startswith("wattwire: ")]
    return process.returncode, sentences


async def is_ready(hub):
    async with hub.api() as api, api.session.get("/readyz") as answer:
        return answer.status == 200, await answer.json()


async def send(hub, key, minute=0):
    async with hub.api() as api:
        return await api.post(
            "/api/v1/readings",
            {
                "readings": [
                    {
                        "device": key,
                        "stream": "/power/1",
                        "time": f"2025-06-01T12:{minute:02}:00Z",
                        "values": {"active_power_w": 100},
                    }
                ]
            },
        )


async def stored(hub, key):
    async with hub.api() as api:
        devices = (await api.get("/api/v1/devices"))["items"]
        return [device for device in devices if device["key"] == key]


async def test_the_ready_file_says_where_the_hub_is(shared_hub):
    """The file holds exactly what others build on, and the hub answers there."""
    written = json.loads(shared_hub.ready_file.read_text())

    assert {"pid", "http_url", "mqtt_port", "mqtts_port", "ca_file", "data_dir"} == set(written)
    assert shared_hub.process.pid == written["pid"]
    ready, checks = await is_ready(shared_hub)
    assert ready, checks


async def test_stopping_leaves_nothing_running(tmp_path):
    """After SIGTERM no process of the hub is left, and the ready file is gone."""
    hub = RunningHub(tmp_path)
    await hub.start()
    family = hub.family()
    assert len(family) >= 6
    hub.process.send_signal(signal.SIGTERM)
    code = await asyncio.wait_for(hub.process.wait(), 40)

    _, left = await asyncio.to_thread(psutil.wait_procs, family, 5)
    assert (0, []) == (code, left)
    assert not hub.ready_file.exists()


async def test_a_second_hub_on_the_same_data_is_refused(shared_hub):
    """One sentence, naming the process that has the folder."""
    code, said = await serve_once(shared_hub.data_dir)

    assert code == 1
    holder = f"another hub (pid {shared_hub.process.pid}) runs on {shared_hub.data_dir}"
    assert [f"wattwire: {holder}; stop it or give --data-dir"] == said


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("DATABASE_URL", "postgresql://hub@127.0.0.1:9/x", "PostgreSQL"),
        ("NATS_URL", "nats://127.0.0.1:9", "NATS does not answer"),
        ("DURABILITY", "replicated", "WATTWIRE_NATS_URL"),
    ],
)
async def test_an_engine_out_of_reach_is_one_sentence(tmp_path, setting, value, words):
    """A URL that leads nowhere ends the start with one clear sentence and exit code 1."""
    code, said = await serve_once(tmp_path / "data", **{setting: value})

    assert code == 1
    assert 1 == len(said)
    assert words in said[0]


@pytest.mark.parametrize(("setting", "port"), [("HTTP_PORT", "http"), ("MQTT_PORT", "mqtt_port")])
async def test_a_taken_port_is_one_sentence(shared_hub, tmp_path, setting, port):
    """A port that somebody has is named, with what to do about it."""
    taken = shared_hub.ports[setting]
    code, said = await serve_once(tmp_path / "other", **{setting: taken})

    assert (1, 1) == (code, len(said))
    assert taken in said[0]
    assert f"WATTWIRE_{setting}" in said[0]


async def test_a_killed_hub_starts_again_on_its_data(hub):
    """kill -9 of everything; the next start goes on with what was acknowledged."""
    assert 1 == (await send(hub, "meter-1"))["accepted"]
    hub.kill("hub")
    await hub.process.wait()
    await hub.start()

    async def there():
        return await stored(hub, "meter-1")

    await until(there, 30, "the reading is stored")


@pytest.mark.parametrize("engine", ["postgres", "nats"])
async def test_the_loss_of_an_engine_is_told_and_mended(hub, engine):
    """/readyz says degraded while an engine is gone, and the hub takes readings again after."""
    await send(hub, "meter-1")
    frozen = [p for p in hub.family() if engine in p.name() and p.parent().pid == hub.process.pid]
    assert frozen
    for process in frozen:
        process.suspend()

    async def degraded():
        async with hub.api() as api, api.session.get("/readyz") as answer:
            return answer.status == 503

    # A token is remembered from before; readiness needs none.
    await until(degraded, 40, "degraded")
    hub.kill(engine)

    async def mended():
        return (await is_ready(hub))[0]

    await until(mended, 60, "ready again")
    assert 1 == (await send(hub, "meter-2", 1))["accepted"]

    async def there():
        return await stored(hub, "meter-2")

    await until(there, 30, "the reading after the loss is stored")


async def test_external_engines_by_url(tmp_path, postgres_url, nats_client, nats_url):
    """The same hub on servers of somebody else's, with no other change."""
    await drop(postgres_url, "external")
    await execute(postgres_url, "CREATE DATABASE external")
    url = named(postgres_url, "external")
    hub = RunningHub(tmp_path, DATABASE_URL=url, NATS_URL=nats_url)
    await hub.start()
    try:
        assert not [p for p in hub.family() if "postgres" in p.name() or "nats" in p.name()]
        await send(hub, "meter-1")

        async def there():
            return await stored(hub, "meter-1")

        await until(there, 30, "stored on the external database")
    finally:
        await hub.stop()


async def test_one_process_plays_every_role(tmp_path):
    """`--processes 1`: the same hub with one child where memory is short."""
    hub = RunningHub(tmp_path)
    await hub.start("--processes", "1")
    try:
        python = [p for p in hub.family() if "python" in p.name()]
        assert 2 == len(python)
        await send(hub, "meter-1")

        async def there():
            return await stored(hub, "meter-1")

        await until(there, 30, "stored")
    finally:
        await hub.stop()
