"""MQTT: a real Mosquitto in both versions, and a broker that fails as it is told."""

import asyncio
import signal
import socket
import ssl
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
import trustme
from cryptography import x509
from integrations_counterparts import LOCAL, Reply
from mqtt_counterparts import FaultBroker, MqttReply, Onlooker, websocket_relay
from pydantic import ValidationError

from wattwire.delivery.rendering import find_format
from wattwire.delivery.verdicts import judge, merged
from wattwire.formats import sparkplug_json
from wattwire.integrations import TYPES, _mqtt_client
from wattwire.integrations.contract import (
    UNREACHABLE,
    ConfigurationError,
    Delivered,
    Rejected,
    Surroundings,
    UnreachableError,
    Verdict,
)
from wattwire.model import Event, Message

KIND = TYPES["mqtt"]
ORGANIZATION = UUID(int=1)
VERSIONS = ["3.1.1", "5"]


def message(number, device="meter-1", body=None):
    event = Event(
        id=UUID(int=number),
        topic="device.telemetry",
        organization_id=ORGANIZATION,
        time=datetime.now(UTC),
        data={"values": {"n": float(number)}},
        device_key=device,
    )
    body = f'{{"n": {number}}}'.encode() if body is None else body
    return Message(f"m-{number}", body, topic=event.topic, device=device, event=event)


def messages(count):
    return [message(number) for number in range(count)]


def settings(broker, **more):
    return KIND.settings(broker_url=f"mqtt://127.0.0.1:{broker.port}", **more)


async def deliver(given, batch, surroundings=LOCAL):
    async with KIND.connect(given, surroundings) as integration:
        return await integration.deliver(batch)


def verdict(outcome):
    return judge(outcome, merged(KIND.verdicts, {}))


def delivered(outcomes):
    return {i for i, outcome in outcomes.items() if isinstance(outcome, Delivered)}


# --- a real broker ---


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_messages_arrive(mqtt_broker, onlooker, version, qos):
    """In both versions and all three qualities: each once, in order, with a receipt."""
    outcomes = await deliver(settings(mqtt_broker, version=version, qos=qos), messages(100))
    seen = onlooker.messages()

    assert [m.body for m in messages(100)] == [s.payload for s in seen]
    assert {(f"netneural/{ORGANIZATION}/devices/meter-1/telemetry", qos, False)} == {
        (s.topic, s.qos, s.retain) for s in seen
    }
    assert 100 == len(delivered(outcomes))
    expected = "QoS 0, read by the broker" if qos == 0 else "packet 1, Success"
    assert expected == outcomes["m-0"].receipt


async def test_many_calls_at_once(mqtt_broker, onlooker):
    """Five batches on one connection, more than the broker's window takes at QoS 2."""
    async with KIND.connect(settings(mqtt_broker, qos=2), LOCAL) as integration:
        batches = [messages(500)[n : n + 100] for n in range(0, 500, 100)]
        found = await asyncio.gather(*(integration.deliver(batch) for batch in batches))

    assert 500 == sum(len(delivered(outcomes)) for outcomes in found)
    assert 500 == len(onlooker.messages())


async def test_what_version_5_says_beside_the_body(mqtt_broker, onlooker):
    """Message id and topic as user properties, content type, and for how long it is of use."""
    await deliver(settings(mqtt_broker, message_expiry_seconds=600), messages(1))
    said = onlooker.messages()[0].properties

    assert [("message_id", "m-0"), ("topic", "device.telemetry")] == said.UserProperty
    assert ("application/json", True) == (said.ContentType, 590 < said.MessageExpiryInterval <= 600)


async def test_topics_are_made_of_the_event(mqtt_broker, onlooker):
    """A device cannot leave its place; a message that has none is rejected, the others go."""
    given = settings(mqtt_broker, topic="plant/{device_key}/{event}")
    outcomes = await deliver(given, [message(1, "a/b"), message(2, ""), message(3, "c+#")])

    assert {"m-1", "m-3"} == delivered(outcomes)
    assert isinstance(outcomes["m-2"], Rejected)
    assert ["plant/a%2Fb/telemetry", "plant/c%2B%23/telemetry"] == [
        s.topic for s in onlooker.messages()
    ]


