"""A real Mosquitto, and what the tests of integrations bring along."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "integrations"))
from mqtt_counterparts import Broker


@pytest.fixture
async def start_mosquitto(tmp_path):
    """Start a Mosquitto with extra lines in its configuration."""
    started = []

    async def start(*lines, **more):
        folder = tmp_path / f"mosquitto{len(started)}"
        folder.mkdir()
        made = Broker(folder, *lines, **more)
        started.append(made)
        await made.start()
        return made

    yield start
    for made in started:
        made.stop()


@pytest.fixture
async def mosquitto(start_mosquitto):
    """A broker without limits on what it keeps for a subscriber."""
    return await start_mosquitto("max_queued_messages 0", "max_inflight_messages 0")
