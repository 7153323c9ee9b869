"""From the terminals of power monitors to Sparkplug, InfluxDB and Kinesis, value by value."""

import asyncio
import contextlib
import json
from types import SimpleNamespace

import pytest
import pytest_asyncio
from mqtt_counterparts import Broker, Onlooker
from power_monitor_receivers import (
    PHASES,
    EdgeView,
    Streams,
    at_rest,
    held_by_json,
    held_by_records,
    influx_running,
    influx_settings,
    integrate,
    kinesis_settings,
    lines_of,
    shown_as,
    stop_polling,
    stored,
)
from running_hub import RunningHub, until

from wattwire.formats.assembly_maps import MAPS
from wattwire.formats.sparkplug_state import rebirth_command
from wattwire.simulate.ethernet_ip import power_monitors

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASSETS = {f"pm-{n}": f"Press {n}" for n in range(3)}
UUIDS = {f"pm-{n}": f"3f0f6d5e-53f0-4d7a-9d0e-0a3f3a3f6f1{n}" for n in range(3)}
#: The three metrics of the seed's example, in its order.
SEED_MAP = [
    {"instance": 101, "offset": 0, "type": "REAL", "name": "voltageAN", "unit": "V"},
    {"instance": 101, "offset": 32, "type": "REAL", "name": "currentA", "unit": "A"},
    {"instance": 102, "offset": 12, "type": "REAL", "name": "realPower", "unit": "kW",
     "scale": 0.001},
]  # fmt: skip
SEED_VALUES = {"voltageAN": 480.25, "currentA": 12.125, "realPower": 4.2}
#: So many messages of one edge node, for `seq` to begin again.
ENOUGH = 300


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(tmp_path_factory):
    """Everything that happened: polled, changed, asked for a rebirth, stopped, delivered."""
    folder = tmp_path_factory.mktemp("plant")
    hub = RunningHub(folder, WEBHOOK_ALLOW="127.0.0.0/8", LOG_LEVEL="warning")
    async with contextlib.AsyncExitStack() as stack:
        await hub.start()
        stack.push_async_callback(hub.stop)
        monitors = await stack.enter_async_context(power_monitors(3, frozen=True))
        broker = Broker(folder)
        await broker.start()
        stack.callback(broker.stop)
        onlooker = Onlooker(broker.port)
        stack.callback(onlooker.close)
        streams = Streams()
        stack.callback(streams.stop)
        server, (face,) = await stack.enter_async_context(influx_running(folder, "plant"))
        api = await stack.enter_async_context(hub.api())
        told = SimpleNamespace(hub=hub, monitors=monitors, onlooker=onlooker, api=api)
        await configure(told, broker.port, face.url, streams)
        await happen(told)
        told.messages = onlooker.messages()
        told.view = EdgeView(told.messages, "hub")
        told.stored = await stored(hub)
        told.lines = lines_of(server, "plant")
        told.records = await streams.fetch("readings")
        yield told


async def configure(told, broker_port, influx_url, streams):
    api, url = told.api, f"mqtt://127.0.0.1:{broker_port}"
    streams.create("readings")
    for key, uuid in UUIDS.items():
        await api.post("/api/v1/devices", {"key": key, "metadata": {"uuid": uuid}})
    edge = {"broker_url": url, "sparkplug": {"group": "pm500", "edge_node": "hub"}}
    topic = "spBv1.0/pm500/DDATA/json-edge/{device_key}"
    alias = {"aliases": {"voltageAN": "PM500/voltage/AN"}}
    told.numbers = [
        await integrate(api, "mqtt", "Sparkplug", edge, "sparkplug_b", {"units": True},
                        topics=["device.telemetry", "device.status"]),
        await integrate(api, "mqtt", "JSON", {"broker_url": url, "topic": topic},
                        "sparkplug_json", alias),
        await integrate(api, "influxdb", "Influx", influx_settings(influx_url), "line_protocol",
                        {"preset": "powermonitor_500"}),
        await integrate(api, "aws_kinesis", "Kinesis", kinesis_settings("readings", streams.port),
                        "sparkplug_json", alias),
    ]  # fmt: skip
    told.monitors[2].device.hold(SEED_VALUES)
    tags = {"site": "North", "phase": "ABC", "breaker": "Q3"}
    listed = [
        {"host": "127.0.0.1", "port": monitor.port, "key": f"pm-{n}", "asset": f"Press {n}", **tags}
        for n, monitor in enumerate(told.monitors)
    ]
    listed[2]["map"] = "seed"
    settings = {"devices": listed, "period_ms": 100, "maps": {"seed": SEED_MAP}}
    source = {"name": "Hall 1", "type": "ethernet_ip", "settings": settings}
    await api.post("/api/v1/sources", source)


async def happen(told):
    """Half of it, other values, a rebirth, the rest; then switch the source off."""
    told.held = [[dict(m.device.values()) for m in told.monitors]]
    await until(lambda: heard(told, ENOUGH), 60, "half of the messages")
    for monitor in told.monitors[:2]:
        changed = {name: value * 1.5 + 1 for name, value in monitor.device.values().items()}
        monitor.device.hold(changed)
    told.held.append([dict(m.device.values()) for m in told.monitors])
    rebirth = rebirth_command(0)
    await asyncio.to_thread(told.onlooker.publish, "spBv1.0/pm500/NCMD/hub", rebirth)
    await until(lambda: heard(told, 2, "NBIRTH"), 30, "the rebirth")
    births = await heard(told, 0, "DDATA")
    await until(lambda: heard(told, births + 60), 60, "data after it")
    await stop_polling(told.api)
    numbers = told.numbers
    await until(lambda: at_rest(told.hub, told.api, numbers), 60, "everything is delivered")


