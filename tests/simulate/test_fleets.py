"""Simulated fleets: what they send is what the hub's decoders take, through a real broker."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import date
from math import inf
from zoneinfo import ZoneInfo

import pytest

from wattwire.formats import smart_meter, sparkplug_json
from wattwire.formats.sparkplug_state import SparkplugHost, rebirth_command
from wattwire.model import RefusedError
from wattwire.simulate import power_monitors, smart_meters, sparkplug
from wattwire.simulate.destination import Destination, Tally
from wattwire.simulate.edge_node import asks_rebirth, make_nodes
from wattwire.sources.contract import ConnectionLostError

UTC = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")


def here(port):
    return Destination("127.0.0.1", port)


def zone_of(_device):
    return BERLIN


def plan(**changes):
    return smart_meters.Plan(**{"count": 5, "topic": "t", "days": 4, "speed": inf} | changes)


def test_every_day_of_a_year_is_taken():
    """Day messages decode on every day of a year, both clock changes among them."""
    (meter,) = smart_meters.make_meters(plan(count=1))
    for number in range(365):
        day = date.fromordinal(date(2025, 1, 1).toordinal() + number)
        for kind, payload in smart_meters.messages_of(meter, day, plan(zone=BERLIN)):
            assert kind in {"day", "resent"}
            smart_meter.decode(payload, zone_of)


def test_mistakes_are_refused_and_the_day_follows():
    """Each mistake is one that the decoder refuses; the right message comes after it."""
    (meter,) = smart_meters.make_meters(plan(count=1))
    reasons = set()
    for number in range(200):
        day = date.fromordinal(date(2024, 1, 1).toordinal() + number)
        messages = smart_meters.messages_of(meter, day, plan(mistakes=1.0, zone=BERLIN))
        assert ["mistake", "day"] == [kind for kind, _payload in messages[:2]]
        with pytest.raises(RefusedError) as refused:
            smart_meter.decode(messages[0][1], zone_of)
        smart_meter.decode(messages[1][1], zone_of)
        reasons.add(refused.value.where)

    assert len(reasons) > 5


def test_fleets_are_their_seed():
    """The same seed gives the same meters, in the same order."""
    keys = [[m.home.key for m in smart_meters.make_meters(plan(seed=s))] for s in (1, 1, 2)]

    assert keys[0] == keys[1] != keys[2]
    assert 5 == len(set(keys[0]))


@pytest.mark.parametrize("zone", [UTC, BERLIN])
async def test_smart_meters_hand_over_their_days(broker_port, listen, zone):
    """Every meter sends every day once, at QoS 2, and all are confirmed."""
    tally = Tally()
    async with listen("t") as heard:
        wanted = plan(zone=zone)
        await smart_meters.run(here(broker_port), wanted, tally, asyncio.Event())
        await heard.until(lambda messages: len(messages) >= tally.confirmed)

    days = [smart_meter.decode(m.payload, lambda _key: zone) for m in heard.messages]
    first = {(d.readings[0].shape.device, d.readings[0].time) for d in days}
    assert len(first) >= 20
    assert tally.confirmed == tally.sent == 20 + tally.resent
    assert (5, 0) == (tally.connections, tally.connected)


async def test_meters_come_back_when_the_broker_was_away(broker_port):
    """A meter that finds nobody calls again, and gives up only after many calls."""
    tally, stop = Tally(), asyncio.Event()
    nobody = Destination("127.0.0.1", 9)
    running = asyncio.create_task(smart_meters.run(nobody, plan(count=1), tally, stop))
    async with asyncio.timeout(20):
        while tally.lost < 2:
            await asyncio.sleep(0.01)
    stop.set()
    async with asyncio.timeout(20):
        await running

    assert 0 == tally.confirmed


async def test_a_hopeless_destination_is_an_error(monkeypatch):
    """After so many failures in a row the error is raised."""
    monkeypatch.setattr("wattwire.simulate.destination.FIRST_PAUSE_SECONDS", 0)
    nobody = Destination("127.0.0.1", 9)
    with pytest.raises(ConnectionLostError, match="does not answer"):
        await smart_meters.run(nobody, plan(count=2), Tally(), asyncio.Event())


async def test_power_monitors_speak_the_seeds_json(broker_port, listen):
    """Each monitor sends 12 values once per period; the decoder takes them."""
    tally = Tally()
    fleet = power_monitors.Plan(count=30, days=10 / 86_400, speed=inf)
    async with listen("spBv1.0/pm500/#") as heard:
        await power_monitors.run(here(broker_port), fleet, tally, asyncio.Event())
        await heard.until(lambda messages: len(messages) >= tally.confirmed)

    decoded = [sparkplug_json.decode(m.topic, m.payload, 0) for m in heard.messages]
    assert 30 == len({d.readings[0].shape.device for d in decoded})
    assert {12} == {len(d.readings[0].values) for d in decoded}
    assert tally.confirmed == len(heard.messages) >= 300
    assert 900 < len(heard.messages[0].payload) < 1300


def test_an_edge_node_is_understood():
    """Births, data and death as a host application sees them: nothing refused, no rebirth."""
    host = SparkplugHost()
    (node,) = make_nodes(1, 3, "plant", 1)
    will = node.will(0)
    steps = [host.take(*sent, 0) for sent in node.births(1_750_000_000_000)]
    for second in range(1, 300):
        now_ms = 1_750_000_000_000 + second * 1000
        steps += [host.take(*sent, now_ms * 1000) for sent in node.data(now_ms)]
    steps.append(host.due(2 * 10**15))
    death = host.take(*will, 0)

    assert [] == [step.refused for step in steps if step.refused]
    assert [] == [step.rebirth for step in steps if step.rebirth]
    assert {"plant/edge-1", "plant/edge-1/feeder-1"} <= {s.device for s in death.decoded.statuses}


def test_every_session_has_its_bd_seq():
    """bdSeq rises with each session and wraps after 255; seq starts at 0 with each birth."""
    (node,) = make_nodes(1, 1, "plant", 1)
    for _ in range(257):
        node.will(0)

    assert 0 == node.bd_seq
    node.births(0)
    assert 1 == node.seq


async def test_a_rebirth_is_answered(broker_port, listen):
    """A node that is asked sends NBIRTH and DBIRTH again in the same session."""
    tally, stop = Tally(), asyncio.Event()
    fleet = sparkplug.Plan(count=1, period_seconds=0.05, until_stopped=True)
    (node,) = make_nodes(1, 2, "plant", 1)

    def births(messages):
        return [m.topic.split("/")[2] for m in messages if "BIRTH" in m.topic]

    async with listen("spBv1.0/plant/#") as heard:
        running = asyncio.create_task(sparkplug.run(here(broker_port), fleet, tally, stop))
        await heard.until(lambda messages: any("DDATA" in m.topic for m in messages))
        await heard.session.publish(node.command_topic, rebirth_command(0), qos=1)
        await heard.until(lambda messages: len(births(messages)) >= 6)
        stop.set()
        await heard.until(lambda messages: any("NDEATH" in m.topic for m in messages))
        async with asyncio.timeout(20):
            await running

    assert ["NBIRTH", "DBIRTH", "DBIRTH"] * 2 == births(heard.messages)
    assert (1, 2) == (tally.connections, tally.births)


async def test_death_by_will(broker_port, listen, monkeypatch):
    """A power failure makes the broker publish NDEATH; the node comes back with the next bdSeq."""
    monkeypatch.setattr(sparkplug, "MEAN_LIFE_PERIODS", 2)
    tally, stop = Tally(), asyncio.Event()
    fleet = sparkplug.Plan(count=1, period_seconds=0.01, until_stopped=True)
    host = SparkplugHost()
    async with listen("spBv1.0/plant/#") as heard:
        running = asyncio.create_task(sparkplug.run(here(broker_port), fleet, tally, stop))
        await heard.until(lambda messages: sum("NBIRTH" in m.topic for m in messages) >= 3)
        stop.set()
        async with asyncio.timeout(20):
            await running

    seen = [(m.topic.split("/")[2], host.take(m.topic, m.payload, 0)) for m in heard.messages]
    died = [step for kind, step in seen if kind == "NDEATH"]
    assert len(died) >= 2
    assert all(step.decoded.statuses for step in died)
    assert [] == [step.refused for _kind, step in seen if step.refused]


def test_only_true_asks_for_a_rebirth():
    """Commands of other kinds, and bytes that are no payload, do not make a node start over."""
    assert asks_rebirth(rebirth_command(0))
    assert not asks_rebirth(make_nodes(1, 1, "g", 1)[0].births(0)[0][1])
    assert not asks_rebirth(b"\xff\xff")


def command(*arguments, **options):
    code = "from wattwire.simulate import simulate_app; simulate_app()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_the_command_says_what_it_did(broker_port):
    """`simulate smart-meters --json` ends by itself and prints its figures."""
    process = command(
        *("smart-meters", "--count", "3", "--days", "2", "--speed", "inf", "--no-tls", "--json"),
        *("--host", "127.0.0.1", "--port", str(broker_port)),
    )
    out, err = process.communicate(timeout=60)

    figures = json.loads(out)
    assert (0, 6) == (process.returncode, figures["confirmed"] - figures["resent"]), err


def test_the_command_stops_when_told(broker_port):
    """SIGTERM ends a fleet in order, with its figures and exit code 0."""
    process = command(
        *("sparkplug", "--count", "2", "--period", "0.05", "--no-tls", "--json"),
        *("--host", "127.0.0.1", "--port", str(broker_port)),
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert "sent" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)

    assert 0 == process.returncode, err
    assert 2 == json.loads(out)["births"]


def test_the_command_says_what_is_wrong():
    """Nobody there, or a zone that does not exist: one sentence and a non-zero exit."""
    process = command("smart-meters", "--zone", "Mars/Olympus", "--count", "1")
    _out, err = process.communicate(timeout=60)

    assert 2 == process.returncode
    assert "not an IANA time zone" in err
