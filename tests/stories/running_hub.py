"""A real `wattwire serve` in a process of its own, for stories that need the whole hub."""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import asyncpg
import psutil
from aiohttp import web

from wattwire.engines.datadir import read_hub_info


def free_port():
    """A port that nobody has, below those that the system hands to clients.

    A hub that was killed takes its ports again: meanwhile no other program's connection may.
    """
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class RunningHub:
    """Started with free ports on a data folder; may be killed and started again on the same one."""

    def __init__(self, folder, **environment):
        self.folder = Path(folder)
        self.data_dir = self.folder / "data"
        self.ready_file = self.folder / "ready.json"
        self.ports = {name: str(free_port()) for name in ("HTTP_PORT", "MQTT_PORT", "MQTTS_PORT")}
        self.environment = environment
        self.process = None
        self.info = {}
        self.token = None

    async def start(self, *options):
        """Start and wait until it says that it is ready."""
        self.ready_file.unlink(missing_ok=True)
        environment = {
            **os.environ,
            **{f"WATTWIRE_{k}": v for k, v in {**self.ports, **self.environment}.items()},
        }
        with (self.folder / "hub.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "wattwire", "serve",
                "--data-dir", str(self.data_dir), "--ready-file", str(self.ready_file), *options,
                env=environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        async with asyncio.timeout(60):
            while not self.ready_file.exists():
                if self.process.returncode is not None:
                    raise AssertionError(f"the hub ended:\n{self.log()[-3000:]}")
                await asyncio.sleep(0.05)
        self.info = json.loads(self.ready_file.read_text())
        # A restart takes the same ports, so that clients find it again.
        self.ports = {
            "HTTP_PORT": self.info["http_url"].rpartition(":")[2],
            "MQTT_PORT": str(self.info["mqtt_port"]),
            "MQTTS_PORT": str(self.info["mqtts_port"]),
        }
        return self

    def log(self):
        return (self.folder / "hub.log").read_text(errors="replace")

    def family(self):
        """All processes of the hub, engines included."""
        if self.process is None or not psutil.pid_exists(self.process.pid):
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        return []

    def kill(self, what):
        """kill -9: `hub` (all its Python processes), `nats`, `postgres`, or `all`."""
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                name = process.name()
                is_engine = "postgres" in name or "nats" in name
                if what == "all" or (what == "hub" and not is_engine) or what in name:
                    process.send_signal(signal.SIGKILL)

    async def stop(self):
        """Ask it to stop; fail when anything of it is left."""
        family = self.family()
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(self.process.wait(), 40)
        _, left = await asyncio.to_thread(psutil.wait_procs, family, 5)
        for process in left:
            process.kill()
        assert left == []

    async def command(self, *arguments):
        """Run a command of the CLI on this hub and return its JSON."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "wattwire", *arguments,
            "--data-dir", str(self.data_dir), "--json",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, err.decode()
        return json.loads(out)

    @contextlib.asynccontextmanager
    async def api(self):
        """A client of the API with an owner's token; `get`, `post` return decoded JSON."""
        if self.token is None:
            self.token = (await self.command("token", "create", "--role", "owner"))["token"]
        headers = {"Authorization": f"Bearer {self.token}"}
        async with aiohttp.ClientSession(self.info["http_url"], headers=headers) as session:
            yield Api(session)

    async def database(self):
        """A connection to the hub's database."""
        return await asyncpg.connect(read_hub_info(self.data_dir)["database_url"])


class Api:
    """What a test needs of HTTP."""

    def __init__(self, session):
        self.session = session

    async def call(self, method, path, body=None, expected=None):
        async with self.session.request(method, path, json=body) as answer:
            text = await answer.text()
            assert answer.status == expected if expected else answer.ok, f"{answer.status}: {text}"
            return json.loads(text) if text else None

    async def get(self, path, **busy):
        """Return what is there; `busy`, when given, for a 503, as while an engine comes back."""
        if busy:
            async with self.session.get(path) as answer:
                if answer.status == 503:
                    return busy["busy"]
        return await self.call("GET", path)

    async def post(self, path, body=None):
        return await self.call("POST", path, body)


class Receiver:
    """An HTTP server that keeps what it received, and can be told how to answer."""

    def __init__(self):
        self.bodies = []
        self.ids = []
        self.answer = 200
        self.runner = None
        self.port = None

    async def start(self, port=0):
        app = web.Application(client_max_size=4 * 1024**2)
        app.router.add_post("/", self._take)
        self.runner = web.AppRunner(app, access_log=None)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port or port).start()
        self.port = self.runner.addresses[0][1]
        return self

    async def _take(self, request):
        body = await request.read()
        if self.answer < 300:
            self.bodies.append(json.loads(body))
            self.ids.append(request.headers["webhook-id"])
        return web.Response(status=self.answer)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    async def stop(self):
        await self.runner.cleanup()


async def until(condition, seconds=60, what=""):
    """Wait until an async condition holds; return its value."""
    value = None
    try:
        async with asyncio.timeout(seconds):
            while not (value := await condition()):
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(
            f"did not become true in {seconds} s: {what} (last: {value})"
        ) from None
    return value
