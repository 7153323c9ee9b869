"""Engines in folders of their own, and processes that are ended whatever happens."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from time import monotonic

import psutil
import pytest

from wattwire.engines.accounts import account_for
from wattwire.engines.nats import EmbeddedNats
from wattwire.engines.postgres import EmbeddedPostgres

HUB = Path(__file__).with_name("engines_process.py")
LAUNCHER = Path(sys.modules["wattwire.engines"].__file__).with_name("launch.py")


@pytest.fixture
def folder():
    """A folder with a short path, closed to others."""
    path = Path(tempfile.mkdtemp(prefix="ww-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def made_once():
    """The folder of a PostgreSQL that was made, started and stopped: making one takes a second."""
    path = Path(tempfile.mkdtemp(prefix="ww-"), "postgres")

    async def make():
        engine = EmbeddedPostgres(path)
        await engine.start()
        await engine.stop()

    asyncio.run(make())
    yield path
    shutil.rmtree(path.parent)


@pytest.fixture
def premade(made_once):
    """Put a copy of a database into a folder that is still to be made; return that folder."""

    def copy(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", made_once, path], check=True)
        return path

    return copy


@pytest.fixture
async def started():
    """A function that makes an engine, starts it, and sees to its end."""
    engines = []

    async def start(kind, *arguments, **options):
        engine = kind(*arguments, **options)
        engines.append(engine)
        await engine.start()
        return engine

    yield start
    for engine in reversed(engines):
        await engine.stop()


@pytest.fixture
async def postgres(folder, premade, started):
    return await started(EmbeddedPostgres, premade(folder / "postgres"))


@pytest.fixture
async def nats_engine(folder, started):
    return await started(EmbeddedNats, folder / "nats", max_store_bytes=64 * 1024 * 1024)


@pytest.fixture
def eventually():
    """Wait until a condition holds; fail after 30 s."""

    async def wait(condition, seconds=30):
        deadline = monotonic() + seconds
        while not condition():
            assert monotonic() < deadline, "it never came true"
            await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def spawn():
    """Start a process, as PostgreSQL's account unless told otherwise; it is killed at the end."""
    children = []

    def start(*command, farewell=0, as_hub=False):
        account = None if as_hub else account_for(Path("/nowhere"))
        who = f"{account.uid}:{account.gid}" if account else "-"
        launcher = [sys.executable, "-I", "-S", LAUNCHER, str(os.getpid()), str(farewell), who]
        child = subprocess.Popen(
            [*launcher, "1", command[0], *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


class Hub:
    """`engines_process.py` under test."""

    def __init__(self, command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def told(self):
        """What it printed: where its engines are, or why it failed."""
        return json.loads(self.process.stdout.readline() or b"{}")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self):
        with suppress(subprocess.TimeoutExpired):
            self.process.communicate(timeout=60)
        self.kill()


@pytest.fixture
def hub():
    """A function that runs the engines in a process of its own, and sees to its end."""
    hubs = []

    def start(folder, *names, prefix=()):
        hubs.append(Hub([*prefix, sys.executable, HUB, folder, *names]))
        return hubs[-1]

    yield start
    for one in hubs:
        one.close()


@pytest.fixture
def ordinary(spawn, folder):
    """Run the engines as somebody who is not root; return what is told."""

    def run(path, *names):
        if os.geteuid() == 0 and path.exists():
            folder.chmod(0o755)
        child = spawn(sys.executable, str(HUB), str(path), *names)
        told = child.stdout.readline()
        child.communicate(timeout=60)  # its input has ended: it stops
        return json.loads(told or b"{}")

    return run


@pytest.fixture
def is_running():
    """Whether the process with a pid runs; a zombie does not."""

    def ask(pid):
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return ask