async def test_sparkplug_json_on_its_topic(mqtt_broker, onlooker):
    """The PowerMonitor 500 flow's payload where its consumers listen (spBv1.0/pm500/#)."""
    form = find_format("sparkplug_json")
    event = replace(message(1).event, data={"values": {"voltageAN": 480.2, "realPower": 4.2}})
    event = replace(event, device_key="pm-7", metadata={"uuid": "asset-7"})
    given = settings(mqtt_broker, topic="spBv1.0/pm500/DDATA/edge-1/{device_key}")
    await deliver(given, [Message("m-1", form.render(event), form.content_type, event=event)])
    seen = onlooker.messages()[0]
    reading = sparkplug_json.decode(seen.topic, seen.payload, 0).readings[0]

    assert "spBv1.0/pm500/DDATA/edge-1/pm-7" == seen.topic
    assert ("asset-7", [("voltageAN", "V"), ("realPower", "kW")], [480.2, 4.2]) == (
        reading.shape.device,
        [(channel.name, channel.unit) for channel in reading.shape.channels],
        list(reading.values),
    )


async def test_retained(mqtt_broker):
    """Who subscribes later still sees the last one."""
    await deliver(settings(mqtt_broker, retain=True), messages(3))
    late = Onlooker(mqtt_broker.port)
    seen = late.messages()
    late.close()

    assert [(b'{"n": 2}', True)] == [(s.payload, s.retain) for s in seen]


async def test_the_will(mqtt_broker, onlooker):
    """Published when the connection is cut, not when it ends with a goodbye."""
    given = settings(mqtt_broker, will={"topic": "hub/state", "payload": "gone", "qos": 2})
    async with KIND.connect(given, LOCAL) as integration:
        await integration.deliver(messages(1))
    goodbye = onlooker.messages()
    async with KIND.connect(given, LOCAL) as integration:
        await integration.deliver(messages(1))
        integration._connection.drop()
        seen = await onlooker.until(lambda seen: any(s.topic == "hub/state" for s in seen))

    assert "hub/state" not in {s.topic for s in goodbye}
    assert [(b"gone", 2)] == [(s.payload, s.qos) for s in seen if s.topic == "hub/state"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_credentials(start_broker, tmp_path, version):
    """A wrong password pauses the integration; the right one gets through."""
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "hub", "right"], check=True)
    broker = await start_broker(f"password_file {users}", anonymous=False)
    login = {"version": version, "username": "hub"}
    wrong = await deliver(settings(broker, **login, password="wrong"), messages(3))
    nobody = await deliver(settings(broker, version=version), messages(3))
    right = await deliver(settings(broker, **login, password="right"), messages(3))

    assert {Verdict.PARK} == {verdict(o) for o in (*wrong.values(), *nobody.values())}
    assert "0x87" == wrong["m-0"].code
    assert 3 == len(delivered(right))


