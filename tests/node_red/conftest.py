"""A real Node-RED for all tests of a file; a broker, an InfluxDB and devices for each test."""

import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

sys.path.append(str(Path(__file__).parent.parent / "integrations"))
sys.path.append(str(Path(__file__).parent.parent / "sources"))
from influx_counterparts import InfluxServer, new_folder
from mqtt_counterparts import PATH, Broker, Onlooker, free_port
from node_red_world import PASSWORD, USERNAME, NodeRed, Refusing, World

from wattwire.simulate.ethernet_ip import power_monitors


@pytest.fixture(scope="session")
def broker_login(tmp_path_factory):
    """A Mosquitto that asks for a password, not yet started; it keeps its port."""
    folder = Path(tmp_path_factory.mktemp("broker"))
    passwords = folder / "passwords"
    program = shutil.which("mosquitto_passwd", path=PATH)
    if program is None:
        pytest.fail("mosquitto is missing: apt-get install mosquitto")
    subprocess.run([program, "-b", "-c", passwords, USERNAME, PASSWORD], check=True)
    ports = free_port(), free_port()
    authority, trusted = tls_listener(folder / "own", ports[0])
    _, other = tls_listener(folder / "other", ports[1])
    made = Broker(folder, f"password_file {passwords}", *trusted, *other, anonymous=False)
    made.authority, (made.tls_port, made.other_tls_port) = authority, ports
    return made


def tls_listener(folder, port):
    """A listener with an authority of its own: (that one's file, lines of a configuration)."""
    folder.mkdir()
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return folder / "ca.pem", [
        f"listener {port} 127.0.0.1",
        f"certfile {folder}/server.pem",
        f"keyfile {folder}/server.pem",
    ]


@pytest.fixture(scope="session")
def node_red(tmp_path_factory, broker_login):
    """A Node-RED that was started as README says, with no flow yet."""
    running = NodeRed(Path(tmp_path_factory.mktemp("node-red")), broker_login)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def influx_server(tmp_path_factory):
    """A real InfluxDB 1.6."""
    server = InfluxServer(new_folder(tmp_path_factory))
    yield server
    server.stop()


@pytest.fixture
async def influx(influx_server, request):
    """Version 2's face of it, on a database of the test's own."""
    await influx_server.ready()
    db = request.node.name[:40]
    for name in (db, f"{db}_trial"):
        influx_server.query(f'CREATE DATABASE "{name}"')
    face = Refusing(influx_server, db)
    await face.start()
    yield face
    await face.stop()


@pytest.fixture
async def broker(broker_login):
    """The broker, running."""
    await broker_login.start()
    yield broker_login
    broker_login.stop()


@pytest.fixture
def onlooker(broker):
    """A subscriber to everything."""
    looking = Onlooker(broker.port, username=USERNAME, password=PASSWORD)
    yield looking
    looking.close()


@pytest.fixture
async def world(node_red, influx, broker, onlooker):
    """Deploy the flow for simulated devices: `async with world() as (monitors, …)`."""

    @asynccontextmanager
    async def deployed(total=1, **env):
        async with power_monitors(total, frozen=True) as monitors:
            async with node_red.watching() as watch:
                settings = {"DEVICE_PORT": monitors[0].port, "INFLUXDB_URL": influx.url, **env}
                await node_red.deploy(settings)
                yield World(monitors, broker, onlooker, influx, watch, node_red)
            await node_red.clear()

    return deployed
