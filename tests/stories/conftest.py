"""Stories run the whole hub."""

import sys
from pathlib import Path

import pytest
import pytest_asyncio
from running_hub import Receiver, RunningHub

# What integrations are tested against: real brokers and databases.
sys.path.append(str(Path(__file__).parent.parent / "integrations"))


@pytest.fixture
async def receiver():
    """A webhook receiver."""
    made = await Receiver().start()
    yield made
    await made.stop()


@pytest.fixture
async def own_hub(tmp_path):
    """A running hub, allowed to reach loopback; at the end nothing of it is left running."""
    made = RunningHub(tmp_path, WEBHOOK_ALLOW="127.0.0.0/8", LOG_LEVEL="warning")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def hub(own_hub):
    """A hub for one test; a file whose tests can share one says so."""
    return own_hub


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_hub(tmp_path_factory):
    """A hub for all tests of a file that neither end it nor need it empty."""
    made = RunningHub(
        tmp_path_factory.mktemp("shared"), WEBHOOK_ALLOW="127.0.0.0/8", LOG_LEVEL="warning"
    )
    await made.start()
    yield made
    await made.stop()