async def heard(told, least, kind="DDATA"):
    found = sum(f"/{kind}/hub" in m.topic for m in told.onlooker.seen)
    return found if found >= least else None


def full(told):
    """What the two devices with the whole map said."""
    return {key: values for key, values in told.stored.items() if key[0] != "pm-2"}


async def test_what_is_stored_is_what_the_devices_held(story):
    """Every reading of both holdings, assembly by assembly: a poll reads them one by one."""
    instances = MAPS["ab-pm500-manual"].elements
    for n, key in enumerate(("pm-0", "pm-1")):
        shown = [shown_as(held[n]) for held in story.held]
        readings = [values for (device, _), values in story.stored.items() if device == key]
        for instance in (101, 102, 107):
            names = {e.name for e in instances if e.instance == instance}
            found = [{name: values[name] for name in names} for values in readings]
            expected = [{name: values[name] for name in names} for values in shown]
            assert all(values in expected for values in found)
            assert all(values in found for values in expected)
    assert {json.dumps(SEED_VALUES)} == {
        json.dumps(values) for (device, _), values in story.stored.items() if device == "pm-2"
    }


async def test_an_independent_decoder_reads_every_value(story):
    """Tahu's decoder with the births' aliases: the very readings of the store, no seq missing."""
    view = story.view

    assert story.stored == view.samples
    assert ([], []) == (view.gaps, view.unknown)
    assert not any(historical for *_, historical in view.data)
    assert len(view.data) == len(story.stored) > 256


async def test_births_say_everything(story):
    """Node: bdSeq, the rebirth switch. Devices: name, alias, type, value and unit of each."""
    payload, message = story.view.node_births[0]
    birth = {m["name"]: m for m in story.view.births["pm-0"][0]["metrics"]}
    aliases = [
        m["alias"] for b in story.view.births.values() for m in b[0]["metrics"]
    ]  # over the whole edge node
    units = MAPS["ab-pm500-manual"].units
    given = {
        n: m.get("properties", {}).get("engUnit", {}).get("value", "") for n, m in birth.items()
    }

    assert {"bdSeq": "Int64", "Node Control/Rebirth": "Boolean"} == {
        m["name"]: m["type"] for m in payload["metrics"]
    }
    assert (0, False) == (message.qos, message.retain)
    assert dict(units) == given
    assert {"Double"} == {m["type"] for m in birth.values()}
    assert len(aliases) == len(set(aliases)) == 2 * len(units) + 3
    assert all(m["timestamp"] and m["value"] is not None for m in birth.values())


async def test_a_rebirth_was_answered(story):
    """All births again with the same bdSeq and the same aliases; seq begins again at 0."""
    bd_seq = [p["metrics"][0]["value"] for p, _ in story.view.node_births]
    first, second = story.view.births["pm-1"]

    assert 2 == len(bd_seq)
    assert 1 == len(set(bd_seq))
    assert [m["alias"] for m in first["metrics"]] == [m["alias"] for m in second["metrics"]]
    assert {2} == {len(births) for births in story.view.births.values()}


async def test_json_has_the_shape_of_the_flow(story):
    """Body for body: keys in their order, alias and unit, seq, the asset's uuid."""
    held, bodies = held_by_json(story.messages)
    (device, at), body = next(item for item in bodies.items() if item[0][0] == "pm-2")
    expected = {
        "metrics": [
            {"name": "voltageAN", "alias": "PM500/voltage/AN", "value": 480.25,
             "properties": {"unit": "V"}},
            {"name": "currentA", "value": 12.125, "properties": {"unit": "A"}},
            {"name": "realPower", "value": 4.2, "properties": {"unit": "kW"}},
        ],
        "timestamp": at,
        "seq": at // 1000 % 2**31,
        "uuid": UUIDS[device],
    }  # fmt: skip

    assert json.dumps(expected, separators=(",", ":")).encode() == body
    assert story.stored == held
    assert {UUIDS[d] for d, _ in bodies} == {json.loads(b)["uuid"] for b in bodies.values()}


async def test_influxdb_has_a_line_for_each_phase(story):
    """A, B, C and the total of every reading, with its tags and fields and nothing else."""
    expected = {}
    for (device, at), values in full(story).items():
        for phase, fields in PHASES.items():
            tags = {"site": "North", "asset": ASSETS[device], "phase": phase, "breaker": "Q3"}
            said = {name: values[channel] for name, channel in fields.items()}
            expected[ASSETS[device], at, phase] = (tags, said)
    lines = {key: line for key, line in story.lines.items() if key[0] != "Press 2"}

    assert expected == lines
    assert {"voltage", "current"} == {
        field for key, (_, f) in story.lines.items() if key[0] == "Press 2" and key[2] == "A"
        for field in f
    }  # fmt: skip


async def test_kinesis_has_the_same_bodies(story):
    """A record for each reading, its partition key the device, its body the message's."""
    held, bodies = held_by_records(story.records)

    assert story.stored == held
    assert held_by_json(story.messages)[1] == bodies
    assert len(story.records) == len(bodies)
