"""What survives a connection, a take-over, and the process."""

import dataclasses

import pytest
from memory_hub import ACME, BOLT, principal
from wire_client import WireClient

from wattwire.mqtt import packets as p
from wattwire.mqtt.contract import SessionKey


async def test_a_clean_session_ends_with_the_connection(door, connect):
    """Neither subscriptions nor messages are kept, and no session is reported."""
    client = await connect()
    await client.subscribe("t", 1)
    await client.close()
    door.publish(ACME, "t", b"x", 1)
    again = await connect()
    assert not again.session_present
    assert await again.silence() == []
    assert door.statistics().subscriptions == 0


async def test_a_lasting_session_keeps_what_was_missed(door, connect, eventually):
    """QoS 1 messages wait in order, QoS 0 ones do not; session present is said."""
    client = await connect(clean=False)
    assert not client.session_present
    await client.subscribe("t/#", 1)
    await client.close()
    await eventually(lambda: door.statistics().connections == 0)
    for number in range(3):
        door.publish(ACME, f"t/{number}", b"x", 1)
    door.publish(ACME, "t/0", b"x", 0)
    again = await connect(clean=False)
    assert again.session_present
    assert [(await again.receive()).topic for _ in range(3)] == ["t/0", "t/1", "t/2"]
    assert await again.silence() == []


async def test_what_was_not_acknowledged_comes_again_with_dup(door, connect):
    """Under the same identifier, before what waited behind it [4.4.0-1]."""
    client = await connect(clean=False)
    await client.subscribe("t", 1)
    door.publish(ACME, "t", b"1", 1)
    door.publish(ACME, "t", b"2", 1)
    first, second = await client.receive(), await client.receive()
    client.send(p.Puback(first.packet_id))
    await client.silence()
    await client.drop()
    again = await connect(clean=False)
    assert await again.receive() == second._replace(dup=True)
    again.send(p.Puback(second.packet_id))
    assert await again.silence() == []


async def test_a_clean_connect_discards_the_lasting_session(hub, door, connect, eventually):
    """Also the stored one."""
    client = await connect(clean=False)
    await client.subscribe("t", 1)
    await client.close()
    await eventually(lambda: (1, "c1") in hub.sessions)
    await (await connect(clean=True)).close()
    await eventually(lambda: not hub.sessions)
    again = await connect(clean=False)
    assert not again.session_present
    assert door.statistics().subscriptions == 0


async def test_the_same_client_displaces_its_earlier_connection(door, connect):
    """One connection per user and client id; a lasting session moves over with its messages."""
    client = await connect(clean=False)
    await client.subscribe("t", 1)
    again = await connect(clean=False)
    assert await client.ended() == []
    assert again.session_present
    door.publish(ACME, "t", b"x", 1)
    assert (await again.receive()).payload == b"x"
    assert door.statistics().totals.connections_displaced == 1


async def test_connecting_twice_at_once_leaves_one_connection(hub, door, connect, eventually):
    """Both are being verified when the second comes; no subscription is left behind."""
    hub.sessions[1, "c1"] = (principal(1, "meter"), {"t": 1})
    hub.gate.clear()
    clients = [await WireClient.dial(door.ports.mqtt) for _ in range(3)]
    for client in clients:
        client.send(p.Connect("c1", False, 0, "meter", b"secret"))
    await eventually(lambda: hub.verifying == 3)
    hub.gate.set()
    await eventually(lambda: door.statistics().connections == 1)
    door.publish(ACME, "t", b"x", 1)
    got = [packet for client in clients for packet in await _drain(client)]
    assert [packet for packet in got if type(packet) is p.Publish] == [
        p.Publish("t", b"x", 1, packet_id=1)
    ]
    assert door.statistics().subscriptions == 1
    for client in clients:
        await client.close()


async def _drain(client):
    packets = []
    try:
        while (packet := await client.receive(0.3)) is not None:
            packets.append(packet)
    except TimeoutError:
        pass
    return packets


