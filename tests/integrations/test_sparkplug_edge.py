"""The edge node that MQTT can be: heard by the hub's own host and by an independent one."""

import asyncio
import json
import shutil
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from integrations_counterparts import LOCAL
from mqtt_counterparts import FaultBroker, Onlooker

from wattwire.delivery.rendering import find_format
from wattwire.delivery.verdicts import judge, merged
from wattwire.formats import sparkplug_b
from wattwire.formats.sparkplug_state import SparkplugHost, rebirth_command
from wattwire.formats.sparkplug_topics import parse_topic
from wattwire.formats.sparkplug_values import DataType
from wattwire.integrations import TYPES
from wattwire.integrations._sparkplug_session import EdgeNode, asks_rebirth, first_bd_seq
from wattwire.integrations.contract import UNREACHABLE, Delivered, Rejected, Verdict
from wattwire.model import Event, Message, to_micros

KIND = TYPES["mqtt"]
MODULES = Path(__file__).parents[1] / "node" / "node_modules"
NOW = 1_748_781_000_000


def tahu(payloads):
    """Payloads as Eclipse Tahu's JavaScript reads them."""
    node = shutil.which("node")
    if node is None or not (MODULES / "sparkplug-payload").exists():
        pytest.fail("sparkplug-payload is missing: npm ci --prefix tests/node")
    script = Path(__file__).with_name("sparkplug_payloads.cjs")
    lines = "\n".join(payload.hex() for payload in payloads)
    found = subprocess.run(
        [node, str(script), str(MODULES)],
        input=lines,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [json.loads(line) for line in found.stdout.splitlines()]


# --- the session alone ---


def node(**more):
    made = EdgeNode(
        **{"group": "g", "name": "e", "bd_seq": 6, "historical_after_ms": 300_000, **more}
    )
    made.begin(NOW)
    return made


def body(at=NOW, **values):
    """A body as the format writes it."""
    metrics = [
        sparkplug_b.metric_of(
            DataType.BOOLEAN if isinstance(v, bool) else DataType.DOUBLE,
            v,
            name=n,
            timestamp=at,
            properties={"engUnit": "V"},
        )
        for n, v in values.items()
    ]
    return sparkplug_b.encode_payload(sparkplug_b.Payload(metrics, at, None, "asset-1"))


def read(sent):
    return [(parse_topic(t).message_type, sparkplug_b.decode_payload(p)) for t, p in sent]


def kinds(sent):
    return [kind for kind, _ in read(sent)]


def test_births_come_before_what_they_announce():
    """NBIRTH: seq 0, bdSeq, the rebirth switch; DBIRTH: names, types, aliases; DDATA: aliases."""
    edge = node()
    ((_, will),) = read([edge.death(NOW)])
    ((_, birth),) = read(edge.births(NOW))
    (born, device), (said, data) = read(edge.data("m", body(a=1.0, b=True), NOW))
    announced = {m.name: m for m in device.metrics}

    assert ("DBIRTH", "DDATA") == (born, said)
    assert (None, 0, 1, 2) == (will.seq, birth.seq, device.seq, data.seq)
    assert (7, 7) == (will.metrics[0].raw, birth.metrics[0].raw)
    assert ["bdSeq", "Node Control/Rebirth"] == [m.name for m in birth.metrics]
    assert [None, None] == [m.alias for m in birth.metrics]
    assert [(DataType.DOUBLE, 1.0), (DataType.BOOLEAN, True)] == [
        (announced[n].datatype, announced[n].raw) for n in "ab"
    ]
    assert {"engUnit": "V"} == announced["a"].properties
    assert [(announced[n].alias, None, None) for n in "ab"] == [
        (m.alias, m.name, m.datatype) for m in data.metrics
    ]
    assert all(m.timestamp for p in (birth, device, data) for m in p.metrics)
    assert "asset-1" == data.uuid


def test_a_known_device_says_data_only():
    """One birth for many messages."""
    edge = node()
    edge.births(NOW)
    edge.data("m", body(a=1.0), NOW)

    assert ["DDATA"] == kinds(edge.data("m", body(NOW + 1, a=2.0), NOW + 1))
    assert ["DBIRTH", "DDATA"] == kinds(edge.data("other", body(NOW + 1, a=2.0), NOW + 1))


def test_a_new_metric_or_type_makes_a_new_birth():
    """It announces all metrics, each with the newest value that was sent; aliases stay."""
    edge = node()
    edge.births(NOW)
    first = read(edge.data("m", body(a=1.0, b=2.0), NOW))[0][1]
    sent = read(edge.data("m", body(NOW + 1, c=3.0), NOW + 1))
    changed = read(edge.data("m", body(NOW + 2, a=True), NOW + 2))
    again = {m.name: m for m in sent[0][1].metrics}

    assert ["DBIRTH", "DDATA"] == [k for k, _ in sent] == [k for k, _ in changed]
    assert [1.0, 2.0, 3.0] == [again[n].raw for n in "abc"]
    assert [m.alias for m in first.metrics] == [again[n].alias for n in "ab"]
    assert DataType.BOOLEAN == changed[0][1].metrics[0].datatype
    assert [m.alias for m in sent[0][1].metrics] == [m.alias for m in changed[0][1].metrics]
    assert 3 == len({m.alias for m in changed[0][1].metrics})


def test_history_is_marked():
    """Older than what was sent before, or older than the limit; births do not take it for now."""
    edge = node()
    edge.births(NOW)
    minutes = 60_000
    backlog = read(edge.data("m", body(NOW - 6 * minutes, a=1.0), NOW))
    live = read(edge.data("m", body(NOW - 4 * minutes, a=2.0), NOW))
    late = read(edge.data("m", body(NOW - 5 * minutes, a=3.0), NOW))
    same = read(edge.data("m", body(NOW - 4 * minutes, a=4.0), NOW))
    birth = read(edge.births(NOW))[1][1]

    assert [True, False, True, False] == [
        sent[-1][1].metrics[0].is_historical for sent in (backlog, live, late, same)
    ]
    assert (True, False) == (backlog[0][1].metrics[0].is_null, birth.metrics[0].is_null)
    assert (4.0, False) == (birth.metrics[0].raw, birth.metrics[0].is_historical)


def test_a_rebirth_begins_again_at_0():
    """The same bdSeq, seq from 0, every device; then data go on."""
    edge = node()
    edge.births(NOW)
    for device in ("m", "n"):
        edge.data(device, body(a=1.0), NOW)
    again = read(edge.births(NOW + 5))
    data = read(edge.data("m", body(NOW + 6, a=1.0), NOW + 6))

    assert ["NBIRTH", "DBIRTH", "DBIRTH"] == [k for k, _ in again]
    assert [0, 1, 2, 3] == [p.seq for _, p in [*again, *data]]
    assert 7 == again[0][1].metrics[0].raw


def test_seq_and_bd_seq_wrap():
    """Both count from 0 to 255."""
    edge = node(bd_seq=254)
    edge.births(NOW)
    edge.data("m", body(a=1.0), NOW)
    seqs = [read(edge.data("m", body(a=1.0), NOW))[0][1].seq for _ in range(300)]
    edge.begin(NOW)

    assert [(n + 3) % 256 for n in range(300)] == seqs
    assert 0 == edge.bd_seq
    assert (100, 0) == (first_bd_seq(1_000 * 256 + 100.9), first_bd_seq(256.0))


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b'{"metrics": []}',
        sparkplug_b.encode_payload(sparkplug_b.Payload([sparkplug_b.Metric(alias=1)], NOW)),
        sparkplug_b.encode_payload(sparkplug_b.Payload([sparkplug_b.Metric(name="a")], NOW)),
    ],
)
def test_what_cannot_be_said(wrong):
    """No metrics, no payload, no name, no type: refused, and the sequence has no gap."""
    edge = node()
    edge.births(NOW)
    with pytest.raises(ValueError, match=r"."):
        edge.data("m", wrong, NOW)

    assert [1, 2] == [p.seq for _, p in read(edge.data("m", body(a=1.0), NOW))]


