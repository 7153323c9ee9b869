"""A real mosquitto and a listener, for what simulated devices say."""

import asyncio
import shutil
import socket
import subprocess
from contextlib import asynccontextmanager

import pytest

from wattwire.sources._mqtt_client import open_session
from wattwire.sources._mqtt_peer import Peer

LIMIT_SECONDS = 30


@pytest.fixture
async def broker_port(tmp_path):
    """The port of a broker that keeps nothing and lets any number of messages be under way."""
    executable = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if executable is None:
        pytest.fail("mosquitto is missing: apt-get install mosquitto mosquitto-clients")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nlog_dest none\n"
        "max_inflight_messages 0\nmax_queued_messages 0\n"
    )
    process = subprocess.Popen([executable, "-c", str(config)], stderr=subprocess.DEVNULL)
    async with asyncio.timeout(10):
        while True:
            try:
                _reader, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except OSError:
                await asyncio.sleep(0.02)
    writer.close()
    await writer.wait_closed()
    yield port
    process.terminate()
    process.wait(timeout=10)


class Heard:
    """What was published, as it comes."""

    def __init__(self, session):
        self.session = session
        self.messages = []

    async def until(self, condition):
        async with asyncio.timeout(LIMIT_SECONDS):
            while not condition(self.messages):
                messages = await self.session.receive()
                self.session.acknowledge(messages)
                self.messages += messages


@pytest.fixture
def listen(broker_port):
    """Subscribe to a filter for as long as a context lasts."""

    @asynccontextmanager
    async def listening(topic_filter):
        peer = Peer("127.0.0.1", broker_port, "listener", lasting=False, max_in_flight=60_000)
        async with open_session(peer) as session:
            await session.subscribe([topic_filter], 1)
            yield Heard(session)

    return listening
