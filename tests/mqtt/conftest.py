"""The door, a hub in memory, certificates, and a client that speaks in bytes."""

import asyncio
import ssl

import pytest
import trustme
import uvloop
from memory_hub import BOLT, MemoryHub, principal
from wire_client import WireClient

from wattwire.mqtt.door import Door
from wattwire.mqtt.limits import Limits


def pytest_asyncio_loop_factories(config, item):
    """The product runs on uvloop where there is one."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def hub():
    """Two users of one organization, one of another, one with narrow permissions."""
    return MemoryHub(
        [
            (principal(1, "meter"), b"secret"),
            (principal(2, "reader"), b"secret"),
            (principal(3, "stranger", organization_id=BOLT), b"secret"),
            (
                principal(
                    4,
                    "narrow",
                    publish=("site/1/telemetry", "spBv1.0/g/+/e/#"),
                    subscribe=("site/1/commands", "spBv1.0/g/#"),
                ),
                b"secret",
            ),
        ]
    )


@pytest.fixture(scope="session")
def authority():
    """An own certificate authority."""
    return trustme.CA()


@pytest.fixture
def tls(authority):
    """The door's side of TLS: client certificates are optional, and checked when given."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


@pytest.fixture
async def open_door(hub, tls):
    """A function that starts a door with the given limits; all are stopped at the end."""
    doors = []

    async def start(*, with_hub=None, **limits):
        limits = {"refusal_seconds": 0.01, **limits}
        door = Door(with_hub or hub)
        await door.start("127.0.0.1", 0, 0, tls, Limits(**limits))
        doors.append(door)
        return door

    yield start
    for door in doors:
        await door.stop()


@pytest.fixture
async def door(open_door):
    """A door with the usual limits."""
    return await open_door()


@pytest.fixture
async def connect(door):
    """A function that connects a client to the door; all are closed at the end."""
    clients = []

    async def to(
        username="meter",
        client_id="c1",
        *,
        to_door=None,
        password=b"secret",
        expect=0,
        dial=WireClient.dial,
        **connect,
    ):
        client = await dial((to_door or door).ports.mqtt)
        clients.append(client)
        answer = await client.connect(username, password, client_id, **connect)
        assert answer.code == expect
        client.session_present = answer.session_present
        return client

    yield to
    for client in clients:
        await client.close()


@pytest.fixture
def eventually():
    """Wait for a condition, with a limit."""

    async def wait(condition, seconds=10):
        async with asyncio.timeout(seconds):
            while not (value := condition()):
                await asyncio.sleep(0.005)
        return value

    return wait
