"""A hub as a person would start it: `wattwire serve` on a new data folder, on free ports."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg

from wattwire.engines.datadir import read_hub_info

START_SECONDS = 120
STOP_SECONDS = 90
ROOT = Path(__file__).parent.parent


class HubError(Exception):
    """The hub did not do what a benchmark needs."""


@dataclass
class Hub:
    """A running hub and the ways to talk to it."""

    process: subprocess.Popen
    folder: Path
    info: dict
    ready_seconds: float
    token: str = ""
    logins: dict = field(default_factory=dict)

    @property
    def pid(self):
        return self.process.pid

    @property
    def data_dir(self):
        return self.folder / "data"

    def command(self, *arguments):
        """Run a command of the hub and return its JSON."""
        found = subprocess.run(
            [*program(), *arguments, "--data-dir", str(self.data_dir), "--json"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if found.returncode:
            raise HubError(f"wattwire {' '.join(arguments)}: {found.stderr.strip()[-500:]}")
        return json.loads(found.stdout)

    def login(self, format_name, topic):
        """Make a credential; return user name and password."""
        name = f"bench-{format_name}-{len(self.logins)}"
        made = self.command(
            *("mqtt-credential", "create", "--username", name, "--topic", topic),
            *("--format", format_name),
        )
        self.logins[name] = made
        return made["username"], made["password"]

    @asynccontextmanager
    async def api(self):
        """An HTTP session that may do everything."""
        if not self.token:
            made = await asyncio.to_thread(self.command, "token", "create", "--role", "owner")
            self.token = made["token"]
        headers = {"Authorization": f"Bearer {self.token}"}
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(
            self.info["http_url"], headers=headers, timeout=timeout
        ) as session:
            yield session

    async def post(self, path, body):
        """POST JSON and return the answer's JSON; raise when it is refused."""
        async with self.api() as api, api.post(path, json=body) as answer:
            text = await answer.text()
            if answer.status >= 300:
                raise HubError(f"POST {path}: {answer.status} {text[:500]}")
            return json.loads(text) if text else None

    async def get(self, path, **query):
        async with self.api() as api, api.get(path, params=query) as answer:
            text = await answer.text()
            if answer.status >= 300:
                raise HubError(f"GET {path}: {answer.status} {text[:500]}")
            return json.loads(text)

    @asynccontextmanager
    async def database(self):
        """A connection to the hub's own database, to count what is really there."""
        url = read_hub_info(self.data_dir)["database_url"]
        connection = await asyncpg.connect(url, timeout=10)
        try:
            yield connection
        finally:
            await connection.close(timeout=10)

    async def until(self, query, expected, seconds, *arguments):
        """Wait until a query gives at least `expected`; return (what it gave, seconds waited)."""
        started = time.perf_counter()
        async with self.database() as database:
            while True:
                found = await database.fetchval(query, *arguments, timeout=60) or 0
                waited = time.perf_counter() - started
                if found >= expected or waited > seconds:
                    return found, waited
                await asyncio.sleep(0.1)


def program():
    """The command `wattwire` of this environment."""
    beside = Path(sys.executable).with_name("wattwire")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "wattwire"]


def environment(**changes):
    """The settings of a hub under measurement: free ports, local webhooks allowed."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WATTWIRE_")}
    return kept | {
        "WATTWIRE_HTTP_PORT": "0",
        "WATTWIRE_MQTT_PORT": "0",
        "WATTWIRE_MQTTS_PORT": "0",
        "WATTWIRE_WEBHOOK_ALLOW": "127.0.0.0/8,::1/128",
        "WATTWIRE_LOG_LEVEL": "warning",
        **{f"WATTWIRE_{name.upper()}": str(value) for name, value in changes.items()},
    }


async def start(folder, **settings):
    """Start a hub on a folder, new or used before; return it once it is ready."""
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    log = (folder / "hub.log").open("ab")
    started = time.perf_counter()
    process = subprocess.Popen(
        [*program(), "serve", "--data-dir", str(folder / "data"), "--ready-file", str(ready)],
        env=environment(**settings),
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=folder,
    )
    log.close()
    while not ready.exists():
        if process.poll() is not None or time.perf_counter() - started > START_SECONDS:
            await stop(process)
            tail = (folder / "hub.log").read_text(errors="replace")[-800:]
            raise HubError(f"the hub did not start: {tail}")
        await asyncio.sleep(0.01)
    seconds = time.perf_counter() - started
    return Hub(process, folder, json.loads(ready.read_text()), seconds)


async def stop(process):
    """Ask the hub to stop; after a long while, make it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@asynccontextmanager
async def hub(**settings):
    """A hub on a new data folder, which is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="wattwire-bench-"))
    folder.chmod(0o755)  # the embedded database may run under an account of its own
    running = None
    try:
        running = await start(folder, **settings)
        yield running
    finally:
        if running is not None:
            await stop(running.process)
        if os.environ.get("BENCH_KEEP"):
            print(f"  kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
