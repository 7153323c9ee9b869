"""How connections begin and end: handshake, limits, keep-alive, wills, slow clients."""

import asyncio
import hashlib
import socket
import ssl

import pytest
import trustme
from memory_hub import ACME, principal
from wire_client import WireClient

from wattwire.mqtt import packets as p
from wattwire.mqtt.codec import encode
from wattwire.mqtt.door import Door
from wattwire.mqtt.limits import Limits

WILL = p.Will("status", b"gone", 1)


@pytest.fixture
async def dial(door):
    """A function that opens a connection without sending anything."""
    clients = []

    async def to(to_door=None):
        clients.append(await WireClient.dial((to_door or door).ports.mqtt))
        return clients[-1]

    yield to
    for client in clients:
        await client.close()


# The handshake.


@pytest.mark.parametrize(
    ("username", "password", "code"),
    [("meter", b"wrong", 4), ("nobody", b"secret", 4), ("meter", None, 4), (None, None, 5)],
)
async def test_unknown_users_are_refused(door, dial, username, password, code):
    """CONNACK 4, or 5 for who did not even try; then the connection is closed."""
    client = await dial()
    answer = await client.connect(username, password, "c1")
    assert answer == p.Connack(code)
    assert await client.ended() == []
    assert door.statistics().totals.credentials_refused == 1


async def test_verifications_at_once_are_bounded(hub, open_door, dial, eventually):
    """The others wait for their turn, and get in."""
    door = await open_door(verifications=2)
    hub.gate.clear()
    clients = [await dial(door) for _ in range(6)]
    for number, client in enumerate(clients):
        client.send(p.Connect(f"c{number}", True, 0, "meter", b"secret"))
    await eventually(lambda: hub.verifying == 2)
    hub.gate.set()
    for client in clients:
        assert await client.receive() == p.Connack()
    assert hub.most_verifying == 2


async def test_a_hub_that_cannot_answer_is_said_so(hub, open_door, dial):
    """Unavailable, not wrong password: the client comes again."""
    door = await open_door(verification_seconds=0.05)
    hub.gate.clear()
    client = await dial(door)
    assert await client.connect("meter", b"secret", "c1") == p.Connack(3)
    assert await client.ended() == []


async def test_an_empty_client_id_is_for_clean_sessions(dial):
    """With a clean session one is made up; without it is refused [3.1.3-8]."""
    one, two, lasting = await dial(), await dial(), await dial()
    assert await one.connect("meter", b"secret", "") == p.Connack(0)
    assert await two.connect("meter", b"secret", "") == p.Connack(0)
    assert await one.silence() == []
    assert await lasting.connect("meter", b"secret", "", clean=False) == p.Connack(2)
    assert await lasting.ended() == []


async def test_an_endless_client_id_is_refused(open_door, dial):
    """Sessions are stored under it, so that its length is bounded."""
    client = await dial(await open_door(client_id_chars=10))
    assert await client.connect("meter", b"secret", "x" * 11) == p.Connack(2)


@pytest.mark.parametrize(
    "connect", ["100c00044d5154540502000 00000", "100e00064d51497364700302 0000 0000"]
)
async def test_other_versions_are_told(dial, connect):
    """CONNACK 1 for MQTT 5 and 3.1 [3.1.2-2]."""
    client = await dial()
    client.send_bytes(bytes.fromhex(connect.replace(" ", "")))
    assert await client.receive() == p.Connack(1)
    assert await client.ended() == []


@pytest.mark.parametrize(
    "packet",
    [p.Pingreq(), p.Publish("t", b""), p.Disconnect(), p.Connack(), p.Subscribe(1, (("t", 0),))],
)
async def test_the_first_packet_is_a_connect(dial, packet):
    """Anything else closes without an answer [3.1.0-1]."""
    client = await dial()
    client.send(packet)
    assert await client.ended() == []


