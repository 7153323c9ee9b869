"""Devices at the hub's own MQTT door, from a credential to a stored reading."""

import asyncio
import base64
import json
import ssl
import threading

import paho.mqtt.client as paho
import pytest
from running_hub import until


class Client:
    """A paho client for a test: connects, publishes, collects."""

    def __init__(self, hub, login, client_id, *, tls=False, clean=True):
        self.received = []
        self.closed = threading.Event()
        self.opened = threading.Event()
        self.reason = None
        self.paho = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=clean
        )
        self.paho.username_pw_set(login["username"], login["password"])
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = lambda *_: self.closed.set()
        self.paho.on_message = lambda _c, _d, m: self.received.append(
            (m.topic, m.payload, m.retain)
        )
        if tls:
            self.paho.tls_set_context(ssl.create_default_context(cafile=hub.info["ca_file"]))
        port = hub.info["mqtts_port" if tls else "mqtt_port"]
        self.paho.connect("localhost" if tls else "127.0.0.1", port, keepalive=30)
        self.paho.loop_start()

    def _on_connect(self, _client, _data, _flags, reason, _properties):
        self.reason = reason
        self.opened.set()

    async def ready(self):
        assert await asyncio.to_thread(self.opened.wait, 10)
        return self

    async def publish(self, topic, payload, qos=1):
        info = self.paho.publish(topic, payload, qos=qos)
        await asyncio.to_thread(info.wait_for_publish, 10)
        return info.is_published()

    async def subscribe(self, topic_filter, qos=1):
        granted = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()
        self.paho.on_subscribe = lambda _c, _d, _m, codes, _p: loop.call_soon_threadsafe(
            granted.set_result, [code.value for code in codes]
        )
        self.paho.subscribe(topic_filter, qos=qos)
        return await asyncio.wait_for(granted, 10)

    def stop(self):
        self.paho.disconnect()
        self.paho.loop_stop()


@pytest.fixture
def hub(shared_hub):
    return shared_hub


@pytest.fixture
async def connect():
    clients = []

    async def opened(hub, login, client_id, **options):
        client = await asyncio.to_thread(lambda: Client(hub, login, client_id, **options))
        clients.append(client)
        return await client.ready()

    yield opened
    for client in clients:
        await asyncio.to_thread(client.stop)


def reading(value, minute=0, key="m-1"):
    return json.dumps(
        {
            "device": key,
            "stream": "/power/1",
            "time": f"2025-06-01T12:{minute:02}:00Z",
            "values": {"active_power_w": value},
        }
    )


async def login_for(hub, username, topic, format_name, *more):
    return await hub.command(
        "mqtt-credential", "create", "--username", username, "--topic", topic,
        "--format", format_name, *more,
    )  # fmt: skip


async def quarantined(hub, topic):
    async def there():
        async with hub.api() as api:
            items = (await api.get("/api/v1/quarantine"))["items"]
        return [item for item in items if item["topic"] == topic]

    return await until(there, 30, f"an entry of {topic} in quarantine")


async def test_a_foreign_topic_closes_the_connection(hub, connect):
    """Publishing to a topic that is not one's own ends the connection, unacknowledged."""
    login = await login_for(hub, "foreign", "foreign/1", "json")
    client = await connect(hub, login, "foreign-1")
    assert await client.publish("foreign/1", reading(1))
    client.paho.reconnect_delay_set(60, 60)
    client.closed.clear()
    info = client.paho.publish("foreign/2", reading(2, 1), qos=1)
    assert await asyncio.to_thread(client.closed.wait, 10)

    assert not info.is_published()


async def test_a_wrong_password_is_refused(hub, connect):
    """The answer to a wrong password is CONNACK 5 or 4, and nothing else happens."""
    login = await login_for(hub, "wrong", "wrong/1", "json")
    client = await connect(hub, {**login, "password": "wrong"}, "wrong-1")

    assert client.reason.is_failure


async def test_a_revoked_credential_is_out_at_once(hub, connect):
    """Disabling a credential closes its connections, and it cannot come back."""
    login = await login_for(hub, "revoked", "revoked/1", "json")
    client = await connect(hub, login, "revoked-1")
    client.closed.clear()
    await hub.command("mqtt-credential", "disable", "--username", "revoked")
    assert await asyncio.to_thread(client.closed.wait, 10)

    again = await connect(hub, login, "revoked-2")
    assert again.reason.is_failure


