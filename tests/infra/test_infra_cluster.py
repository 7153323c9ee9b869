"""The shipped NATS configuration, run as three real servers, and the hub's containers on them.

Containers are not started here: each service's own command and environment are, as a process.
"""

import asyncio
import json
import os
import sys
import urllib.request

import aiohttp
import pytest
from compose_files import SECRET, STACKS, loaded
from nats_cluster import NODES, PATIENCE, Cluster, until
from running_hub import free_port

from wattwire.app.kit import connect_nats
from wattwire.intake.log import ensure_log

GIB = 1024**3
HEALTHCHECK = STACKS["hub"] / "healthcheck.py"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Three nodes that found each other."""
    started = Cluster(tmp_path_factory.mktemp("cluster"))
    started.start()
    yield started
    started.stop()


@pytest.fixture
async def client(cluster):
    """A client with the hub's login, once the nodes have chosen a leader."""

    async def connected():
        try:
            opened.append(await connect_nats(cluster.url, name="test"))
            await opened[-1].jetstream(timeout=2).account_info()
        except Exception:  # noqa: BLE001 - whatever a cluster says that is not up yet
            return False
        return True

    opened = []
    await until(connected, "connected")
    yield opened[-1]
    for one in opened:
        await one.close()


def answers(address):
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return 200 == answer.status
    except OSError:
        return False


async def test_the_log_is_on_three_nodes(client):
    """The hub's own log, with its default bound, is made with three replicas, all current."""
    js = client.jetstream(timeout=10)
    await ensure_log(js, max_bytes=8 * GIB, replicas=3)
    acknowledged = await js.publish("intake.0", b"batch")

    async def current():
        info = await js.stream_info("INTAKE")
        peers = {peer.name for peer in info.cluster.replicas if peer.current}
        return {info.cluster.leader} | peers == set(NODES)

    assert "INTAKE" == acknowledged.stream
    assert await until(current, what=True)
    await js.delete_stream("INTAKE")


async def test_each_node_is_healthy(cluster, client):
    """The health check of the compose file finds every node well."""
    del client  # there is a leader

    async def well():
        return all([await asyncio.to_thread(answers, cluster.health_address(n)) for n in NODES])

    assert await until(well, what=True)


async def test_nobody_comes_in_without_the_password(cluster, client):
    """Every node refuses a wrong password, of clients and of those who say they are nodes."""
    del client
    for ports in cluster.ports.values():
        for user, port in (("hub", ports[0]), ("route", ports[1])):
            assert "Authorization Violation" in await said_to(port, user, "wrong")
            assert "Authorization Violation" not in await said_to(port, user, SECRET)


async def said_to(port, user, password):
    """What a node says to a login."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    login = {"user": user, "pass": password, "name": "x", "verbose": False, "protocol": 1}
    writer.write(f"CONNECT {json.dumps(login)}\r\nPING\r\n".encode())
    said = b""
    async with asyncio.timeout(PATIENCE):
        while not (b"PONG" in said or b"-ERR" in said):
            said += await reader.read(4096)
    writer.close()
    await writer.wait_closed()
    return said.decode()


async def test_each_message_is_synced(cluster, client):
    """Every node says of itself that it syncs each message, and how much it may keep."""
    del client
    for name in NODES:
        address = f"http://127.0.0.1:{cluster.ports[name][2]}/jsz?config=true"
        with urllib.request.urlopen(address, timeout=5) as answer:
            config = json.loads(answer.read())["config"]

        assert config["sync_always"]
        assert 20 * GIB == config["max_storage"]


def environment_of(name, cluster, database_url, folder, ports):
    """A container's environment; addresses, ports and paths are those of this machine."""
    given = {k: str(v) for k, v in loaded("hub")["services"][name]["environment"].items()}
    return {
        **os.environ,
        **given,
        "WATTWIRE_DATABASE_URL": database_url,
        "WATTWIRE_NATS_URL": cluster.url,
        "WATTWIRE_SECRET_KEY_FILE": str(folder / "keys" / "secret.key"),
        "WATTWIRE_DATA_DIR": str(folder / name),
        "WATTWIRE_HTTP_PORT": str(ports[0]),
        "WATTWIRE_MQTT_PORT": str(ports[1]),
        "WATTWIRE_MQTTS_PORT": str(ports[2]),
    }


