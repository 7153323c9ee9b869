"""Who gets which message: organizations, permissions, QoS, retained messages, other doors."""

import pytest
from memory_hub import ACME, BOLT, principal

from wattwire.mqtt import packets as p

FORBIDDEN = 0x80


async def published(client, topic, payload=b"x", **how):
    """Publish at QoS 1 and wait until it is durable."""
    client.publish(topic, payload, 1, 1, **how)
    assert await client.receive() == p.Puback(1)


async def test_subscribers_get_what_they_asked_for(connect):
    """Wildcards, and nothing else; the retain flag is not passed on [3.3.1-9]."""
    reader, client = await connect("reader", "r"), await connect()
    assert await reader.subscribe("site/+/telemetry") == 0
    await published(client, "site/1/telemetry", b"1", retain=True)
    await published(client, "site/1/status")
    await published(client, "site/2/telemetry", b"2")
    assert await reader.silence() == [
        p.Publish("site/1/telemetry", b"1"),
        p.Publish("site/2/telemetry", b"2"),
    ]


async def test_messages_are_passed_on_when_they_are_durable(hub, connect, eventually):
    """A subscriber never sees what a crash could still undo."""
    hub.hold = True
    reader, client = await connect("reader", "r"), await connect()
    await reader.subscribe("t")
    client.publish("t", b"x", 1, 1)
    await eventually(lambda: hub.waiting)
    assert await reader.silence() == []
    hub.release()
    assert await reader.receive() == p.Publish("t", b"x")


@pytest.mark.parametrize(
    ("asked", "granted", "sent", "got"), [(0, 0, 1, 0), (1, 1, 0, 0), (1, 1, 1, 1), (2, 1, 2, 1)]
)
async def test_the_lower_qos_counts_and_2_is_granted_as_1(connect, asked, granted, sent, got):
    """QoS is per hop: the lower of publisher's and subscriber's."""
    reader, client = await connect("reader", "r"), await connect()
    assert await reader.subscribe("t", asked) == granted
    client.publish("t", b"x", sent, 1 if sent else 0)
    message = await reader.receive()
    assert (message.qos, message.packet_id) == (got, 1 if got else 0)


async def test_overlapping_subscriptions_deliver_once(connect):
    """Once, at the highest QoS; and a new subscription to the same filter replaces the old."""
    client = await connect()
    for topic_filter, qos in (("a/#", 0), ("a/+", 1), ("a/b", 0)):
        await client.subscribe(topic_filter, qos)
    client.publish("a/b", b"x", 1, 1)
    received = [await client.receive(), await client.receive()]
    assert sorted(received, key=len) == [p.Puback(1), p.Publish("a/b", b"x", 1, packet_id=1)]
    assert await client.silence() == []


async def test_unsubscribing_ends_it(connect):
    """UNSUBACK, and no more messages."""
    reader, client = await connect("reader", "r"), await connect()
    await reader.subscribe("t")
    reader.send(p.Unsubscribe(9, ("t", "never/there")))
    assert await reader.receive() == p.Unsuback(9)
    await published(client, "t")
    assert await reader.silence() == []


async def test_organizations_do_not_see_each_other(connect):
    """Neither live nor retained, whatever the filter."""
    stranger, client = await connect("stranger", "s"), await connect()
    await stranger.subscribe("#")
    await published(client, "t", retain=True)
    assert await stranger.silence() == []
    await stranger.subscribe("t")
    assert await stranger.silence() == []


async def test_a_forbidden_topic_closes_the_connection(hub, door, connect, capsys):
    """Not acknowledged, not published, and said in the log with user, topic and rule."""
    client = await connect("narrow")
    client.publish("site/1/telemetry", b"x", 1, 1)
    client.publish("site/2/telemetry", b"x", 1, 2)
    await client.ended()
    assert [topic for _, topic, _ in hub.published] == ["site/1/telemetry"]
    assert door.statistics().totals.messages_forbidden == 1
    line = next(line for line in capsys.readouterr().out.splitlines() if "forbidden" in line)
    assert "narrow" in line
    assert "site/2/telemetry" in line
    assert "may publish site/1/telemetry" in line


@pytest.mark.parametrize(
    ("topic_filter", "code"),
    [
        ("site/1/commands", 0),
        ("site/1/telemetry", FORBIDDEN),
        ("site/+/commands", FORBIDDEN),
        ("#", FORBIDDEN),
        ("spBv1.0/g/NCMD/+", 0),
        ("spBv1.0/#", FORBIDDEN),
        ("$sparkplug/certificates/spBv1.0/g/NBIRTH/#", 0),
        ("$sparkplug/certificates/#", FORBIDDEN),
    ],
)
async def test_a_filter_must_be_covered_by_a_permission(connect, topic_filter, code):
    """Refused filters get 0x80, and deliver nothing."""
    client = await connect("narrow")
    assert await client.subscribe(topic_filter) == code


async def test_one_refused_filter_leaves_the_others(connect):
    """One code per filter, in order."""
    client = await connect("narrow")
    client.send(p.Subscribe(3, (("x", 0), ("site/1/commands", 2))))
    assert await client.receive() == p.Suback(3, (FORBIDDEN, 1))