async def test_what_is_refused_can_be_mended_and_fed_back(hub, connect):
    """A message that cannot be understood is acknowledged, kept with the reason, and replayed."""
    login = await login_for(hub, "mended", "mended/1", "json")
    client = await connect(hub, login, "mended-1")
    broken = reading(5).replace("T12:", "T99:")
    assert await client.publish("mended/1", broken, qos=2)
    (entry,) = await quarantined(hub, "mended/1")
    assert "time" in entry["where"]

    async with hub.api() as api:
        full = await api.get(f"/api/v1/quarantine/{entry['id']}")
        assert broken.encode() == base64.b64decode(full["raw_base64"])
        await api.post(f"/api/v1/quarantine/{entry['id']}/replay", {"text": reading(5)})

    async def stored():
        async with hub.api() as api:
            return (await api.get("/api/v1/devices"))["items"]

    (device,) = await until(stored, 30, "the mended reading is stored")
    assert "m-1" == device["key"]


async def test_consumers_see_what_they_may_and_nothing_else(hub, connect):
    """A subscriber of the same organization gets what devices publish; another's gets nothing."""
    await hub.command("organization", "create", "Other")
    device = await login_for(hub, "edge", "spBv1.0/pm500/#", "sparkplug_b")
    reader = await login_for(hub, "reader", "none", "json", "--subscribe", "spBv1.0/pm500/#")
    other = await login_for(
        hub, "spy", "none", "json", "--subscribe", "spBv1.0/pm500/#", "--organization", "Other"
    )
    consumer, spy = await connect(hub, reader, "c"), await connect(hub, other, "s")
    assert [1] == await consumer.subscribe("spBv1.0/pm500/#", qos=2)
    assert [128] == await consumer.subscribe("spBv1.0/#")
    await spy.subscribe("spBv1.0/pm500/#")
    edge = await connect(hub, device, "e")
    body = json.dumps(
        {
            "metrics": [
                {"name": "realPower", "value": 4.2, "properties": {"unit": "kW"}},
                {"name": "currentA", "value": 12.1, "properties": {"unit": "A"}},
            ],
            "timestamp": 1713897600000,
            "seq": 1024,
            "uuid": "asset-1",
        }
    )
    assert await edge.publish("spBv1.0/pm500/DDATA/edge/pm", body, qos=1)

    async def heard():
        return consumer.received

    ((topic, payload, _),) = await until(heard, 10, "the consumer heard it")
    assert ("spBv1.0/pm500/DDATA/edge/pm", body) == (topic, payload.decode())
    assert [] == spy.received


async def test_an_edge_node_sees_its_host_and_is_asked_for_births(hub, connect):
    """STATE is retained for edge nodes; data before a birth is kept and a rebirth is asked for."""
    await login_for(hub, "plant", "spBv1.0/plant/#", "sparkplug_b")
    login = await login_for(
        hub, "plant2", "spBv1.0/plant/#", "sparkplug_b",
        "--subscribe", "spBv1.0/plant/NCMD/#", "--subscribe", "spBv1.0/STATE/+",
    )  # fmt: skip
    edge = await connect(hub, login, "edge-node")

    async def state():
        await edge.subscribe("spBv1.0/STATE/+")
        return [m for m in edge.received if m[0] == "spBv1.0/STATE/wattwire"]

    said = await until(state, 20, "the host's STATE")
    assert json.loads(said[0][1])["online"] is True
    await edge.subscribe("spBv1.0/plant/NCMD/#")
    data = b"\x18\x05"  # a payload of nothing but seq 5
    await edge.publish("spBv1.0/plant/NDATA/edge-1", data, qos=0)

    async def asked():
        return [m for m in edge.received if m[0] == "spBv1.0/plant/NCMD/edge-1"]

    ((_, command, _),) = await until(asked, 20, "a rebirth is asked for")
    assert b"Node Control/Rebirth" in command


async def test_a_lasting_session_gets_what_it_missed_after_a_restart(own_hub, connect):
    """A consumer that was away gets its messages, though the hub was killed meanwhile."""
    device = await login_for(own_hub, "meter", "meters/1", "json")
    reader = await login_for(own_hub, "reader", "none", "json", "--subscribe", "meters/#")
    first = await connect(own_hub, reader, "lasting", clean=False)
    assert [1] == await first.subscribe("meters/#")
    await asyncio.to_thread(first.stop)
    meter = await connect(own_hub, device, "m")
    for minute in range(3):
        assert await meter.publish("meters/1", reading(minute, minute))
    await asyncio.sleep(
        1
    )  # the copy in the log is an insurance, written beside the way of a reading
    own_hub.kill("hub")
    await own_hub.process.wait()
    await own_hub.start()
    again = await connect(own_hub, reader, "lasting", clean=False)

    async def all_there():
        return len(again.received) >= 3

    await until(all_there, 20, "the three messages")
    values = [json.loads(p)["values"]["active_power_w"] for _, p, _ in again.received]
    assert [0, 1, 2] == sorted(set(values))
