"""A real Node-RED as a user runs it, and what is seen of it from outside."""

import asyncio
import json
import re
import subprocess
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import aiohttp.web
import pytest
from influx_counterparts import BUCKET, ORG, TOKEN, VersionTwo
from mqtt_counterparts import free_port

HOME = Path(__file__).parent.parent.parent / "node-red"
FLOW = HOME / "flows" / "listen-only-mqtt-influx.json"
TAB = "pm500-flow"
PATIENCE = 30.0
USERNAME, PASSWORD = "press-4", "pa$$ #wörd"
TAGS = {"site": "North hall", "asset": "Press 4", "breaker": "Q3"}
UUID = "b5f1c7f2-7f0e-4a77-9c5e-2f0f3cf0c8a1"


def example():
    """The variables of `.env.example`, as they stand there."""
    lines = (HOME / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def dotenv(broker):
    """A `.env` that somebody filled in; what a test changes goes into the flow's properties."""
    return example() | {
        "DEVICE_HOST": "127.0.0.1", "POLL_MS": "100", "TIMEOUT_MS": "500",
        "SITE": TAGS["site"], "ASSET": TAGS["asset"], "BREAKER": TAGS["breaker"],
        "ASSET_UUID": UUID, "EDGE": "edge/7", "DEVICE": "'Press#4'",
        "BROKER_HOST": "127.0.0.1", "BROKER_PORT": str(broker.port), "BROKER_TLS": "false",
        "BROKER_USERNAME": USERNAME, "BROKER_PASSWORD": f"'{PASSWORD}'",
        "BROKER_RETRY_MS": "200", "BROKER_CA_FILE": str(broker.authority),
        "INFLUXDB_ORG": ORG, "INFLUXDB_BUCKET": BUCKET, "INFLUXDB_TOKEN": TOKEN,
        "INFLUX_BATCH_MS": "100", "LONGEST_PAUSE_MS": "1000",
        "NODE_RED_PORT": str(free_port()), "NODE_RED_LOG": "warn",
    }  # fmt: skip


class NodeRed:
    """One Node-RED with `settings.js`, a user folder of its own, and a `.env`."""

    def __init__(self, folder, broker):
        self.folder = folder
        variables = dotenv(broker)
        self.url = f"http://127.0.0.1:{variables['NODE_RED_PORT']}"
        text = "".join(f"{name}={value}\n" for name, value in variables.items())
        (folder / ".env").write_text(text)
        self._process = None

    def start(self):
        """Start it as `npm start` does, with the Node.js that `npm ci` installed beside it."""
        node = HOME / "node_modules/node/bin/node"
        if not node.exists():
            pytest.fail("Node-RED is missing: cd node-red && npm ci")
        command = json.loads((HOME / "package.json").read_text())["scripts"]["start"].split()
        swaps = {"node": str(node), "--env-file=.env": f"--env-file={self.folder}/.env"}
        command = [swaps.get(word, word) for word in command]
        command[command.index("data")] = str(self.folder / "data")
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=HOME, stdout=log, stderr=log,
                env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder)},
            )  # fmt: skip

    def stop(self):
        self._process.terminate()
        self._process.wait(timeout=20)

    @property
    def pid(self):
        return self._process.pid

    @property
    def log(self):
        return (self.folder / "log").read_text()

    def alive(self):
        return self._process.poll() is None

    async def _call(self, method, path, body=None):
        headers = {"Node-RED-Deployment-Type": "full"}
        async with (
            aiohttp.ClientSession(self.url) as session,
            session.request(method, path, json=body, headers=headers) as answer,
        ):
            if answer.status >= 300:
                raise aiohttp.ClientError(f"{answer.status}: {await answer.text()}")
            return await answer.json() if answer.content_type == "application/json" else None

    async def ready(self):
        """Wait until it has loaded its flows; a little before, it answers with an error."""
        async with asyncio.timeout(PATIENCE):
            while True:
                assert self.alive(), self.log
                try:
                    return await self._call("GET", "/flows")
                except aiohttp.ClientError:
                    await asyncio.sleep(0.1)

    async def deploy(self, env):
        """Deploy the flow as the editor does, with variables in its properties.

        Expressions there see the process' environment only, so these get the values put in.
        """
        nodes = json.loads(FLOW.read_text())
        tab = next(node for node in nodes if node["id"] == TAB)
        for expression in tab["env"]:
            for name, value in env.items():
                said = expression["value"].replace(f'$env("{name}")', json.dumps(str(value)))
                expression["value"] = said
        tab["env"] += [{"name": n, "value": str(v), "type": "str"} for n, v in env.items()]
        await self.ready()
        await self._call("POST", "/flows", nodes)

    async def clear(self):
        await self._call("POST", "/flows", [])

    async def press(self, node):
        """Press the button of an Inject node."""
        await self._call("POST", f"/inject/{node}")

    async def context(self, key):
        """What the flow shows in the sidebar Context Data under a key."""
        told = await self._call("GET", f"/context/flow/{TAB}/{key}")
        return json.loads(told["msg"]) if told["format"] in ("Object", "number") else None

    @asynccontextmanager
    async def watching(self):
        """The statuses of nodes as the editor is told of them, for as long as a context lasts."""
        await self.ready()
        async with (
            aiohttp.ClientSession(self.url) as session,
            session.ws_connect("/comms") as channel,
        ):
            watch = Watch()
            task = asyncio.create_task(watch.listen(channel))
            yield watch
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class Refusing(VersionTwo):
    """An InfluxDB that has no time when it is told to have none."""

    def __init__(self, server, db):
        super().__init__(server, db)
        self.busy = False
        self.refused = []  #: bodies

    async def _write(self, request):
        if not self.busy:
            return await super()._write(request)
        self.refused.append(await request.read())
        return aiohttp.web.Response(status=503, headers={"Retry-After": "1"})