def test_commands_other_than_rebirth_mean_nothing():
    """False, another name, noise."""
    command = rebirth_command(NOW)
    off = sparkplug_b.metric_of(DataType.BOOLEAN, False, name="Node Control/Rebirth")
    other = sparkplug_b.metric_of(DataType.BOOLEAN, True, name="Node Control/Reboot")

    assert asks_rebirth(command)
    for metric in (off, other):
        assert not asks_rebirth(sparkplug_b.encode_payload(sparkplug_b.Payload([metric], NOW)))
    assert not asks_rebirth(b"\xff\xff")


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["m", "n", "o"]),
        st.dictionaries(st.sampled_from("abcd"), st.floats(-1e9, 1e9), min_size=1),
        st.integers(0, 900_000),
        st.sampled_from(["say", "say", "say", "rebirth", "reconnect"]),
    ),
    max_size=40,
)


@given(CHANGES)
def test_a_host_always_understands(changes):
    """Whatever is sent in whatever order: a host reads each value, and asks for no rebirth."""
    edge, host = node(), SparkplugHost()
    stream, expected = list(edge.births(NOW)), set()
    for at, (device, values, age, then) in enumerate(changes):
        now = NOW + at * 1000
        stream += edge.data(device, body(now - age, **values), now)
        expected |= {(f"g/e/{device}", (now - age) * 1000, n, v) for n, v in values.items()}
        if then == "reconnect":
            stream += [edge.death(now), edge.begin(now)][:1]
        if then != "say":
            stream += edge.births(now)
    found = set()
    for topic, payload in stream:
        step = host.take(topic, payload, NOW * 1000)
        assert (None, ()) == (step.refused, step.rebirth)
        for reading in step.decoded.readings:
            for channel, value in zip(reading.shape.channels, reading.values, strict=True):
                found.add((reading.shape.device, reading.time, channel.name, value))

    assert expected <= found
    assert () == host.due(NOW * 1000 + 10**9).rebirth