async def test_a_topic_that_is_forbidden(start_broker, tmp_path):
    """MQTT 5 says so for each message: that one pauses, the allowed one was delivered."""
    rules = tmp_path / "rules"
    rules.write_text("topic write plant/good/#\n")
    broker = await start_broker(f"acl_file {rules}")
    given = settings(broker, topic="plant/{device_key}/x")
    outcomes = await deliver(given, [message(1, "good"), message(2, "bad")])

    assert {"m-1"} == delivered(outcomes)
    assert ("0x87", Verdict.PARK) == (outcomes["m-2"].code, verdict(outcomes["m-2"]))


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_broker_that_is_killed(start_broker, version):
    """Unconfirmed messages are unreachable, and the next call makes a new connection."""
    broker = await start_broker()
    async with KIND.connect(settings(broker, version=version), LOCAL) as integration:
        before = await integration.deliver(messages(5))
        broker.signal(signal.SIGSTOP)
        under_way = asyncio.create_task(integration.deliver(messages(50)))
        await asyncio.sleep(0)
        while not integration._connection._waiting:
            await asyncio.sleep(0)
        broker.kill()
        during = await under_way
        with pytest.raises(UnreachableError, match="Connect"):
            await integration.deliver(messages(5))
        await broker.start()
        after = await integration.deliver(messages(5))

    assert 5 == len(delivered(before)) == len(delivered(after))
    assert {(UNREACHABLE, Verdict.DOWN)} == {(o.code, verdict(o)) for o in during.values()}


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
async def tls_broker(start_broker, authority, tmp_path):
    """A Mosquitto that wants a client certificate of the same authority."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    pair = authority.issue_cert("127.0.0.1", "localhost")
    pair.cert_chain_pems[0].write_to_path(str(tmp_path / "server.pem"))
    pair.private_key_pem.write_to_path(str(tmp_path / "server.key"))
    listener = "\n".join(
        (
            f"cafile {tmp_path / 'ca.pem'}",
            f"certfile {tmp_path / 'server.pem'}",
            f"keyfile {tmp_path / 'server.key'}",
            "require_certificate true",
            "use_identity_as_username true",
        )
    )
    return await start_broker(listener=listener)


def pair_of(authority, name="hub"):
    pair = authority.issue_cert(name, common_name=name)
    return {
        "client_cert_pem": pair.cert_chain_pems[0].bytes().decode(),
        "client_key_pem": pair.private_key_pem.bytes().decode(),
    }


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_own_authority_and_client_certificate(tls_broker, authority, host):
    """Both ends prove who they are, by name and by address."""
    given = KIND.settings(
        broker_url=f"mqtts://{host}:{tls_broker.port}",
        ca_pem=authority.cert_pem.bytes().decode(),
        **pair_of(authority),
    )

    assert 200 == sum([len(delivered(await deliver(given, messages(100)))) for _ in range(2)])


async def test_the_operators_authority_goes_with_a_client_certificate(tls_broker, authority):
    """Whom the hub trusts is trusted beside a certificate of the integration's own."""
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    given = KIND.settings(broker_url=f"mqtts://127.0.0.1:{tls_broker.port}", **pair_of(authority))
    outcomes = await deliver(given, messages(1), replace(LOCAL, tls=trusted))

    assert {"m-0"} == delivered(outcomes)


async def test_certificates_that_are_not_trusted(tls_broker, authority):
    """Neither a broker of another authority nor one of another name is spoken to."""
    other = trustme.CA().cert_pem.bytes().decode()
    given = {"broker_url": f"mqtts://127.0.0.1:{tls_broker.port}", **pair_of(authority)}
    with pytest.raises(UnreachableError, match=r"certificate of 127\.0\.0\.1 not trusted"):
        await deliver(KIND.settings(**given, ca_pem=other), messages(1))


async def test_a_client_certificate_that_is_missing(tls_broker, authority):
    """The broker hangs up; nothing is delivered."""
    given = KIND.settings(
        broker_url=f"mqtts://127.0.0.1:{tls_broker.port}",
        ca_pem=authority.cert_pem.bytes().decode(),
    )
    with pytest.raises(UnreachableError):
        await deliver(given, messages(1))


@pytest.mark.parametrize("version", VERSIONS)
async def test_websockets(mqtt_broker, onlooker, version):
    """The same over a WebSocket, which is what passes through proxies."""
    async with websocket_relay(mqtt_broker.port) as url:
        given = KIND.settings(broker_url=url, version=version)
        outcomes = await deliver(given, messages(100))

    assert 100 == len(delivered(outcomes)) == len(onlooker.messages())


async def test_a_websocket_that_is_none(inbox):
    """A web server that knows no WebSocket is not a broker."""
    url = inbox.url.replace("http", "ws")
    with pytest.raises(UnreachableError, match="cannot connect"):
        await deliver(KIND.settings(broker_url=f"{url}/mqtt"), messages(1))


# --- a broker that fails ---


