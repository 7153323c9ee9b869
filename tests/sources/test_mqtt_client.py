"""The client for other brokers, against a real mosquitto."""

import asyncio
import ssl

import pytest
import trustme

from listening import listening
from wattwire.brokers import Will
from wattwire.sources._mqtt_client import open_session
from wattwire.sources._mqtt_peer import Peer, shared
from wattwire.sources.contract import ConnectionLostError, RefusedByPeerError

VERSIONS = ["3.1.1", "5"]
LIMIT_SECONDS = 20


def peer(broker, client_id="hub", **changes):
    return Peer(host="127.0.0.1", port=broker.port, client_id=client_id, **changes)


async def publish(broker, *payloads, topic="meters/1", qos=1, retain=False):
    async with open_session(peer(broker, "publisher", lasting=False)) as session:
        for payload in payloads:
            await session.publish(topic, payload, qos=qos, retain=retain)


async def receive(session, count):
    """At least `count` messages, none of them acknowledged."""
    messages = []
    async with asyncio.timeout(LIMIT_SECONDS):
        while len(messages) < count:
            messages += await session.receive()
    return messages


async def nothing_waits(broker, version, topic="end"):
    """True when the lasting session holds nothing: a mark published now is all that comes."""
    async with open_session(peer(broker, version=version)) as session:
        await session.subscribe([topic], 1)
        await publish(broker, b"mark", topic=topic)
        messages = await receive(session, 1)
        session.acknowledge(messages)
        return [b"mark"] == [m.payload for m in messages]


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_is_not_acknowledged_comes_again(mosquitto, version):
    """A message read and not acknowledged comes in the next session; once acknowledged, never."""
    async with open_session(peer(mosquitto, version=version)) as session:
        await session.subscribe(["meters/#"], 1)
        await publish(mosquitto, b"a", b"b")
        assert [b"a", b"b"] == [m.payload for m in await receive(session, 2)]

    async with open_session(peer(mosquitto, version=version)) as session:
        messages = await receive(session, 2)
        session.acknowledge(messages[:1])

    async with open_session(peer(mosquitto, version=version)) as session:
        last = await receive(session, 1)
        session.acknowledge(last)

    assert [b"a", b"b"] == [m.payload for m in messages]
    assert [b"b"] == [m.payload for m in last]
    assert await nothing_waits(mosquitto, version)


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_session_outlives_a_killed_broker(mosquitto, version):
    """kill -9 of a broker that saves each change loses neither subscription nor messages."""
    async with open_session(peer(mosquitto, version=version)) as session:
        await session.subscribe(["meters/#"], 1)
    await publish(mosquitto, b"first payload", b"second payload")
    await mosquitto.saved(b"second payload")
    mosquitto.kill()
    await mosquitto.start()

    async with open_session(peer(mosquitto, version=version)) as session:
        messages = await receive(session, 2)
        session.acknowledge(messages)

    assert [b"first payload", b"second payload"] == [m.payload for m in messages]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_killed_broker_ends_the_session(mosquitto, version):
    """receive() does not wait for ever: it raises when the connection is gone."""
    async with open_session(peer(mosquitto, version=version)) as session:
        waiting = asyncio.create_task(session.receive())
        await asyncio.sleep(0)
        mosquitto.kill()
        with pytest.raises(ConnectionLostError, match="closed the connection"):
            await asyncio.wait_for(waiting, LIMIT_SECONDS)
        with pytest.raises(ConnectionLostError):
            await session.publish("x", b"", qos=1)


async def test_nobody_listens(mosquitto):
    """A port where nobody answers is a ConnectionLostError."""
    mosquitto.stop()

    with pytest.raises(ConnectionLostError, match="does not answer"):
        async with open_session(peer(mosquitto)):
            pass


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_wrong_password_is_said(start_mosquitto, tmp_path, version):
    """Refused credentials raise RefusedByPeerError, with the broker's words."""
    empty = tmp_path / "passwords"
    empty.touch()
    broker = await start_mosquitto("allow_anonymous false", f"password_file {empty}")

    with pytest.raises(RefusedByPeerError, match=r"(?i)not authori[sz]ed"):
        async with open_session(peer(broker, version=version, username="u", password="p")):
            pass