# --- over a real broker ---

FORM = find_format("sparkplug_b", {"units": True})


def message(number, device="pm-7", ago=timedelta(0), **values):
    event = Event(
        id=UUID(int=number),
        topic="device.telemetry",
        organization_id=UUID(int=1),
        time=datetime.now(UTC) - ago,
        data={"values": values or {"voltage_v": 480.2 + number, "on": True, "state": "run"}},
        device_key=device,
        metadata={"uuid": "asset-7"},
    )
    return Message(f"m-{number}", FORM.render(event), FORM.content_type, event=event)


def settings(port, **more):
    return KIND.settings(
        broker_url=f"mqtt://127.0.0.1:{port}",
        sparkplug={"group": "pm500", "edge_node": "hub", **more},
    )


def delivered(outcomes):
    return {i for i, outcome in outcomes.items() if isinstance(outcome, Delivered)}


def types(seen):
    return [parse_topic(s.topic).message_type for s in seen if s.topic.startswith("spBv1.0")]


async def test_a_session_as_others_read_it(mqtt_broker, onlooker):
    """Topics, QoS, retained flag, order, and every value, by Eclipse Tahu's decoder."""
    async with KIND.connect(settings(mqtt_broker.port), LOCAL) as integration:
        outcomes = await integration.deliver([message(0), message(1), message(2, "pm/8")])
        outcomes |= await integration.deliver([message(3, ago=timedelta(hours=1))])
    seen = onlooker.messages()
    read_by_tahu = tahu([s.payload for s in seen])
    birth, device = read_by_tahu[0], read_by_tahu[1]

    assert {f"m-{n}" for n in range(4)} == delivered(outcomes)
    assert ["DDATA, seq 2", "DDATA, seq 3"] == [outcomes[i].receipt for i in ("m-0", "m-1")]
    assert [
        "spBv1.0/pm500/NBIRTH/hub",
        "spBv1.0/pm500/DBIRTH/hub/pm-7",
        "spBv1.0/pm500/DDATA/hub/pm-7",
        "spBv1.0/pm500/DDATA/hub/pm-7",
        "spBv1.0/pm500/DBIRTH/hub/pm%2F8",
        "spBv1.0/pm500/DDATA/hub/pm%2F8",
        "spBv1.0/pm500/DDATA/hub/pm-7",
        "spBv1.0/pm500/NDEATH/hub",
    ] == [s.topic for s in seen]
    assert [0] * 7 + [1] == [s.qos for s in seen]
    assert not any(s.retain for s in seen)
    assert [0, 1, 2, 3, 4, 5, 6, None] == [p["seq"] for p in read_by_tahu]
    assert [("bdSeq", "Int64"), ("Node Control/Rebirth", "Boolean")] == [
        (m["name"], m["type"]) for m in birth["metrics"]
    ]
    assert birth["metrics"][0]["value"] == read_by_tahu[-1]["metrics"][0]["value"]
    assert {
        ("voltage_v", "Double", 480.2),
        ("on", "Boolean", True),
        ("state", "String", "run"),
    } == {(m["name"], m["type"], m["value"]) for m in device["metrics"]}
    assert "V" == device["metrics"][0]["properties"]["engUnit"]["value"]
    assert [True] * 3 == [m["isHistorical"] for m in read_by_tahu[6]["metrics"]]