@pytest.fixture
async def fault():
    """A broker that fails as it is told; `url` is where."""
    server = FaultBroker()
    async with server.serving() as server.url:
        server.port = int(server.url.rpartition(":")[2])
        yield server


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0x84, Verdict.PARK),
        (0x85, Verdict.PARK),
        (0x86, Verdict.PARK),
        (0x87, Verdict.PARK),
        (0x88, Verdict.DOWN),
    ],
)
async def test_connections_that_are_refused(fault, version, code, expected):
    """Version, client id, password, permission, no service: in both versions the same meaning."""
    fault.reply = MqttReply(connack=code)
    outcomes = await deliver(settings(fault, version=version), messages(3))

    assert {(f"0x{code:02x}", expected)} == {(o.code, verdict(o)) for o in outcomes.values()}
    assert 1 == fault.connections


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0x8A, Verdict.PARK),
        (0x89, Verdict.THROTTLE),
        (0x97, Verdict.THROTTLE),
        (0x9F, Verdict.THROTTLE),
        (0x9D, Verdict.PARK),
        (0x80, Verdict.RETRY),
    ],
)
async def test_what_only_version_5_can_say(fault, code, expected):
    """Banned, busy, quota, rate, moved, no reason."""
    fault.reply = MqttReply(connack=code)
    outcomes = await deliver(settings(fault), messages(1))

    assert expected == verdict(outcomes["m-0"])


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0x10, Verdict.OK),
        (0x80, Verdict.RETRY),
        (0x83, Verdict.RETRY),
        (0x87, Verdict.PARK),
        (0x90, Verdict.REJECT),
        (0x97, Verdict.THROTTLE),
        (0x99, Verdict.REJECT),
    ],
)
async def test_messages_that_are_refused(fault, qos, code, expected):
    """Each PUBACK or PUBREC has its meaning; 0x10 (nobody subscribes) is a success."""
    fault.reply = MqttReply(answer=code, pubrec=code)
    outcomes = await deliver(settings(fault, qos=qos), messages(2))

    assert {expected} == {verdict(o) for o in outcomes.values()}
    assert 2 == len(fault.requests)


async def test_a_broker_that_ends_the_connection_says_why(fault):
    """MQTT 5: the reason of its DISCONNECT is the outcome of what was not confirmed."""
    fault.reply = MqttReply(disconnect=0x97)
    outcomes = await deliver(settings(fault), messages(3))

    assert {("0x97", Verdict.THROTTLE)} == {(o.code, verdict(o)) for o in outcomes.values()}


@pytest.mark.parametrize("version", VERSIONS)
async def test_no_answer_to_connect(fault, version, monkeypatch):
    """A broker that takes the connection and says nothing is not there."""
    monkeypatch.setattr(_mqtt_client, "CONNECT_SECONDS", 0.3)
    fault.reply = MqttReply(mute=True)
    with pytest.raises(UnreachableError, match="no answer"):
        await deliver(settings(fault, version=version), messages(1))