async def test_a_session_survives_the_process(hub, door, open_door, connect, eventually):
    """Subscriptions and waiting messages come back from the hub, before newer ones, in order."""
    client = await connect(clean=False)
    await client.subscribe("t", 1)
    await client.close()
    await eventually(lambda: door.statistics().connections == 0)
    for number in range(3):
        door.publish(ACME, "t", b"%d" % number, 1)
    await door.stop()
    new_door = await open_door()
    new_door.publish(ACME, "t", b"3", 1)
    again = await connect(clean=False, to_door=new_door)
    assert again.session_present
    messages = [await again.receive() for _ in range(4)]
    assert [message.payload for message in messages] == [b"0", b"1", b"2", b"3"]
    assert hub.offline
    for message in messages:
        again.send(p.Puback(message.packet_id))
    await eventually(lambda: not hub.offline)
    assert await again.silence() == []


async def test_unacknowledged_messages_survive_the_process(door, open_door, connect):
    """What was sent to a connected client and not acknowledged is stored at the stop."""
    client = await connect(clean=False)
    await client.subscribe("t", 1)
    door.publish(ACME, "t", b"x", 1)
    await client.receive()
    await door.stop()
    again = await connect(clean=False, to_door=await open_door())
    assert (await again.receive()).payload == b"x"


async def test_a_session_of_another_door_is_loaded(hub, connect):
    """A session that this door did not hold at its start, with its messages."""
    hub.sessions[1, "c1"] = (principal(1, "meter"), {"t": 1})
    client = await connect(clean=False)
    assert client.session_present
    client.publish("t", b"x", 1, 1)
    assert {type(await client.receive()), type(await client.receive())} == {p.Puback, p.Publish}


async def test_a_session_that_moved_to_another_door_is_let_go(hub, door, connect):
    """displace() closes and forgets here; what is stored stays for the other door."""
    client = await connect(clean=False)
    await client.subscribe("t", 1)
    door.displace(SessionKey(1, "c1"))
    assert await client.ended() == []
    assert door.statistics().sessions == 0
    assert door.statistics().subscriptions == 0
    assert hub.sessions[1, "c1"][1] == {"t": 1}


async def test_a_resumed_session_is_held_to_todays_permissions(hub, door, connect, eventually):
    """Subscriptions and waiting messages that the user may not see any more are gone."""
    client = await connect(clean=False)
    await client.subscribe("a", 1)
    await client.subscribe("b", 1)
    await client.close()
    await eventually(lambda: door.statistics().connections == 0)
    door.publish(ACME, "a", b"x", 1)
    door.publish(ACME, "b", b"x", 1)
    hub.add(principal(1, "meter", subscribe=("b",)), b"secret")
    again = await connect(clean=False)
    assert (await again.receive()).topic == "b"
    assert await again.silence() == []
    assert door.statistics().subscriptions == 1


async def test_a_credential_that_moved_to_another_organization_starts_anew(hub, door, connect):
    """Nothing of the old organization's messages is handed over."""
    client = await connect(clean=False)
    await client.subscribe("t", 1)
    await client.drop()
    door.publish(ACME, "t", b"x", 1)
    moved = dataclasses.replace(hub.users["meter"][1], organization_id=BOLT)
    hub.add(moved, b"secret")
    hub.sessions.clear()
    again = await connect(clean=False)
    assert not again.session_present
    assert await again.silence() == []


async def test_the_queue_of_an_absent_client_is_bounded(open_door, connect, capsys, eventually):
    """The oldest go; that is counted, and logged once."""
    door = await open_door(queued_messages=5)
    client = await connect(clean=False, to_door=door)
    await client.subscribe("t", 1)
    await client.close()
    await eventually(lambda: door.statistics().connections == 0)
    for number in range(20):
        door.publish(ACME, "t", b"%d" % number, 1)
    assert door.statistics().totals.messages_dropped == 15
    assert capsys.readouterr().out.count("messages_dropped") == 1
    again = await connect(clean=False, to_door=door)
    got = [(await again.receive()).payload for _ in range(5)]
    assert got == [b"15", b"16", b"17", b"18", b"19"]


