"""Nothing is acknowledged before it is durable, and nothing durable is committed twice."""

import asyncio

import pytest
from memory_hub import principal
from wire_client import WireClient

from wattwire.mqtt import packets as p
from wattwire.mqtt.outbox import Outbox


@pytest.mark.parametrize(("qos", "answer"), [(1, p.Puback(7)), (2, p.Pubrec(7))])
async def test_no_acknowledgement_leaves_before_the_release(hub, connect, eventually, qos, answer):
    """PUBACK and PUBREC wait for release(True), however often the client pings."""
    hub.hold = True
    client = await connect()
    client.publish("t", b"x", qos, 7)
    await eventually(lambda: hub.waiting)
    assert await client.silence() == []
    assert await client.silence() == []
    hub.release()
    received = await client.receive()
    assert (type(received), received) == (type(answer), answer)


async def test_acknowledgements_keep_the_order_of_the_messages(hub, connect, eventually):
    """A commit that overtakes another is not acknowledged before it [4.6.0-2]."""
    hub.hold = True
    client = await connect()
    for number in (1, 2, 3):
        client.publish("t", b"x", 1, number)
    await eventually(lambda: len(hub.waiting) == 3)
    first, second, third = hub.waiting
    third(True)
    second(True)
    assert await client.silence() == []
    first(True)
    assert [await client.receive() for _ in range(3)] == [p.Puback(n) for n in (1, 2, 3)]


async def test_a_release_counts_once(hub, connect, eventually):
    """A hub that releases twice causes one acknowledgement."""
    hub.hold = True
    client = await connect()
    client.publish("t", b"x", 1, 1)
    await eventually(lambda: hub.waiting)
    release = hub.waiting[0]
    release(True)
    release(True)
    release(False)
    assert await client.receive() == p.Puback(1)
    assert await client.silence() == []


@pytest.mark.parametrize("qos", [1, 2])
async def test_what_is_not_durable_closes_the_connection(hub, door, connect, eventually, qos):
    """release(False): no acknowledgement, not for it and not after it; the client comes again."""
    hub.hold = True
    client = await connect()
    client.publish("t", b"1", qos, 1)
    client.publish("t", b"2", qos, 2)
    client.publish("t", b"3", qos, 3)
    await eventually(lambda: len(hub.waiting) == 3)
    hub.release(1)
    hub.release(1, durable=False)
    hub.release(1)
    assert await client.ended() == [p.Puback(1) if qos == 1 else p.Pubrec(1)]
    assert door.statistics().totals.messages_refused == 1
    assert door.statistics().unreleased_bytes == 0


async def test_qos_0_that_is_not_durable_is_counted(hub, door, connect, eventually):
    """Nobody waits for an acknowledgement of QoS 0: the loss is counted, the client stays."""
    hub.refuse = True
    client = await connect()
    client.publish("t", b"x")
    await eventually(lambda: door.statistics().totals.messages_refused)
    assert await client.silence() == []


async def test_a_hub_that_raises_counts_as_refusing(hub, door, connect):
    """An error of the hub is no acknowledgement either."""
    client = await connect()
    hub.hold, hub.waiting = True, _Failing()
    client.publish("t", b"x", 1, 1)
    assert await client.ended() == []
    assert door.statistics().totals.messages_refused == 1
    assert door.statistics().unreleased_bytes == 0


class _Failing(list):
    def append(self, _):
        raise RuntimeError("the log is full")


async def test_one_commit_is_one_write_per_connection(hub, connect, eventually, monkeypatch):
    """A hundred acknowledgements of one commit leave together."""
    hub.hold = True
    client = await connect()
    for number in range(1, 101):
        client.publish("t", b"x", 1, number)
    await eventually(lambda: len(hub.waiting) == 100)
    writes, write = [], Outbox._write
    monkeypatch.setattr(Outbox, "_write", lambda it: (writes.append(len(it._frames)), write(it)))
    hub.release()
    assert [await client.receive() for _ in range(100)] == [p.Puback(n) for n in range(1, 101)]
    assert writes == [100]


async def test_qos_2_commits_at_publish_and_forgets_at_pubrel(hub, connect):
    """PUBLISH, PUBREC, PUBREL, PUBCOMP; after that the identifier is free for a new message."""
    client = await connect()
    for _ in range(2):
        client.publish("t", b"x", 2, 5)
        assert await client.receive() == p.Pubrec(5)
        client.send(p.Pubrel(5))
        received = await client.receive()
        assert (type(received), received) == (p.Pubcomp, p.Pubcomp(5))
    assert len(hub.published) == 2


async def test_qos_2_repeats_are_not_committed_twice(hub, door, connect, eventually):
    """Repeats while the commit is under way and after it are acknowledged, and nothing else."""
    hub.hold = True
    client = await connect()
    client.publish("t", b"x", 2, 5)
    for _ in range(3):
        client.publish("t", b"x", 2, 5, dup=True)
    await eventually(lambda: hub.waiting)
    assert await client.silence() == []
    hub.release()
    assert [await client.receive() for _ in range(4)] == [p.Pubrec(5)] * 4
    client.publish("t", b"x", 2, 5, dup=True)
    assert await client.receive() == p.Pubrec(5)
    assert len(hub.published) == 1
    assert door.statistics().totals.messages_repeated == 4


