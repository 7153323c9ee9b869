"""The door serves clients it has not been written with: paho, gmqtt, mosquitto, awscrt, mqtt.js."""

import asyncio
import json
import shutil
import ssl
import threading
from pathlib import Path

import gmqtt
import paho.mqtt.client as paho
import pytest
from awscrt import io as aws_io
from awscrt import mqtt as aws_mqtt
from memory_hub import ACME
from paho.mqtt.enums import CallbackAPIVersion

NODE_MODULES = Path(__file__).parents[1] / "node" / "node_modules"


@pytest.fixture
def files(authority, tmp_path):
    """The CA, and a client certificate with its key, as files."""
    issued = authority.issue_cert("client@example.org")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    with (tmp_path / "cert.pem").open("wb") as chain:
        for pem in issued.cert_chain_pems:
            chain.write(pem.bytes())
    return {name: str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")}


@pytest.fixture
async def program():
    """A function that starts a program and returns it; what still runs is ended."""
    started = []

    async def start(*command, stdin=None):
        if shutil.which(command[0]) is None:
            pytest.fail(f"{command[0]} is missing: apt-get install mosquitto-clients nodejs")
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        started.append(process)
        if stdin is not None:
            process.stdin.write(stdin)
            process.stdin.close()
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def output(process):
    """Return what a program printed, when it has succeeded."""
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, err
    return out.decode()


# paho-mqtt


class Paho:
    """paho in its own thread; its callbacks set events."""

    def __init__(self, client_id, *, clean=True, username="meter", password="secret", tls=None):
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, clean_session=clean, protocol=paho.MQTTv311
        )
        self.client.username_pw_set(username, password)
        if tls:
            self.client.tls_set(tls["ca"], tls["cert"], tls["key"])
        self.messages, self.codes = [], []
        self.connected, self.gone, self.subscribed = (threading.Event() for _ in range(3))
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = lambda *_: self.gone.set()
        self.client.on_message = lambda _c, _u, message: self.messages.append(message)
        self.client.on_subscribe = self._on_subscribe

    def _on_connect(self, _client, _data, flags, reason, _properties):
        self.present, self.reason = flags.session_present, reason
        self.connected.set()

    def _on_subscribe(self, _client, _data, _mid, codes, _properties):
        self.codes = [code.value for code in codes]
        self.subscribed.set()

    async def connect(self, port, keepalive=60):
        await asyncio.to_thread(self.client.connect, "127.0.0.1", port, keepalive)
        self.client.loop_start()
        await wait(self.connected)

    async def subscribe(self, topic_filter, qos=0):
        self.subscribed.clear()
        self.client.subscribe(topic_filter, qos)
        await wait(self.subscribed)
        return self.codes

    async def publish(self, topic, payload, qos=0, *, retain=False):
        info = self.client.publish(topic, payload, qos, retain)
        await asyncio.to_thread(info.wait_for_publish, 10)
        return info.is_published()

    async def close(self):
        await asyncio.to_thread(self.client.disconnect)
        await asyncio.to_thread(self.client.loop_stop)

    async def kill(self):
        """Go without DISCONNECT."""
        self.client.on_disconnect = None
        self.client.socket().shutdown(2)
        await asyncio.to_thread(self.client.loop_stop)


async def wait(event):
    assert await asyncio.to_thread(event.wait, 10)


@pytest.fixture
async def connect_paho(door, files):
    """A function that connects paho to the door."""
    clients = []

    async def to(client_id, *, with_tls=False, **options):
        clients.append(client := Paho(client_id, tls=files if with_tls else None, **options))
        await client.connect(door.ports.mqtts if with_tls else door.ports.mqtt)
        return client

    yield to
    for client in clients:
        client.client.on_disconnect = None
        await client.close()


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("with_tls", [False, True])
async def test_paho_publishes_and_subscribes(hub, connect_paho, eventually, with_tls, qos):
    """100 messages at each QoS, plain and over TLS with a client certificate, all and in order."""
    reader = await connect_paho("r", username="reader", with_tls=with_tls)
    writer = await connect_paho("w", with_tls=with_tls)
    assert await reader.subscribe("site/#", qos) == [min(qos, 1)]
    infos = [writer.client.publish("site/1", b"%d" % number, qos) for number in range(100)]
    for info in infos:
        await asyncio.to_thread(info.wait_for_publish, 10)
    await eventually(lambda: len(reader.messages) == 100)
    assert [int(message.payload) for message in reader.messages] == list(range(100))
    assert {message.qos for message in reader.messages} == {min(qos, 1)}
    assert len(hub.published) == 100