@pytest.mark.parametrize(
    "packet", [p.Connect("c1"), p.Connack(), p.Suback(1, (0,)), p.Unsuback(1), p.Pingresp()]
)
async def test_what_a_client_may_not_send_closes(connect, packet):
    """A second CONNECT, and what only a server sends [3.1.0-2]."""
    client = await connect()
    client.send(packet)
    assert await client.ended() == []


async def test_packets_may_follow_connect_at_once(hub, dial):
    """A client need not wait for CONNACK; the order of the answers stays."""
    client = await dial()
    client.send(
        p.Connect("c1", True, 0, "meter", b"secret"),
        p.Publish("t", b"x", 1, packet_id=1),
        p.Pingreq(),
    )
    answers = [type(await client.receive()) for _ in range(3)]
    assert answers[0] is p.Connack
    assert set(answers[1:]) == {p.Puback, p.Pingresp}
    assert len(hub.published) == 1


async def test_messages_at_qos_2_of_ours_are_let_go(connect):
    """A PUBREC that belongs to nothing is answered, so that the client can forget it."""
    client = await connect()
    client.send(p.Pubrec(7), p.Pubcomp(7), p.Puback(7))
    received = await client.receive()
    assert (type(received), received) == (p.Pubrel, p.Pubrel(7))
    assert await client.silence() == []


# Limits.


@pytest.mark.parametrize("data", [b"", b"\x10", encode(p.Connect("c1"))[:-1]])
async def test_a_half_open_handshake_ends(open_door, dial, data):
    """Whoever does not complete CONNECT in time is closed."""
    door = await open_door(handshake_seconds=0.1)
    client = await dial(door)
    client.send_bytes(data)
    assert await client.ended() == []
    assert door.statistics().totals.handshakes_expired == 1


async def test_the_limit_of_the_handshake_ends_with_it(open_door, connect, dial):
    """A client that has connected outlives one that dialled after it and never did."""
    door = await open_door(handshake_seconds=0.1)
    clients = [
        await connect("meter", "c1", to_door=door),
        await connect("meter", "c2", to_door=door, keep_alive=60),
    ]
    late = await dial(door)
    assert await late.ended() == []
    for client in clients:
        assert await client.silence() == []


async def test_a_half_open_tls_handshake_ends(open_door, eventually):
    """Also when TLS never gets going; it counts as a connection until then."""
    door = await open_door(handshake_seconds=0.2)
    client = await WireClient.dial(door.ports.mqtts)
    await eventually(lambda: door.statistics().connections == 1)
    assert await client.ended() == []
    await eventually(lambda: door.statistics().connections == 0)
    await client.close()


async def test_connections_are_bounded(open_door, connect, eventually):
    """One too many is closed before anything is read; when one leaves there is room again."""
    door = await open_door(connections=2)
    first = await connect("meter", "c1", to_door=door)
    await connect("meter", "c2", to_door=door)
    refused = await WireClient.dial(door.ports.mqtt)
    assert await refused.ended() == []
    await refused.close()
    await first.close()
    await eventually(lambda: door.statistics().connections == 1)
    await connect("meter", "c3", to_door=door)


async def test_an_oversize_packet_closes(hub, open_door, connect):
    """Refused by its length, before its body has come."""
    door = await open_door(packet_bytes=1000)
    client = await connect(to_door=door)
    client.publish("t", bytes(990), 1, 1)
    assert await client.receive() == p.Puback(1)
    client.send_bytes(encode(p.Publish("t", bytes(1000)))[:10])
    assert await client.ended() == []
    assert len(hub.published) == 1
    assert door.statistics().totals.packets_malformed == 1


async def test_a_connect_is_small(open_door, dial):
    """Before anyone is known, less is taken."""
    client = await dial(await open_door(connect_bytes=100))
    client.send_bytes(encode(p.Connect("c1", username="u", password=bytes(200)))[:10])
    assert await client.ended() == []


async def test_malformed_bytes_close(door, connect):
    """One client's garbage ends one connection."""
    bad, good = await connect("meter", "bad"), await connect("meter", "good")
    bad.send_bytes(b"\xff\xff\xff\xff\xff")
    assert await bad.ended() == []
    assert await good.silence() == []
    assert door.statistics().totals.packets_malformed == 1