async def test_repeats_of_a_lost_message_are_not_acknowledged(hub, connect, eventually):
    """When the commit they wait for fails, so do they; the next connection commits anew."""
    hub.hold = True
    client = await connect(clean=False)
    client.publish("t", b"x", 2, 5)
    client.publish("t", b"x", 2, 5, dup=True)
    await eventually(lambda: hub.waiting)
    hub.release(durable=False)
    assert await client.ended() == []
    again = await connect(clean=False)
    hub.hold = False
    again.publish("t", b"x", 2, 5, dup=True)
    assert await again.receive() == p.Pubrec(5)
    assert len(hub.published) == 2


async def test_qos_2_identifiers_survive_the_connection(hub, connect, eventually):
    """A lasting session knows what it took, durable or not yet, after the client reconnects."""
    hub.hold = True
    client = await connect(clean=False)
    client.publish("t", b"1", 2, 1)
    client.publish("t", b"2", 2, 2)
    await eventually(lambda: len(hub.waiting) == 2)
    hub.release(1)
    assert await client.receive() == p.Pubrec(1)
    await client.drop()
    again = await connect(clean=False)
    assert again.session_present
    again.publish("t", b"1", 2, 1, dup=True)
    assert await again.receive() == p.Pubrec(1)
    again.publish("t", b"2", 2, 2, dup=True)
    assert await again.silence() == []
    hub.release()
    assert await again.receive() == p.Pubrec(2)
    assert [payload for _, _, payload in hub.published] == [b"1", b"2"]


async def test_a_message_of_a_client_that_left_is_still_passed_on(hub, connect, eventually):
    """It became durable, so that subscribers get it, acknowledged or not."""
    hub.hold = True
    reader, client = await connect("reader", "r"), await connect()
    await reader.subscribe("t")
    client.publish("t", b"x", 1, 1)
    await eventually(lambda: hub.waiting)
    await client.drop()
    hub.release()
    assert await reader.receive() == p.Publish("t", b"x")


async def test_reading_stops_while_too_much_is_not_durable(hub, open_door, connect, eventually):
    """Back-pressure by not reading: nothing is dropped, and it goes on after the commit."""
    door = await open_door(unreleased_messages=10)
    hub.hold = True
    client = await connect(to_door=door)
    for number in range(1, 101):
        client.publish("t", b"x", 1, number)
    client.send(p.Pingreq())
    await eventually(lambda: len(hub.waiting) == 10)
    hub.release(4)
    assert [await client.receive() for _ in range(4)] == [p.Puback(n) for n in range(1, 5)]
    assert len(hub.published) == 10
    hub.release(1)
    await eventually(lambda: len(hub.published) == 15)
    hub.hold = False
    hub.release()
    received = [await client.receive() for _ in range(97)]
    received.remove(p.Pingresp())
    assert received == [p.Puback(n) for n in range(5, 101)]


async def test_bytes_of_one_and_of_all_connections_are_bounded(hub, open_door, connect, eventually):
    """Large messages stop one connection; the sum stops all others."""
    door = await open_door(unreleased_bytes=20_000, unreleased_bytes_total=30_000)
    hub.hold = True
    clients = [await connect("meter", f"c{n}", to_door=door) for n in range(4)]
    for client in clients:
        for number in range(1, 5):
            client.publish("t", bytes(9_000), 1, number)
    await eventually(lambda: len(hub.waiting) >= 4)
    assert door.statistics().unreleased_bytes <= 30_000 + 10_000
    hub.hold = False
    hub.release()
    for client in clients:
        assert [await client.receive() for _ in range(4)] == [p.Puback(n) for n in range(1, 5)]
    assert door.statistics().unreleased_bytes == 0


async def test_two_doors_of_one_process_are_independent(hub, open_door, connect):
    """Nothing is kept outside a door."""
    other = await open_door()
    one, two = await connect(), await connect(to_door=other)
    await two.subscribe("t")
    one.publish("t", b"x", 1, 1)
    assert await one.receive() == p.Puback(1)
    assert await two.silence() == []


async def test_a_stop_acknowledges_what_becomes_durable_in_time(hub, door, connect, eventually):
    """The commit under way at the stop is waited for, acknowledged, and then the door closes."""
    hub.hold = True
    client = await connect()
    client.publish("t", b"x", 1, 1)
    await eventually(lambda: hub.waiting)
    connection = next(iter(door._floor.connections))
    stopping = asyncio.create_task(door.stop())
    await eventually(lambda: connection._holds)
    hub.release()
    assert await client.ended() == [p.Puback(1)]
    await stopping
    with pytest.raises(OSError):
        await WireClient.dial(door.ports.mqtt)
    await door.wait()


async def test_users_of_one_door_do_not_share_a_client_id(hub, connect):
    """A client id belongs to the user name: the same id of another user disturbs nobody."""
    hub.add(principal(9, "other"), b"secret")
    one, two = await connect("meter", "same"), await connect("other", "same")
    for client in (one, two):
        client.publish("t", b"x", 1, 1)
        assert await client.receive() == p.Puback(1)