async def test_the_window_bounds_what_is_in_flight(open_door, connect):
    """Two of three are sent; the third follows the first acknowledgement."""
    door = await open_door(window=2)
    client = await connect(to_door=door)
    await client.subscribe("t", 1)
    for _ in range(3):
        door.publish(ACME, "t", b"x", 1)
    assert len(await client.silence()) == 2
    client.send(p.Puback(1))
    assert (await client.receive()).packet_id == 3


async def test_a_suback_waits_until_the_session_is_stored(hub, door, connect):
    """When it cannot be stored the connection ends instead: session present never lies."""
    client = await connect(clean=False)
    await client.silence()
    hub.store_is_down = True
    client.send(p.Subscribe(1, (("t", 1),)))
    assert await client.ended(30) == []
    assert door.statistics().totals.writes_failed >= 1


async def test_a_store_that_comes_back_in_time_is_no_failure(hub, door, connect, eventually):
    """A write is tried again."""
    client = await connect(clean=False)
    await client.silence()
    hub.store_is_down = True
    client.send(p.Subscribe(1, (("t", 1),)))
    await eventually(lambda: [call for call in hub.calls if call[0] == "save_session"][1:])
    hub.store_is_down = False
    assert await client.receive() == p.Suback(1, (1,))
    assert door.statistics().totals.writes_failed == 0


async def test_a_session_nobody_comes_back_to_is_dropped(
    hub, open_door, connect, eventually, monkeypatch
):
    """After its time, in memory and in the store; a connected one stays."""
    monkeypatch.setattr("wattwire.mqtt.door._SWEEP_SECONDS", 0.02)
    door = await open_door(session_seconds=0.05)
    gone = await connect("meter", "gone", clean=False, to_door=door)
    await gone.subscribe("t", 1)
    stays = await connect("meter", "stays", clean=False, to_door=door)
    await stays.silence()
    await gone.close()
    await eventually(lambda: set(hub.sessions) == {(1, "stays")})
    assert door.statistics().sessions == 1
    assert door.statistics().subscriptions == 0


async def test_sessions_are_bounded(open_door, connect):
    """No room for another lasting session: told to come later; clean ones still get in."""
    door = await open_door(sessions=1)
    await connect("meter", "c1", clean=False, to_door=door)
    await connect("meter", "c2", clean=False, to_door=door, expect=3)
    await connect("meter", "c3", clean=True, to_door=door)
    await connect("meter", "c1", clean=False, to_door=door)


@pytest.mark.parametrize("forget", [False, True])
async def test_a_changed_credential_is_disconnected_at_once(door, connect, forget):
    """All connections of it and no other; with `forget` its sessions, too."""
    one = await connect("meter", "c1", clean=False)
    two, other = await connect("meter", "c2"), await connect("reader", "r")
    assert door.disconnect(1, forget=forget) == 2
    assert await one.ended() == []
    assert await two.ended() == []
    assert await other.silence() == []
    assert door.statistics().sessions == (0 if forget else 1)


async def test_a_credential_withdrawn_while_it_is_verified_does_not_get_in(hub, door, eventually):
    """What was read before the withdrawal does not count after it."""
    hub.gate.clear()
    client = await WireClient.dial(door.ports.mqtt)
    client.send(p.Connect("c1", True, 0, "meter", b"secret"))
    await eventually(lambda: hub.verifying)
    door.disconnect(1)
    hub.gate.set()
    answer = await client.receive()
    assert answer == p.Connack(p.ConnectCode.UNAVAILABLE)
    assert await client.ended() == []
    assert len(door._floor.roster) == 0
    await client.close()


async def test_a_client_that_leaves_while_it_is_verified_leaves_nothing(hub, door, eventually):
    """No connection, no roster entry, no session of it remains."""
    hub.gate.clear()
    client = await WireClient.dial(door.ports.mqtt)
    client.send(p.Connect("c1", True, 0, "meter", b"secret"))
    await eventually(lambda: hub.verifying)
    await client.drop()
    hub.gate.set()
    await eventually(lambda: door.statistics().connections == 0)
    await eventually(lambda: len(door._floor.roster) == 0)