async def test_too_many_packets_are_read_more_slowly(hub, open_door, connect):
    """Nothing is dropped: it takes the time it takes."""
    door = await open_door(packets_per_second=100)
    client = await connect(to_door=door)
    client.send(*[p.Publish("t", b"%d" % n, 1, packet_id=n) for n in range(1, 131)])
    while len(hub.published) < 100:
        await asyncio.sleep(0)
    assert len(hub.published) < 130
    assert [await client.receive() for _ in range(130)] == [p.Puback(n) for n in range(1, 131)]
    assert [payload for _, _, payload in hub.published] == [b"%d" % n for n in range(1, 131)]


async def test_a_thousand_idle_connections_hold(hub, door, eventually):
    """All stay, all answer, all go."""
    clients = [await WireClient.dial(door.ports.mqtt) for _ in range(1000)]
    for number, client in enumerate(clients):
        client.send(p.Connect(f"c{number}", True, 60, "meter", b"secret"))
    for client in clients:
        assert await client.receive() == p.Connack()
    assert door.statistics().connections == 1000
    for client in clients:
        client.publish("t", b"x", 1, 1)
    for client in clients:
        assert await client.receive() == p.Puback(1)
    for client in clients:
        client.send(p.Disconnect())
        assert await client.ended() == []
        await client.close()
    await eventually(lambda: door.statistics().connections == 0)


# Keep-alive and wills.


async def test_a_silent_client_is_closed_after_its_keep_alive(door, connect):
    """One and a half times the keep-alive [3.1.2-24]; pings keep another one there."""
    silent = await connect("meter", "silent", keep_alive=1, will=WILL)
    lively, off = await connect("meter", "lively", keep_alive=1), await connect("meter", "off")
    pinging = asyncio.create_task(_ping(lively))
    assert await silent.ended() == []
    pinging.cancel()
    assert await lively.silence() == []
    assert await off.silence() == []
    assert door.statistics().totals.connections_expired == 1
    assert door.statistics().totals.wills_published == 1


async def _ping(client):
    while True:
        await client.silence()
        await asyncio.sleep(0.2)


async def test_a_client_that_is_not_read_does_not_expire(hub, open_door, connect, eventually):
    """Its pings cannot be heard while the log is slow; that is not its fault."""
    door = await open_door(unreleased_messages=1)
    hub.hold = True
    client = await connect(to_door=door, keep_alive=1)
    client.publish("t", b"x", 1, 1)
    await eventually(lambda: hub.waiting)
    other = await connect("reader", "r", to_door=door, keep_alive=1)
    assert await other.ended() == []
    hub.release()
    assert await client.receive() == p.Puback(1)


async def _kill(_, client):
    await client.drop()


async def _malformed(_, client):
    client.send_bytes(b"\xff\xff\xff\xff\xff")


async def _displace(connect, _):
    await connect("meter", "c1")


@pytest.mark.parametrize("end", [_kill, _malformed, _displace])
async def test_a_will_is_published_at_an_abnormal_end(hub, connect, end):
    """Lost, closed by the door, displaced: durable first, then to subscribers and retained."""
    reader = await connect("reader", "r")
    await reader.subscribe("status", 1)
    client = await connect("meter", "c1", will=p.Will("status", b"gone", 1, True))
    await end(connect, client)
    message = await reader.receive()
    assert message == p.Publish("status", b"gone", 1, packet_id=1)
    assert hub.published == [("meter", "status", b"gone")]
    assert await reader.subscribe("status", 0) == 0
    assert (await reader.receive()).retain


async def test_a_goodbye_takes_the_will_back(hub, door, connect, eventually):
    """DISCONNECT: nothing is published [3.14.4-3]."""
    client = await connect(will=WILL)
    client.send(p.Disconnect())
    assert await client.ended() == []
    await eventually(lambda: door.statistics().connections == 0)
    assert hub.published == []