async def test_paho_waits_for_the_commit(hub, connect_paho, eventually):
    """Its publish is not done before release(True), at QoS 1 and 2."""
    hub.hold = True
    client = await connect_paho("c")
    infos = [client.client.publish("t", b"x", qos) for qos in (1, 2)]
    await eventually(lambda: len(hub.waiting) == 2)
    assert await client.subscribe("t", 0) == [0]
    assert not any(info.is_published() for info in infos)
    hub.release()
    await eventually(lambda: all(info.is_published() for info in infos))


async def test_paho_gets_what_it_missed(door, connect_paho, eventually):
    """A lasting session: session present, and the QoS 1 messages of the meantime."""
    client = await connect_paho("c", clean=False)
    await client.subscribe("t", 1)
    await client.close()
    await eventually(lambda: door.statistics().connections == 0)
    for number in range(30):
        door.publish(ACME, "t", b"%d" % number, 1)
    again = await connect_paho("c", clean=False)
    assert again.present
    await eventually(lambda: len(again.messages) == 30)
    assert [int(message.payload) for message in again.messages] == list(range(30))


async def test_paho_resends_what_was_not_acknowledged(hub, connect_paho, eventually):
    """Refused once, closed, sent again after paho reconnects: nothing is lost."""
    hub.hold = True
    client = await connect_paho("c", clean=False)
    client.client.reconnect_delay_set(1, 1)
    infos = [client.client.publish("t", b"%d" % qos, qos) for qos in (1, 2)]
    await eventually(lambda: len(hub.waiting) == 2)
    hub.release(durable=False)
    hub.hold = False
    await eventually(lambda: all(info.is_published() for info in infos))
    assert [payload for _, _, payload in hub.published] == [b"1", b"2", b"1", b"2"]


async def test_paho_is_told_wrong_password(door):
    """Reason 134 is how paho 2 says CONNACK 4."""
    client = Paho("c", password="wrong")
    await client.connect(door.ports.mqtt)
    assert client.reason == "Bad user name or password"
    await client.close()


async def test_paho_is_closed_on_a_forbidden_topic(door, connect_paho):
    """And gets 0x80 for a forbidden filter."""
    client = await connect_paho("c", username="narrow")
    assert await client.subscribe("#") == [0x80]
    client.client.publish("site/2/telemetry", b"x", 1)
    await wait(client.gone)
    assert door.statistics().totals.messages_forbidden >= 1


async def test_pahos_will_and_retained_messages(connect_paho, eventually):
    """A killed client's will arrives, and is there for later subscribers when retained."""
    reader = await connect_paho("r", username="reader")
    await reader.subscribe("status/#", 1)
    mortal = Paho("m")
    mortal.client.will_set("status/m", b"gone", 1, retain=True)
    await mortal.connect(reader.client._port)
    await mortal.kill()
    await eventually(lambda: [message.payload for message in reader.messages] == [b"gone"])
    late = await connect_paho("late", username="reader")
    await late.subscribe("status/+", 0)
    await eventually(lambda: late.messages)
    assert late.messages[0].retain


async def test_paho_is_displaced_by_itself(door, connect_paho):
    """The same client id: the earlier connection ends."""
    first = await connect_paho("same")
    first.client._reconnect_on_failure = False
    await connect_paho("same")
    await wait(first.gone)
    assert door.statistics().totals.connections_displaced >= 1