async def test_a_tls_handshake_that_never_ends(fault, monkeypatch):
    """A server that does not speak TLS, and waits: given up, without a thread of ours."""
    monkeypatch.setattr(_mqtt_client, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and nobody accepts
        url = f"mqtts://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UnreachableError, match="no answer"):
            await deliver(KIND.settings(broker_url=url), messages(1))


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_connection_that_is_cut(fault, qos):
    """Whatever the quality: what nobody confirmed is not called delivered."""
    fault.reply = MqttReply(cut=True)
    outcomes = await deliver(settings(fault, qos=qos), messages(3))

    assert {UNREACHABLE} == {o.code for o in outcomes.values()}


async def test_what_was_given_up_is_not_sent_later(fault):
    """When the engine stops waiting, nothing that still waits in memory leaves behind its back."""
    fault.reply = MqttReply(hang=True)
    async with KIND.connect(settings(fault, max_in_flight=1), LOCAL) as integration:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await integration.deliver(messages(10))
        given_up = len(fault.requests)
        fault.reply = MqttReply()
        outcomes = await integration.deliver([message(100)])

    assert 1 == given_up
    assert ([b'{"n": 0}', b'{"n": 100}'], {"m-100"}) == (
        [r.body for r in fault.requests],
        delivered(outcomes),
    )


@pytest.mark.parametrize(("ours", "theirs", "expected"), [(7, None, 7), (50, 3, 3), (2, 9, 2)])
async def test_the_window(fault, ours, theirs, expected):
    """Never more without an answer than we were told, nor than the broker takes."""
    fault.reply = MqttReply(
        hang=True, properties=b"" if theirs is None else bytes([0x21, 0, theirs])
    )
    async with KIND.connect(settings(fault, max_in_flight=ours), LOCAL) as integration:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await integration.deliver(messages(100))

    assert expected == len(fault.requests)


async def test_limits_that_the_broker_states(fault):
    """MQTT 5: a packet that is too large is rejected unsent; a quality it lacks pauses."""
    fault.reply = MqttReply(properties=b"\x27\x00\x00\x04\x00")  # 1,024 bytes
    outcomes = await deliver(settings(fault), [message(1), message(2, body=b"x" * 2000)])
    fault.reply = MqttReply(properties=b"\x24\x01")  # QoS 1 at most
    qos = await deliver(settings(fault, qos=2), messages(1))
    fault.reply = MqttReply(properties=b"\x25\x00")  # nothing retained
    retain = await deliver(settings(fault, retain=True), messages(1))

    assert {"m-1"} == delivered(outcomes)
    assert "1024 bytes" in outcomes["m-2"].reason
    assert [Verdict.PARK] * 2 == [verdict(qos["m-0"]), verdict(retain["m-0"])]
    assert 1 == len(fault.requests)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\x30\xff\xff\xff\x7f" + b"x" * 4096, "too large"),  # a PUBLISH of 256 MB
        (b"\x40\x04\x00\x01\x00\x90", "closed"),  # properties that are cut off
        (b"\x40\x03\x00\x01\x42", "closed"),  # a reason code that there is not
        (b"\x50\x03\x00\x01\xa5", "cannot be read"),  # the same, and paho would raise
        (b"\xff" * 64, "closed"),
        (b"\x20\x03\x00\x00\x00" * 2, None),  # a CONNACK again
        (b"\x40\x02\x12\x34", None),  # of a packet that was never sent
    ],
)
async def test_answers_that_are_none(fault, raw, reason):
    """An endless packet, a broken one, noise end the connection; none is ever a success."""
    fault.reply = Reply(raw=raw)
    qos = 2 if raw.startswith(b"\x50") else 1
    async with KIND.connect(settings(fault, qos=qos), LOCAL) as integration:
        try:
            async with asyncio.timeout(30 if reason else 0.3):
                outcomes = await integration.deliver(messages(1))
        except TimeoutError:
            outcomes = {}

    if reason:
        assert reason in outcomes["m-0"].reason
    assert set() == delivered(outcomes)


async def test_answers_in_one_piece_of_tls(authority):
    """Several packets in one record: none is left in the buffer until something else arrives."""
    fault = FaultBroker()
    fault.pong = b"\x30\x04\x00\x01t\x00" * 5 + b"\xd0\x00"
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with fault.serving(tls) as url:
        given = KIND.settings(broker_url=url, qos=0, ca_pem=authority.cert_pem.bytes().decode())
        async with asyncio.timeout(10):
            outcomes = await deliver(given, messages(3))

    assert {"m-0", "m-1", "m-2"} == delivered(outcomes)


async def test_one_connection_for_many_calls(fault):
    """It is made once, kept, and left with a goodbye."""
    async with KIND.connect(settings(fault), LOCAL) as integration:
        await asyncio.gather(*(integration.deliver([message(n)]) for n in range(20)))
        await integration.deliver(messages(3))

    async with asyncio.timeout(5):
        while fault.packets[-1][0] >> 4 != 14:  # DISCONNECT
            await asyncio.sleep(0.01)
    assert 1 == fault.connections