class Containers:
    """Services of the compose file as processes, started in the order of their dependencies."""

    def __init__(self, cluster, database_url, folder):
        self.ports = [free_port() for _ in range(3)]
        self.folder = folder
        self._place = (cluster, database_url, folder, self.ports)
        self._processes = {}

    async def start(self, name):
        command = loaded("hub")["services"][name]["command"]
        ready = str(self.ready_file(name))
        order = [ready if word == "/run/wattwire/ready.json" else word for word in command]
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes[name] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "wattwire", *order,
                env=environment_of(name, *self._place), stdout=log, stderr=log,
            )  # fmt: skip

    def ready_file(self, name):
        return self.folder / f"{name}.json"

    def log(self, name):
        return (self.folder / f"{name}.log").read_text()

    async def ended(self, name):
        async with asyncio.timeout(150):
            return await self._processes[name].wait()

    async def healthy(self, name):
        """What the image's health check says: '' for well."""
        check = await asyncio.create_subprocess_exec(
            sys.executable, str(HEALTHCHECK), str(self.ready_file(name)),
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said = (await check.communicate())[1].decode()
        assert (check.returncode == 0) == (said == "")
        return said

    async def start_and_wait(self, *names):
        for name in names:
            await self.start(name)
        for name in names:

            async def well(name=name):
                assert self._processes[name].returncode is None, self.log(name)
                return self.ready_file(name).exists() and not await self.healthy(name)

            await until(well, name, patience=150)

    async def command(self, name, *words):
        """What a command says in a container, as `docker compose exec` runs it there."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "wattwire", *words, "--json",
            env=environment_of(name, *self._place), stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(60):
            said = (await process.communicate())[0]
        return json.loads(said)

    def kill(self, name):
        self._processes[name].kill()

    async def stop(self):
        living = [p for p in self._processes.values() if p.returncode is None]
        for process in living:
            process.terminate()
        async with asyncio.timeout(60):
            for process in living:
                await process.wait()


@pytest.fixture
async def containers(cluster, client, database_url, tmp_path):
    """The hub's services; none runs yet."""
    await client.jetstream().account_info()
    opened = Containers(cluster, database_url, tmp_path)
    yield opened
    await opened.stop()


async def test_the_containers_make_a_hub(containers, client):
    """Migrate, API, then the others: what one took in, another stores; the log has three replicas.

    The health checks say how it is, and do not believe in one that was killed.
    """
    await containers.start("migrate")
    assert 0 == await containers.ended("migrate"), containers.log("migrate")
    await containers.start_and_wait("api")
    await containers.start_and_wait("door", "pipeline")

    info = await client.jetstream().stream_info("INTAKE")
    assert 3 == info.config.num_replicas
    assert await stored(containers)
    for name in ("api", "door", "pipeline"):
        assert "" == await containers.healthy(name), name

    containers.kill("pipeline")
    await containers.ended("pipeline")
    assert "not ready" in await containers.healthy("pipeline")


async def stored(containers):
    """Readings that the API took, as another process stored them."""
    token = (await containers.command("api", "token", "create", "--role", "owner"))["token"]
    url = f"http://127.0.0.1:{containers.ports[0]}/api/v1"
    common = {"device": "m-1", "stream": "/p", "values": {"active_power_w": 4.2}}
    readings = [{**common, "time": f"2025-06-01T00:0{i}:00Z"} for i in range(4)]
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.post(f"{url}/readings", json={"readings": readings}) as answer:
            assert answer.status == 200, await answer.text()

        async def all_of_them():
            async with session.get(f"{url}/devices") as answer:
                devices = (await answer.json())["items"]
            if not devices:
                return False
            async with session.get(f"{url}/devices/{devices[0]['id']}/readings") as answer:
                return 4 == len((await answer.json())["items"])

        return await until(all_of_them, what=True)


def test_a_ready_file_is_judged(tmp_path):
    """The health check tells a stale or broken ready file from a good one."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("healthcheck", HEALTHCHECK)
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    ready = tmp_path / "ready.json"

    assert check.fault_of(ready).startswith("not ready")
    ready.write_text("{")
    assert check.fault_of(ready).startswith("not ready")
    ready.write_text(json.dumps({"pid": os.getpid(), "http_url": None}))
    assert "" == check.fault_of(ready)
    os.utime(ready, (1, 1))
    assert "earlier process" in check.fault_of(ready)
    ready.write_text(json.dumps({"pid": 2**22 + 1, "http_url": None}))
    assert check.fault_of(ready).startswith("not ready")
    ready.write_text(json.dumps({"pid": os.getpid(), "http_url": "http://0.0.0.0:1"}))
    assert "does not answer" in check.fault_of(ready)
