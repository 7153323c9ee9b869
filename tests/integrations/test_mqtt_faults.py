"""MQTT: a broker that fails as it is told, and what becomes of the messages."""

import asyncio
import socket
from dataclasses import replace

import pytest
from integrations_counterparts import LOCAL, Reply
from mqtt_counterparts import FaultBroker, MqttReply
from mqtt_sending import (
    KIND,
    VERSIONS,
    deliver,
    delivered,
    message,
    messages,
    settings,
    verdict,
)

from wattwire.integrations import _mqtt_client
from wattwire.integrations.contract import (
    UNREACHABLE,
    ConfigurationError,
    Surroundings,
    UnreachableError,
    Verdict,
)


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
