"""A real mosquitto for each test that asks, with settings of its own."""

import asyncio
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import uvloop

STANDARD = {"asyncio": asyncio.new_event_loop}
OURS = {"uvloop": uvloop.new_event_loop}


def pytest_asyncio_loop_factories(config, item):
    """What is built on transports runs on the hub's loop; the link, below all, on either."""
    name = item.path.name
    if name == "test_ethernet_ip_link.py":
        return STANDARD | OURS
    return OURS if name.startswith("test_ethernet_ip") else STANDARD


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _executable():
    found = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        pytest.fail("mosquitto is missing: apt-get install mosquitto mosquitto-clients")
    return found


class Mosquitto:
    """A broker that keeps its port and its folder over restarts."""

    def __init__(self, folder, *lines):
        self.folder = Path(folder)
        self.port = _free_port()
        self.config = self.folder / "mosquitto.conf"
        self.config.write_text(
            "\n".join(
                (
                    f"listener {self.port} 127.0.0.1",
                    "allow_anonymous true",
                    "user root",
                    "persistence true",
                    f"persistence_location {self.folder}/",
                    "log_dest none",
                    *lines,
                )
            )
        )
        self.process = None

    async def start(self):
        self.process = subprocess.Popen(
            [_executable(), "-c", str(self.config)], stderr=subprocess.DEVNULL
        )
        async with asyncio.timeout(10):
            while not await self._answers():
                await asyncio.sleep(0.02)

    async def _answers(self):
        assert self.process.poll() is None, "mosquitto stopped at once"
        try:
            _reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    async def saved(self, payload):
        """Wait until the broker has written this payload to its file, which is its own affair."""
        store = self.folder / "mosquitto.db"
        async with asyncio.timeout(10):
            while not store.exists() or payload not in store.read_bytes():
                await asyncio.sleep(0.02)

    def kill(self):
        self._end(signal.SIGKILL)

    def stop(self):
        self._end(signal.SIGTERM)

    def _end(self, number):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(timeout=10)


@pytest.fixture
async def start_mosquitto(tmp_path):
    """Start a broker with extra lines in its configuration."""
    started = []

    async def start(*lines):
        folder = tmp_path / f"mosquitto{len(started)}"
        folder.mkdir()
        broker = Mosquitto(folder, *lines)
        started.append(broker)
        await broker.start()
        return broker

    yield start
    for broker in started:
        broker.stop()


@pytest.fixture
async def mosquitto(start_mosquitto):
    """A broker that would keep everything over a crash."""
    return await start_mosquitto("autosave_interval 1", "autosave_on_changes true")