async def test_topics_and_subscriptions_are_bounded(open_door, connect):
    """A topic over the limits closes; a filter over the limits is refused."""
    door = await open_door(topic_bytes=20, topic_levels=3, subscriptions=2)
    client = await connect(to_door=door)
    assert await client.subscribe("a/b/c/d") == FORBIDDEN
    assert await client.subscribe("x" * 21) == FORBIDDEN
    assert [await client.subscribe(t) for t in ("a", "b", "c", "a")] == [0, 0, FORBIDDEN, 0]
    client.publish("a/b/c/d")
    assert await client.ended() == []
    deep = await connect(client_id="c2", to_door=door)
    deep.publish("x" * 21)
    assert await deep.ended() == []


async def test_retained_messages_reach_new_subscribers(connect):
    """The last one per topic, flagged as retained; an empty payload forgets it."""
    reader, client = await connect("reader", "r"), await connect()
    for topic, payload in (("a/1", b"old"), ("a/1", b"new"), ("a/2", b"gone"), ("a/2", b"")):
        await published(client, topic, payload, retain=True)
    await published(client, "a/3", b"not retained")
    assert await reader.subscribe("a/+", 1) == 1
    assert await reader.receive() == p.Publish("a/1", b"new", 1, True, packet_id=1)
    assert await reader.silence() == []


async def test_retained_messages_are_stored_and_loaded(hub, door, open_door, connect, eventually):
    """They survive the door; so does that one was deleted."""
    client = await connect()
    await published(client, "a", b"1", retain=True)
    await published(client, "b", b"2", retain=True)
    await eventually(lambda: len(hub.retained) == 2)
    await published(client, "b", b"", retain=True)
    await eventually(lambda: len(hub.retained) == 1)
    await door.stop()
    reader = await connect("reader", "r", to_door=await open_door())
    await reader.subscribe("#")
    assert await reader.silence() == [p.Publish("a", b"1", 0, True)]


async def test_retained_messages_are_bounded(open_door, connect):
    """The one that finds no room is counted; what it would have replaced is not kept stale."""
    door = await open_door(retained_messages=2, retained_bytes=100)
    client = await connect(to_door=door)
    for topic, size in (("a", 10), ("b", 10), ("c", 10), ("a", 95)):
        await published(client, topic, bytes(size), retain=True)
    assert await client.subscribe("#") == 0
    assert [message.topic for message in await client.silence()] == ["b"]
    assert door.statistics().totals.retained_refused == 2
    assert door.statistics().retained_messages == 1


async def test_thousands_of_retained_messages_reach_one_subscriber(open_door, connect):
    """More than its queue holds: they are sent as the client takes them, none is dropped."""
    door = await open_door(queued_messages=10, window=4)
    for number in range(3_000):
        door.publish(ACME, f"a/{number}", b"x", 1, retain=True)
    client = await connect(to_door=door)
    client.send(p.Subscribe(1, (("a/#", 1),)))
    assert type(await client.receive()) is p.Suback
    topics = set()
    for _ in range(3_000):
        message = await client.receive()
        topics.add(message.topic)
        client.send(p.Puback(message.packet_id))
    assert len(topics) == 3_000
    assert door.statistics().totals.messages_dropped == 0


async def test_births_are_retained_as_certificates(connect):
    """Sparkplug 3.0 section 10.2: NBIRTH and DBIRTH, not data; the birth itself is not retained."""
    edge, host = await connect(), await connect("narrow", "h")
    for kind in ("NBIRTH/e", "DBIRTH/e/d", "NDATA/e"):
        await published(edge, f"spBv1.0/g/{kind}", b"birth")
    await host.subscribe("spBv1.0/g/#")
    assert await host.silence() == []
    await host.subscribe("$sparkplug/certificates/spBv1.0/g/#")
    assert sorted(await host.silence()) == [
        p.Publish(f"$sparkplug/certificates/spBv1.0/g/{kind}", b"birth", 0, True)
        for kind in ("DBIRTH/e/d", "NBIRTH/e")
    ]


@pytest.mark.parametrize("subscribers", [0, 1])
async def test_other_doors_hear_what_they_are_interested_in(door, connect, subscribers):
    """Only then, and only once durable; retained messages always, so that each door has them."""
    heard = []
    door.on_published = lambda *message: heard.append(message)
    client = await connect()
    if subscribers:
        await (await connect("reader", "r")).subscribe("#")
    await published(client, "a", b"1")
    door.remote_interest = lambda organization_id, topic: (organization_id, topic) == (ACME, "a")
    await published(client, "a", b"2")
    await published(client, "b", b"3")
    await published(client, "b", b"4", retain=True)
    assert heard == [(ACME, "a", b"2", 1, False), (ACME, "b", b"4", 1, True)]


async def test_what_other_doors_published_is_not_sent_back(hub, door, connect):
    """route() serves the subscribers here and stores nothing; publish() is for the hub's own."""
    heard = []
    door.on_published = lambda *message: heard.append(message)
    door.remote_interest = lambda *_: True
    client, stranger = await connect(), await connect("stranger", "s")
    await client.subscribe("#", 1)
    await stranger.subscribe("#", 1)
    door.route(ACME, "a", b"routed", 0, True)
    assert await client.silence() == [p.Publish("a", b"routed")]
    assert heard == []
    assert hub.published == []
    door.publish(BOLT, "b", b"command", 1)
    assert await stranger.silence() == [p.Publish("b", b"command", 1, packet_id=1)]
    assert heard == [(BOLT, "b", b"command", 1, False)]
    assert hub.retained == {}


async def test_a_permission_is_as_narrow_as_it_says(hub, connect):
    """No permission at all is none."""
    hub.add(principal(8, "mute", publish=(), subscribe=()), b"secret")
    client = await connect("mute")
    assert await client.subscribe("a") == FORBIDDEN
    client.publish("a")
    assert await client.ended() == []