# gmqtt


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_gmqtt_publishes_and_subscribes(hub, door, eventually, qos):
    """As MQTT 3.1.1, in the event loop of the test."""
    client, messages = gmqtt.Client(f"gmqtt-{qos}"), []
    client.set_auth_credentials("meter", "secret")
    client.on_message = lambda _c, topic, payload, qos_got, _p: messages.append((topic, payload))
    await client.connect(
        "127.0.0.1", door.ports.mqtt, version=gmqtt.constants.MQTTv311, keepalive=10
    )
    client.subscribe("t", qos=1)
    await eventually(lambda: door.statistics().subscriptions)
    for number in range(50):
        client.publish("t", b"%d" % number, qos=qos)
    await eventually(lambda: len(messages) == 50)
    assert [int(payload) for _, payload in messages] == list(range(50))
    acknowledged = 50 if qos else 0
    await eventually(lambda: door.statistics().totals.acknowledgements_sent == acknowledged)
    await client.disconnect()
    assert len(hub.published) == 50


# mosquitto


@pytest.fixture
def mosquitto_tls(door, files):
    """How mosquitto's programs are told to use TLS with a client certificate."""
    tls = ["--cafile", files["ca"], "--cert", files["cert"], "--key", files["key"]]
    return ["-h", "localhost", "-p", str(door.ports.mqtts), "-P", "secret", "-V", "311", *tls]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_mosquitto_publishes_and_subscribes(door, program, eventually, mosquitto_tls, qos):
    """Lines of a file over TLS with a client certificate; the subscriber prints all of them."""
    common = mosquitto_tls
    reader = await program(
        "mosquitto_sub", *common, "-u", "reader", "-t", "site/+", "-q", str(qos), "-C", "200"
    )
    await eventually(lambda: door.statistics().subscriptions)
    lines = b"".join(b"%d\n" % number for number in range(200))
    writer = await program(
        "mosquitto_pub", *common, "-u", "meter", "-t", "site/1", "-q", str(qos), "-l", stdin=lines
    )
    await output(writer)
    assert await output(reader) == lines.decode()
    assert door.statistics().totals.messages_received == 200


async def test_mosquitto_leaves_a_will_when_killed(door, program, eventually, connect):
    """kill -9 of the process; the will is published."""
    reader = await connect("reader", "r")
    await reader.subscribe("status", 1)
    mortal = await program(
        *("mosquitto_sub", "-p", str(door.ports.mqtt), "-u", "meter", "-P", "secret", "-t", "x"),
        *("--will-topic", "status", "--will-payload", "gone", "--will-qos", "1"),
    )
    await eventually(lambda: door.statistics().subscriptions == 2)
    mortal.kill()
    assert (await reader.receive()).payload == b"gone"


async def test_mosquitto_resumes_its_session(door, program, eventually):
    """-c keeps the session; what was published meanwhile is printed by the next run."""
    command = ["mosquitto_sub", "-p", str(door.ports.mqtt), "-u", "meter", "-P", "secret", "-c"]
    command += ["-i", "lasting", "-q", "1", "-t", "t"]
    first = await program(*command)
    await eventually(lambda: door.statistics().subscriptions)
    first.terminate()
    await first.wait()
    await eventually(lambda: door.statistics().connections == 0)
    for number in range(3):
        door.publish(ACME, "t", b"%d" % number, 1)
    assert await output(await program(*command, "-C", "3")) == "0\n1\n2\n"


# awscrt, the client of the AWS IoT device SDK


def _aws_client(door, files, with_tls):
    bootstrap = aws_io.ClientBootstrap.get_or_create_static_default()
    if not with_tls:
        return aws_mqtt.Client(bootstrap), door.ports.mqtt
    options = aws_io.TlsContextOptions.create_client_with_mtls_from_path(
        files["cert"], files["key"]
    )
    options.override_default_trust_store_from_path(ca_filepath=files["ca"])
    return aws_mqtt.Client(bootstrap, aws_io.ClientTlsContext(options)), door.ports.mqtts