class Watch:
    """What the editor is told: the statuses of each node, and debug messages."""

    def __init__(self):
        self.said = {}
        self.heard = []  #: everything, as it came

    async def listen(self, channel):
        await channel.send_json({"subscribe": "status/#"})
        await channel.send_json({"subscribe": "debug"})
        async for frame in channel:
            self.heard.append(frame.data)
            for item in json.loads(frame.data):
                if found := re.fullmatch(r"status/(.+)", item.get("topic", "")):
                    self.said.setdefault(found[1], []).append(item["data"].get("text", ""))

    async def until(self, node, words):
        """Wait until a node says this."""
        await until(lambda: any(words in text for text in self.said.get(node, ())), words)

    async def now(self, node, words):
        """Wait until what a node said last is this."""
        await until(lambda: words in self.said.get(node, [""])[-1], words)

    async def next(self, node, words):
        """Wait until a node says this after now."""
        before = len(self.said.get(node, ()))
        await until(lambda: any(words in t for t in self.said.get(node, ())[before:]), words)


@dataclass(frozen=True)
class World:
    """Everything around a flow that is deployed."""

    monitors: list
    broker: object
    onlooker: object
    influx: object
    watch: Watch
    node_red: NodeRed
    secrets: tuple = (PASSWORD, TOKEN)

    async def messages(self, count=1):
        """Wait for so many more messages at the broker, and return them as (topic, body)."""
        before = len(self.onlooker.seen)
        seen = await self.onlooker.until(lambda seen: len(seen) >= before + count)
        return [(message.topic, json.loads(message.payload)) for message in seen[before:]]

    async def fresh(self):
        """Wait for a message of a poll that began after now; return (topic, body).

        The first message after now may be of a poll that was under way.
        """
        now = time.time_ns() // 1_000_000
        await self.onlooker.until(lambda _seen: len(self._since(now)) > 1)
        return self._since(now)[1]

    def _since(self, millis):
        seen = [(message.topic, json.loads(message.payload)) for message in self.onlooker.seen]
        return [(topic, body) for topic, body in seen if body["timestamp"] > millis]

    async def lines_of(self, millis):
        """Wait for the lines of the poll that ended at an instant."""

        def found():
            lines = [line for _, body in self.influx.requests for line in body.splitlines()]
            return [line.decode() for line in lines if line.endswith(f" {millis}".encode())]

        await until(found, f"lines of {millis}")
        return found()

    async def lines(self):
        """Wait for a write that InfluxDB took, and return its lines."""
        before = len(self.influx.requests)
        await until(lambda: len(self.influx.requests) > before, "a write")
        return self.influx.requests[-1][1].decode().splitlines()


async def until(condition, what):
    """Wait for something that nobody tells of."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"did not become true: {what}") from None