@pytest.mark.parametrize("version", VERSIONS)
async def test_shared_subscriptions_split(mosquitto, version):
    """Two members of a group get every message, each one of them."""
    async with (
        open_session(peer(mosquitto, "hub-0", version=version)) as one,
        open_session(peer(mosquitto, "hub-1", version=version)) as other,
    ):
        for session in (one, other):
            await session.subscribe(shared(["meters/#"], "hub"), 1)
        await publish(mosquitto, *(b"%d" % n for n in range(10)))
        first, second = await receive(one, 5), await receive(other, 5)

    assert {b"%d" % n for n in range(10)} == {m.payload for m in first + second}
    assert 10 == len(first + second)


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("version", VERSIONS)
async def test_published_at_every_qos(mosquitto, version, qos):
    """publish() works at QoS 0, 1 and 2, and retained."""
    async with open_session(peer(mosquitto, version=version)) as session:
        await session.publish("state/x", b"on", qos=qos, retain=True)
        await session.subscribe(["state/#"], 1)
        (message,) = await receive(session, 1)
        session.acknowledge([message])

    assert ("state/x", b"on", True) == (message.topic, message.payload, message.retain)


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_will_is_published_when_dropped(mosquitto, version):
    """drop() makes the broker publish the will; close() does not."""
    will = Will("state/x", b"gone", qos=1)
    async with open_session(peer(mosquitto, "watcher", version=version)) as watcher:
        await watcher.subscribe(["state/#"], 1)
        async with open_session(peer(mosquitto, "polite", version=version, will=will)) as polite:
            await polite.publish("state/x", b"bye", qos=1)
        async with open_session(peer(mosquitto, "rude", version=version, will=will)) as rude:
            rude.drop()
        messages = await receive(watcher, 2)

    assert [b"bye", b"gone"] == [m.payload for m in messages]


@pytest.mark.parametrize("version", VERSIONS)
async def test_reading_pauses_at_the_bound(start_mosquitto, version):
    """No more than max_in_flight unacknowledged messages are held; the rest comes afterwards."""
    broker = await start_mosquitto("max_inflight_messages 0", "max_queued_messages 0")
    limited = peer(broker, version=version, max_in_flight=10)
    async with open_session(limited) as session:
        await session.subscribe(["meters/#"], 1)
        await publish(broker, *(b"%d" % n for n in range(100)))
        seen = []
        while len(seen) < 100:
            messages = await receive(session, 1)
            assert session._held <= 10
            session.acknowledge(messages)
            seen += messages

    assert [b"%d" % n for n in range(100)] == [m.payload for m in seen]


@pytest.mark.parametrize("version", VERSIONS)
async def test_tls_with_a_client_certificate(start_mosquitto, tmp_path, version):
    """TLS with the broker's own CA and a client certificate; large messages arrive whole."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    broker = await start_mosquitto(
        f"cafile {tmp_path}/ca.pem",
        f"certfile {tmp_path}/cert.pem",
        f"keyfile {tmp_path}/key.pem",
        "require_certificate true",
    )
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    async with open_session(peer(broker, version=version, tls=context)) as session:
        await session.subscribe(["meters/#"], 1)
        for n in range(15):
            await session.publish("meters/1", b"%d" % n * 40_000, qos=1)
        messages = await receive(session, 15)
        session.acknowledge(messages)

    assert [b"%d" % n * 40_000 for n in range(15)] == [m.payload for m in messages]


REFUSALS = {
    "3.1.1": (b"\x20\x02\x00\x00", b"\x90\x03\x00\x01\x80"),
    "5": (b"\x20\x03\x00\x00\x00", b"\x90\x04\x00\x01\x00\x87"),
}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_refused_subscription_is_said(version):
    """SUBACK 0x80 and above is an error, not silence.

    Mosquitto grants what its rules forbid and stays silent, so this broker is a fake that knows
    two answers.
    """

    gone = asyncio.Event()

    async def answer(reader, writer):
        for packet in REFUSALS[version]:
            await reader.read(1000)
            writer.write(packet)
        await reader.read()
        gone.set()

    async with listening(answer) as port:
        where = Peer(host="127.0.0.1", port=port, client_id="hub", version=version)
        async with open_session(where) as session:
            with pytest.raises(RefusedByPeerError, match="secret/#"):
                await session.subscribe(["secret/#"], 1)
        async with asyncio.timeout(LIMIT_SECONDS):
            await gone.wait()


async def test_packets_of_one_tls_record():
    """What TLS has decrypted beyond one packet is read although the socket stays silent.

    Mosquitto writes each packet as a record of its own, so this broker is a fake that does not.
    """
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    gone = asyncio.Event()

    async def answer(reader, writer):
        await reader.read(1000)
        writer.write(b"\x20\x02\x00\x00")
        await reader.read(1000)
        writer.write(b"\x90\x03\x00\x01\x01" + b"\x30\x06\x00\x03t/1x" * 2)
        await reader.read()
        gone.set()

    async with listening(answer, tls=serving) as port:
        where = Peer(host="127.0.0.1", port=port, client_id="hub", tls=trusting)
        async with open_session(where) as session:
            await session.subscribe(["t/#"], 1)
            messages = await receive(session, 2)
        async with asyncio.timeout(LIMIT_SECONDS):
            await gone.wait()

    assert [("t/1", b"x")] * 2 == [(m.topic, m.payload) for m in messages]