async def test_a_forbidden_will_is_refused_at_connect(hub, door, dial):
    """Told at once, instead of dropped in silence later."""
    client = await dial()
    answer = await client.connect("narrow", b"secret", "c1", will=WILL)
    assert answer == p.Connack(5)
    assert door.statistics().totals.messages_forbidden == 1
    assert hub.published == []


async def test_a_will_is_tried_again(hub, door, connect, eventually, monkeypatch):
    """A log that cannot take it at once gets it a moment later; not for ever."""
    monkeypatch.setattr("wattwire.mqtt.wills.DELAY", 0.01)
    hub.refuse = True
    client = await connect(will=WILL)
    await client.drop()
    await eventually(lambda: hub.published)
    hub.refuse = False
    await eventually(lambda: door.statistics().totals.wills_published == 1)
    hub.refuse = True
    await (await connect(will=WILL)).drop()
    await eventually(lambda: door.statistics().totals.wills_lost == 1)


@pytest.mark.parametrize("wills", [True, False])
async def test_a_stop_publishes_wills_if_told_to(hub, door, connect, wills):
    """The clients did not say goodbye; whether the hub's own stop counts is the hub's choice."""
    client = await connect(will=WILL)
    await door.stop(wills=wills)
    assert await client.ended() == []
    assert hub.published == ([("meter", "status", b"gone")] if wills else [])


# Slow clients.


async def test_a_slow_reader_costs_bounded_memory(open_door, connect, capsys, eventually):
    """What it does not take waits up to a bound, then the oldest goes, counted; others go on."""
    door = await open_door(queued_messages=50, write_bytes=64 * 1024)
    slow, other = (
        await connect("reader", "slow", to_door=door, dial=WireClient.dial_narrow),
        await connect(to_door=door),
    )
    slow.writer.transport.pause_reading()
    slow.send(p.Subscribe(1, (("#", 0),)))
    await eventually(lambda: door.statistics().subscriptions)
    sent = 0
    while not door.statistics().totals.messages_dropped:
        sent += 1
        assert sent < 10_000
        door.publish(ACME, "t", bytes(20_000))
        await asyncio.sleep(0)
    assert door.statistics().queued_bytes < 50 * 21_000
    assert capsys.readouterr().out.count("messages_dropped") == 1
    assert await other.silence() == []
    slow.writer.transport.resume_reading()
    assert type(await slow.receive()) is p.Suback
    left = sent - door.statistics().totals.messages_dropped
    assert [type(await slow.receive()) for _ in range(left)] == [p.Publish] * left
    assert await slow.silence() == []


async def test_a_client_that_takes_nothing_is_closed(open_door, connect, eventually):
    """After the stall limit, although it keeps the connection open."""
    door = await open_door(stall_seconds=0.1, write_bytes=16 * 1024, queued_messages=10)
    stuck = await connect("reader", "stuck", to_door=door, dial=WireClient.dial_narrow)
    stuck.writer.transport.pause_reading()
    stuck.send(p.Subscribe(1, (("#", 0),)))
    await eventually(lambda: door.statistics().subscriptions)
    while not door.statistics().queued_bytes:
        door.publish(ACME, "t", bytes(50_000))
        await asyncio.sleep(0)
    await eventually(lambda: door.statistics().connections == 0)
    assert door.statistics().totals.connections_stalled == 1
    assert door.statistics().queued_bytes == 0


async def test_answers_nobody_takes_are_bounded(open_door, connect, eventually):
    """A client that asks and does not read is not read either; when it reads, all goes on."""
    door = await open_door(write_bytes=16 * 1024, packets_per_second=10**9)
    client = await connect(to_door=door, dial=WireClient.dial_narrow)
    connection = next(iter(door._floor.connections))
    server_side = connection._transport.get_extra_info("socket")
    server_side.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    client.writer.transport.pause_reading()
    sent = 0
    while not connection._holds:
        sent += 5_000
        assert sent < 10**6
        client.send_bytes(encode(p.Pubrel(1)) * 5_000)
        await asyncio.sleep(0)
    client.writer.transport.resume_reading()
    assert [await client.receive() for _ in range(sent)] == [p.Pubcomp(1)] * sent