async def test_the_hub_reads_its_own_edge_node(mqtt_broker, onlooker):
    """A second hub, listening, gets every value at its time, and no reason for a rebirth."""
    batches = [[message(n, f"pm-{n % 3}") for n in range(k, k + 50)] for k in range(0, 300, 50)]
    async with KIND.connect(settings(mqtt_broker.port), LOCAL) as integration:
        for batch in batches:
            assert 50 == len(delivered(await integration.deliver(batch)))
    host, found = SparkplugHost(), {}
    for seen in onlooker.messages():
        step = host.take(seen.topic, seen.payload, time.time_ns() // 1000)
        assert (None, ()) == (step.refused, step.rebirth)
        for r in step.decoded.readings:
            names = [channel.name for channel in r.shape.channels]
            found[r.shape.device, r.time] = r.values[names.index("voltage_v")]

    assert {
        (f"pm500/hub/pm-{n % 3}", to_micros(m.event.time) // 1000 * 1000): 480.2 + n
        for batch in batches
        for n, m in ((m.event.id.int, m) for m in batch)
    } == found


async def test_a_host_asks_for_a_rebirth(mqtt_broker, onlooker):
    """It is answered without any data to send: all births again, the same bdSeq, seq from 0."""
    async with KIND.connect(settings(mqtt_broker.port), LOCAL) as integration:
        await integration.deliver([message(0)])
        onlooker.publish("spBv1.0/pm500/NCMD/hub", rebirth_command(NOW))
        seen = await onlooker.until(lambda seen: types(seen).count("DBIRTH") == 2)
        await integration.deliver([message(1)])
    said = [s for s in seen if "NCMD" not in s.topic]
    read_by_tahu = tahu([s.payload for s in said])

    assert ["NBIRTH", "DBIRTH", "DDATA", "NBIRTH", "DBIRTH"] == types(said)
    assert [0, 1, 2, 0, 1] == [p["seq"] for p in read_by_tahu]
    assert read_by_tahu[0]["metrics"][0]["value"] == read_by_tahu[3]["metrics"][0]["value"]


async def test_many_requests_make_few_rebirths(mqtt_broker, onlooker):
    """Births follow one another no faster than once a second, however many ask."""
    async with KIND.connect(settings(mqtt_broker.port), LOCAL) as integration:
        await integration.deliver([message(0)])
        began = time.monotonic()
        for _ in range(30):
            await asyncio.to_thread(
                onlooker.publish, "spBv1.0/pm500/NCMD/hub", rebirth_command(NOW)
            )
        await onlooker.until(lambda seen: types(seen).count("NBIRTH") > 1)
        said = types(onlooker.messages())
        seconds = time.monotonic() - began

    assert 30 == said.count("NCMD")
    assert 2 <= said.count("NBIRTH") <= 2 + seconds


async def test_a_death_by_will(start_broker):
    """A cut connection: the broker says NDEATH with the birth's bdSeq; the next is one higher."""
    broker = await start_broker()
    onlooker = Onlooker(broker.port)
    async with KIND.connect(settings(broker.port), LOCAL) as integration:
        await integration.deliver([message(0), message(1, "pm-8")])
        integration._connection.drop()
        await onlooker.until(lambda seen: "NDEATH" in types(seen))
        outcomes = await integration.deliver([message(2)])
    seen = onlooker.messages()
    onlooker.close()
    read_by_tahu = tahu([s.payload for s in seen])
    numbers = [
        (kind, p["metrics"][0]["value"])
        for kind, p in zip(types(seen), read_by_tahu, strict=True)
        if kind in ("NBIRTH", "NDEATH")
    ]

    assert {"m-2"} == delivered(outcomes)
    assert ["NBIRTH", "NDEATH", "NBIRTH", "DBIRTH", "DBIRTH", "DDATA", "NDEATH"] == [
        *types(seen)[:1],
        *types(seen)[5:],
    ]
    assert [1, 1] == [s.qos for s in seen if "NDEATH" in s.topic]
    assert numbers[0][1] == numbers[1][1]
    assert (numbers[0][1] + 1) % 256 == numbers[2][1] == numbers[3][1]


async def test_data_that_nobody_read(start_broker):
    """QoS 0 into a broker that dies: not delivered; after its restart they are sent again."""
    broker = await start_broker()
    async with KIND.connect(settings(broker.port), LOCAL) as integration:
        await integration.deliver([message(0)])
        broker.signal(signal.SIGSTOP)
        under_way = asyncio.create_task(integration.deliver([message(1), message(2)]))
        while not integration._connection._client.pings:
            await asyncio.sleep(0)
        broker.kill()
        lost = await under_way
        await broker.start()
        again = await integration.deliver([message(1), message(2)])

    assert {UNREACHABLE} == {o.code for o in lost.values()}
    assert {"m-1", "m-2"} == delivered(again)


async def test_events_of_no_device(mqtt_broker, onlooker):
    """They have no place in an edge node: dead letters, and the others are delivered."""
    async with KIND.connect(settings(mqtt_broker.port), LOCAL) as integration:
        outcomes = await integration.deliver([message(0, ""), message(1)])

    assert isinstance(outcomes["m-0"], Rejected)
    assert {"m-1"} == delivered(outcomes)


async def test_commands_that_may_not_be_heard():
    """Without the right to subscribe there is no edge node: it pauses, before any birth."""
    fault = FaultBroker()
    fault.granted = 0x80
    async with (
        fault.serving() as url,
        KIND.connect(settings(int(url.rpartition(":")[2])), LOCAL) as integration,
    ):
        outcome = (await integration.deliver([message(0)]))["m-0"]

    assert Verdict.PARK == judge(outcome, merged(KIND.verdicts, {})), outcome
    assert "spBv1.0/pm500/NCMD/hub" in outcome.reason
    assert [] == fault.requests