async def test_calls_share_an_attempt_to_connect(fault, monkeypatch):
    """However many calls wait for a broker that says nothing: one attempt, and all hear of it."""
    monkeypatch.setattr(_mqtt_client, "CONNECT_SECONDS", 0.3)
    fault.reply = MqttReply(mute=True)
    async with KIND.connect(settings(fault), LOCAL) as integration:
        calls = [integration.deliver([message(n)]) for n in range(20)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        tried = fault.connections
        fault.reply = MqttReply()
        outcomes = await integration.deliver([message(100)])

    assert {UnreachableError} == {type(error) for error in found}
    assert (1, {"m-100"}) == (tried, delivered(outcomes))


async def test_leaving_while_connecting(fault):
    """An attempt that nobody waits for any more ends with the integration."""
    fault.reply = MqttReply(mute=True)
    async with KIND.connect(settings(fault), LOCAL) as integration:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await integration.deliver(messages(1))
        attempt = integration._opening

    assert attempt.cancelled()


async def test_private_networks_are_refused(fault):
    """An address inside is not even connected to, by number or by name."""
    for host in ("127.0.0.1", "localhost"):
        given = KIND.settings(broker_url=f"mqtt://{host}:{fault.port}")
        with pytest.raises(UnreachableError, match="not a public address"):
            await deliver(given, messages(1), Surroundings())

    assert 0 == fault.connections


async def test_a_format_that_does_not_fit(fault):
    """Sparkplug B needs an edge node, and an edge node Sparkplug B: somebody has to change it."""
    body = replace(message(1), content_type="application/x-sparkplug-b")
    edge = {"group": "g", "edge_node": "e"}
    with pytest.raises(ConfigurationError, match="edge node"):
        await deliver(settings(fault), [body])
    with pytest.raises(ConfigurationError, match="choose that format"):
        await deliver(settings(fault, sparkplug=edge), messages(1))


# --- settings ---


@pytest.mark.parametrize(
    ("url", "more", "place"),
    [
        ("mqtt://b", {}, ("b", 1883)),
        ("mqtts://b", {}, ("b", 8883)),
        ("mqtt://b", {"tls": True}, ("b", 8883)),
        ("mqtts://b:99", {}, ("b", 99)),
        ("mqtts://b:99", {"port": 100}, ("b", 100)),
        ("ws://b/mqtt", {}, ("b", 80)),
        ("wss://[::1]/mqtt", {}, ("::1", 443)),
    ],
)
def test_where_a_broker_is(url, more, place):
    """Scheme, port in the URL, port of its own; TLS moves the usual one."""
    assert place == KIND.settings(broker_url=url, **more).place


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"broker_url": "http://b"}, "must be an address"),
        ({"broker_url": "mqtt://u:p@b"}, "not hold a password"),
        ({"broker_url": "mqtt://b/topic"}, "no path"),
        ({"topic": "a/#"}, "wildcards"),
        ({"topic": "a/{nothing}"}, "is none of"),
        ({"qos": 3}, "qos"),
        ({"client_cert_pem": "x"}, "belong together"),
        ({"ca_pem": "nonsense", "tls": True}, "cannot be used"),
        ({"ca_pem": "x"}, "need TLS"),
        ({"version": "3.1.1", "message_expiry_seconds": 5}, "needs version 5"),
        ({"version": "3.1.1", "password": "p"}, "without a username"),
        ({"sparkplug": {"group": "a/b", "edge_node": "e"}}, "group"),
        ({"sparkplug": {"group": "g", "edge_node": "e"}, "retain": True}, "nothing is retained"),
        ({"will": {"topic": "{device_key}"}}, "no places"),
    ],
)
def test_mqtt_settings_that_cannot_work(changes, why):
    """What is wrong is said before the network is used."""
    with pytest.raises(ValidationError, match=why):
        KIND.settings(**{"broker_url": "mqtt://b", **changes})


def test_a_key_with_a_passphrase_is_refused(authority):
    """Nobody is there to type it."""
    from cryptography.hazmat.primitives import serialization as s

    pair = pair_of(authority)
    key = s.load_pem_private_key(pair["client_key_pem"].encode(), None)
    sealed = key.private_bytes(
        s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"secret")
    )
    with pytest.raises(ValidationError, match="passphrase"):
        KIND.settings(broker_url="mqtts://b", **{**pair, "client_key_pem": sealed.decode()})
    assert x509.load_pem_x509_certificate(pair["client_cert_pem"].encode())