# TLS and the door itself.


async def test_a_client_certificate_is_handed_to_the_hub(hub, door, authority, tls):
    """By its fingerprint, after it was checked against the CA."""
    context, (username, issued) = ssl.create_default_context(), _issue(authority)
    authority.configure_trust(context)
    issued.configure_cert(context)
    der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    hub.certificates[hashlib.sha256(der).digest()] = principal(7, username)
    client = await WireClient.dial(door.ports.mqtts, ssl=context)
    assert await client.connect(None, None, "c1") == p.Connack(0)
    client.publish("t", b"x", 2, 1)
    assert await client.receive() == p.Pubrec(1)
    assert hub.published == [("meter-7", "t", b"x")]
    await client.close()


def _issue(authority):
    return "meter-7", authority.issue_cert("meter-7@example.org")


async def test_a_certificate_of_another_authority_is_refused(door, authority, eventually):
    """The TLS handshake fails; nothing reaches the hub."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    trustme.CA().issue_cert("meter@example.org").configure_cert(context)
    client = None
    try:
        client = await WireClient.dial(door.ports.mqtts, ssl=context)
        assert await client.connect("meter", b"secret", "c1") is None
    except (ssl.SSLError, ConnectionError, AttributeError):
        pass
    await eventually(lambda: door.statistics().connections == 0)
    assert door.statistics().totals.connections_opened == 0
    if client:
        await client.close()


async def test_without_tls_the_door_listens_on_loopback_only(hub):
    """Whatever the host: passwords do not travel a network in the clear."""
    door = Door(hub)
    await door.start("0.0.0.0", 0)
    assert door._floor is not None
    assert door._plain._socket.getsockname()[0] == "127.0.0.1"
    assert door.ports.mqtts == 0
    await door.stop()


async def test_a_taken_port_is_said_at_the_start(hub, door):
    """OSError, and nothing is left running."""
    other = Door(hub)
    with pytest.raises(OSError):
        await other.start("127.0.0.1", door.ports.mqtt)
    async with asyncio.timeout(5):
        await other.wait()
    with pytest.raises(ValueError):
        await Door(hub).start("127.0.0.1", 0, 0)


async def test_a_hub_that_cannot_load_is_said_at_the_start(hub, monkeypatch):
    """The error of the hub, and nothing is left running."""
    monkeypatch.setattr(hub, "load_sessions", hub.load_session)
    tasks = asyncio.all_tasks()
    with pytest.raises(TypeError):
        await Door(hub).start("127.0.0.1", 0)
    assert asyncio.all_tasks() == tasks


def _fail(accepted, _peer):
    accepted.close()
    raise ZeroDivisionError


async def test_the_death_of_a_task_is_noticed(hub):
    """wait() raises what ended it, so that whoever supervises the door can act."""
    door = Door(hub)
    await door.start("127.0.0.1", 0, limits=Limits())
    waiting = asyncio.create_task(door.wait())
    await asyncio.sleep(0)
    door._plain._welcome = _fail
    client = await WireClient.dial(door.ports.mqtt)
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(5):
            await waiting
    await client.close()
    await door.stop()


async def test_statistics_are_a_snapshot(door, connect):
    """What was counted then does not change any more."""
    before = door.statistics()
    client = await connect()
    client.publish("t", b"x", 1, 1)
    await client.receive()
    after = door.statistics()
    assert before.totals.messages_received == 0
    assert after.totals.messages_received == after.totals.acknowledgements_sent == 1
    assert after.totals.packets_received == 2
    assert after.totals.bytes_sent == 8
    assert after.totals.bytes_received == len(
        encode(p.Connect("c1", True, 0, "meter", b"secret"))
        + encode(p.Publish("t", b"x", 1, packet_id=1))
    )
