"""The other side for real: the hub's own edge node over Mosquitto, and the hub's door."""

import asyncio
import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import trustme
from client_messages import DEVICE, device_data
from integrations_counterparts import LOCAL
from paho.mqtt import publish

sys.path.append(str(Path(__file__).parent.parent / "mqtt"))
from memory_hub import MemoryHub, principal

from wattwire.client import (
    Born,
    Broker,
    Died,
    Interrupted,
    RefusedByBrokerError,
    Sample,
    listen,
    subscribe,
)
from wattwire.delivery.rendering import find_format
from wattwire.integrations import TYPES
from wattwire.integrations.contract import Delivered
from wattwire.model import Event, Message
from wattwire.mqtt.door import Door
from wattwire.mqtt.limits import Limits

PATIENCE = 20
FILTER = "spBv1.0/pm500/#"
KIND = TYPES["mqtt"]


async def until(subscriber, condition):
    found = []
    async with asyncio.timeout(PATIENCE):
        while not condition(found):
            found += await subscriber.receive(1)
    return found


# --- the integration `mqtt` ---


def message(form, number, ago=timedelta(0)):
    event = Event(
        id=UUID(int=number),
        topic="device.telemetry",
        organization_id=UUID(int=1),
        time=datetime.now(UTC).replace(microsecond=0) - ago,
        data={"values": {"voltage_v": 480.25 + number, "on": number % 2 == 0, "state": "run"}},
        device_key=f"pm-{number % 3}",
        metadata={"uuid": f"asset-{number % 3}"},
    )
    return Message(f"m-{number}", form.render(event), form.content_type, event=event)


async def deliver(broker, form, messages, **settings):
    made = KIND.settings(broker_url=f"mqtt://127.0.0.1:{broker.port}", **settings)
    async with KIND.connect(made, LOCAL) as integration:
        outcomes = [await integration.deliver(batch) for batch in messages]
    assert {Delivered} == {type(o) for found in outcomes for o in found.values()}


def expected(messages):
    return {
        (m.event.device_key, m.event.metadata["uuid"], m.event.time, name, value)
        for m in messages
        for name, value in m.event.data["values"].items()
    }


async def test_the_hubs_edge_node_is_understood(mosquitto):
    """`sparkplug_b` by the hub: every value of every device, its time and uuid; births, deaths."""
    form = find_format("sparkplug_b", {"units": True})
    recent = [message(form, n, timedelta(milliseconds=100 - n)) for n in range(60)]
    late = message(form, 60, timedelta(hours=1))
    sparkplug = {"group": "pm500", "edge_node": "hub"}
    async with subscribe(f"mqtt://127.0.0.1:{mosquitto.port}", FILTER) as results:
        await deliver(mosquitto, form, [recent[:30], recent[30:], [late]], sparkplug=sparkplug)
        found = await until(results, lambda f: any(isinstance(r, Died) for r in f))
    data = [r for r in found if isinstance(r, Sample) and not r.is_birth]

    assert expected([*recent, late]) == {(s.device, s.uuid, s.time, s.name, s.value) for s in data}
    assert 3 * 61 == len(data)
    assert {("pm500", "hub")} == {(s.group, s.edge_node) for s in data}
    assert {("voltage_v", "V"), ("on", ""), ("state", "")} == {(s.name, s.unit) for s in data}
    assert [late.event.time] * 3 == [s.time for s in data if s.is_historical]
    assert ["", "pm-0", "pm-1", "pm-2"] == [r.device for r in found if isinstance(r, Born)]
    assert {Born, Sample, Died} == {type(r) for r in found}


async def test_the_hubs_json_is_understood(mosquitto):
    """`sparkplug_json` by the hub, on a topic of the PowerMonitor 500's tree."""
    form = find_format("sparkplug_json")
    messages = [message(form, n, timedelta(seconds=n)) for n in range(6)]
    topic = "spBv1.0/pm500/DDATA/edge-1/{device_key}"
    async with subscribe(f"mqtt://127.0.0.1:{mosquitto.port}", FILTER) as results:
        await deliver(mosquitto, form, [messages], topic=topic)
        found = await until(results, lambda f: len(f) >= 18)

    assert expected(messages) == {(s.device, s.uuid, s.time, s.name, s.value) for s in found}
    assert {("voltage_v", "V")} == {(s.name, s.unit) for s in found if s.unit}


# --- the hub's door ---


@pytest.fixture
async def door(tmp_path):
    """A door with TLS, an edge node that may publish and readers who may see it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    users = [
        principal(1, "edge-1", publish=("spBv1.0/pm500/#",), subscribe=()),
        principal(2, "reader", publish=(), subscribe=("spBv1.0/pm500/#",)),
    ]
    opened = Door(MemoryHub([(user, b"s3cr3t") for user in users]))
    await opened.start("127.0.0.1", 0, 0, context, Limits(refusal_seconds=0.01))
    opened.ca_file = tmp_path / "ca.pem"
    yield opened
    await opened.stop()


def reader(door):
    port = door.ports.mqtts
    return Broker(url=f"mqtts://127.0.0.1:{port}", ca_file=door.ca_file,
                  username="reader", password="s3cr3t")  # fmt: skip


def say(door, body):
    publish.single(DEVICE.format("DDATA"), body, 1, hostname="127.0.0.1", port=door.ports.mqtt,
                   auth={"username": "edge-1", "password": "s3cr3t"})  # fmt: skip


JSON = b'{"metrics": [{"name": "realPower", "value": 4.2}], "uuid": "u"}'


async def test_a_consumer_at_the_door(door):
    """TLS with the hub's CA, a login that may subscribe: what an edge node says arrives."""
    async with subscribe(reader(door), FILTER) as results:
        await asyncio.to_thread(say, door, JSON)
        (sample,) = await until(results, lambda found: found)

    assert ("pm500/edge-1/pm-7", "realPower", 4.2) == (sample.key, sample.name, sample.value)


async def test_a_blocking_consumer_at_the_door(door):
    """The same without asyncio."""

    def consume():
        with listen(reader(door), FILTER) as results:
            say(door, JSON)
            return next(iter(results)).value

    assert 4.2 == await asyncio.to_thread(consume)


async def test_a_filter_that_the_login_may_not_see(door):
    """The door says so, and the client names the filter."""
    with pytest.raises(RefusedByBrokerError, match=r"spBv1\.0/other"):
        async with subscribe(reader(door), FILTER, "spBv1.0/other/#"):
            pass


async def test_a_rebirth_that_may_not_be_requested(door):
    """The door cuts the connection of a login that may not publish; the client tells."""
    async with subscribe(reader(door), FILTER, request_rebirths=True) as results:
        await asyncio.to_thread(say, door, device_data(7))
        found = await until(results, lambda f: any(isinstance(r, Interrupted) for r in f))

    assert "Refused" == type(found[0]).__name__