@pytest.mark.parametrize("with_tls", [False, True])
async def test_awscrt_publishes_and_subscribes(hub, door, eventually, files, with_tls):
    """QoS 0 and 1, which is what it speaks; it appends what it is to the user name."""
    client, port = _aws_client(door, files, with_tls)
    messages = []
    connection = aws_mqtt.Connection(
        client, "localhost", port, "aws", username="meter", password="secret", keep_alive_secs=30
    )
    await asyncio.wrap_future(connection.connect())
    subscribed, _ = connection.subscribe(
        "t", aws_mqtt.QoS.AT_LEAST_ONCE, lambda topic, payload, **_: messages.append(payload)
    )
    assert (await asyncio.wrap_future(subscribed))["qos"] == aws_mqtt.QoS.AT_LEAST_ONCE
    for number in range(20):
        done, _ = connection.publish("t", b"%d" % number, aws_mqtt.QoS(number % 2))
        await asyncio.wrap_future(done)
    await eventually(lambda: len(messages) == 20)
    assert [int(payload) for payload in messages] == list(range(20))
    await asyncio.wrap_future(connection.disconnect())
    assert len(hub.published) == 20


# mqtt.js


async def _mqtt_js(program, url, options, steps):
    """Run the steps with mqtt.js; return what happened, in order."""
    if not (NODE_MODULES / "mqtt").exists():
        pytest.fail("mqtt.js is missing: npm ci --prefix tests/node")
    script = Path(__file__).with_name("mqtt_js_client.cjs")
    arguments = [NODE_MODULES, url, json.dumps(options), json.dumps(steps)]
    process = await program("node", script, *map(str, arguments))
    return [json.loads(line) for line in (await output(process)).splitlines()]


@pytest.mark.parametrize("with_tls", [False, True])
async def test_mqtt_js_publishes_and_subscribes(hub, door, program, files, with_tls):
    """All three QoS, plain and over TLS with a client certificate."""
    url = f"mqtt://localhost:{door.ports.mqtt}"
    options = {"username": "meter", "password": "secret", "clientId": "js"}
    if with_tls:
        url, options = f"mqtts://localhost:{door.ports.mqtts}", options | files
    steps = [["subscribe", "t/#", {"qos": 2}]]
    steps += [["publish", f"t/{qos}", "x", {"qos": qos}] for qos in (0, 1, 2)]
    happened = await _mqtt_js(program, url, options, steps)
    assert [step["what"] for step in happened if step["what"] != "message"] == [
        *("subscribe", "publish", "publish", "publish", "closed")
    ]
    assert happened[0]["granted"] == [{"topic": "t/#", "qos": 1}]
    messages = [(s["topic"], s["qos"]) for s in happened if s["what"] == "message"]
    assert messages == [("t/0", 0), ("t/1", 1), ("t/2", 1)]
    assert len(hub.published) == 3


async def test_mqtt_js_is_told_wrong_password(door, program):
    """CONNACK 4 reaches it as code 4."""
    options = {"username": "meter", "password": "wrong"}
    happened = await _mqtt_js(program, f"mqtt://localhost:{door.ports.mqtt}", options, [])
    assert [(step["what"], step["code"]) for step in happened] == [("error", 4)]


# Several at once


async def test_clients_of_all_kinds_hear_each_other(door, connect_paho, program, eventually):
    """paho, gmqtt and mosquitto on one topic."""
    reader = await connect_paho("r", username="reader")
    await reader.subscribe("all/#", 1)
    other = gmqtt.Client("g")
    other.set_auth_credentials("meter", "secret")
    await other.connect("127.0.0.1", door.ports.mqtt, version=gmqtt.constants.MQTTv311)
    other.publish("all/gmqtt", b"1", qos=1)
    port = str(door.ports.mqtt)
    command = ["mosquitto_pub", "-p", port, "-u", "meter", "-P", "secret", "-q", "2"]
    await output(await program(*command, "-t", "all/mosquitto", "-m", "2"))
    await eventually(lambda: len(reader.messages) == 2)
    assert {message.topic for message in reader.messages} == {"all/gmqtt", "all/mosquitto"}
    await other.disconnect()


async def test_a_client_that_does_not_trust_the_certificate_stays_out(door, eventually):
    """Without the CA the client refuses the door; nothing is left of the attempt."""
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection(
            "localhost", door.ports.mqtts, ssl=ssl.create_default_context()
        )
    await eventually(lambda: door.statistics().connections == 0)
