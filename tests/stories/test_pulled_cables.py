"""A cable is pulled and put back, link by link, in three ways at once: nothing is missing then."""

import asyncio
import contextlib
import json
import re
import time
from functools import partial
from types import SimpleNamespace

import paho.mqtt.client as paho
import pytest
import pytest_asyncio
from cable import WAYS, Cable
from mqtt_counterparts import Broker, Onlooker
from power_monitor_receivers import (
    PHASES,
    EdgeView,
    Streams,
    at_rest,
    held_by_records,
    influx_running,
    influx_settings,
    integrate,
    kinesis_settings,
    lines_of,
    poll,
    stop_polling,
    stored,
)
from running_hub import RunningHub, until

from wattwire.simulate.ethernet_ip import power_monitors

pytestmark = pytest.mark.asyncio(loop_scope="module")

PERIOD = 500  #: milliseconds; polls are at whole periods of the clock, and readings say so
FAILED = ("unreachable", "silent", "lost", "denied", "unreadable", "missed")
#: So many messages wait before the cable is put back.
BACKLOG = 12


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plant(tmp_path_factory):
    """Four devices, a hub, and three receivers of each kind; cables between them by link and way.

    pm-3 has no cable: it is what goes on.
    """
    folder = tmp_path_factory.mktemp("cables")
    hub = RunningHub(folder, WEBHOOK_ALLOW="127.0.0.0/8", LOG_LEVEL="warning")
    async with contextlib.AsyncExitStack() as stack:
        await hub.start()
        stack.push_async_callback(hub.stop)
        monitors = await stack.enter_async_context(power_monitors(4))
        broker = Broker(folder)
        await broker.start()
        stack.callback(broker.stop)
        onlooker = Onlooker(broker.port)
        stack.callback(onlooker.close)
        streams = Streams()
        stack.callback(streams.stop)
        server, faces = await stack.enter_async_context(influx_running(folder, *WAYS))
        made = SimpleNamespace(
            hub=hub, onlooker=onlooker, server=server, streams=streams, cables={}, numbers={}
        )
        made.api = await stack.enter_async_context(hub.api())
        ports = {
            "device": [monitor.port for monitor in monitors[:3]],
            "broker": [broker.port] * 3,
            "influxdb": [int(face.url.rpartition(":")[2]) for face in faces],
            "kinesis": [streams.port] * 3,
            "door": [hub.info["mqtt_port"]] * 3,
        }
        for link, targets in ports.items():
            started = [await Cable(target).start() for target in targets]
            made.cables[link] = dict(zip(WAYS, started, strict=True))
            for cable in made.cables[link].values():
                stack.push_async_callback(cable.close)
        await configure(made, monitors[3].port)
        yield made


async def configure(made, free):
    for way in WAYS:
        port = {link: cables[way].port for link, cables in made.cables.items()}
        edge = {
            "broker_url": f"mqtt://127.0.0.1:{port['broker']}", "keepalive_seconds": 5,
            "sparkplug": {"group": "pm500", "edge_node": way, "historical_after_seconds": 1},
        }  # fmt: skip
        lines = influx_settings(f"http://127.0.0.1:{port['influxdb']}") | {"timeout_seconds": 1}
        made.streams.create(way)
        records = kinesis_settings(way, port["kinesis"])
        preset, polled = {"preset": "powermonitor_500"}, {"stream_patterns": ["/metrics"]}
        send = partial(integrate, made.api, **polled)
        made.numbers[way] = {
            "broker": await send("mqtt", way, edge, "sparkplug_b"),
            "influxdb": await send("influxdb", way, lines, "line_protocol", preset),
            "kinesis": await send("aws_kinesis", way, records, "sparkplug_json"),
        }
    ports = [cable.port for cable in made.cables["device"].values()]
    timing = {"period_ms": PERIOD, "timeout_ms": PERIOD, "align_to_clock": True}
    await poll(made.api, [*ports, free], **timing)
    await until(lambda: all_deliver(made), 60, "everything flows")


def now():
    return time.time_ns() // 1_000_000


async def figures(made, link):
    found = [made.numbers[way][link] for way in WAYS]
    return [await made.api.get(f"/api/v1/integrations/{number}/stats") for number in found]


async def all_deliver(made):
    stats = [await figures(made, link) for link in ("broker", "influxdb", "kinesis")]
    return all(one["delivered"] >= 4 for three in stats for one in three)


def pull(made, link):
    for way, cable in made.cables[link].items():
        cable.pull(way)
    return now()


async def plug(made, link):
    for cable in made.cables[link].values():
        await cable.plug()
    return now()


async def counted(made):
    """What the source counts, over all devices."""
    async with made.api.session.get("/metrics") as answer:
        text = await answer.text()
    found = re.findall(r"^wattwire_ethernet_ip_(\w+)_total\{.*\} (\S+)$", text, re.MULTILINE)
    return {word: float(number) for word, number in found}


async def statuses(made):
    devices = (await made.api.get("/api/v1/devices"))["items"]
    return {d["key"]: d["status"] for d in devices if d["key"].startswith("pm-")}


async def are(made, *wanted):
    return list((await statuses(made)).values()) == list(wanted)


async def test_the_cable_to_a_device(plant):
    """The gap is the outage; the device is told gone and back; what was not read is counted."""
    pulled = pull(plant, "device")
    lost = ("offline", "silent", "offline", "online")
    await until(lambda: are(plant, *lost), 30, "three devices are gone, one is not")
    await until(lambda: went_on(plant, "pm-3", pulled), 30, "the other is polled")
    plugged = await plug(plant, "device")
    await until(lambda: are(plant, *["online"] * 4), 30, "all are back")
    back = now()
    await until(lambda: went_on(plant, "pm-0", back, "pm-1", "pm-2", "pm-3"), 30, "all go on")
    readings = await stored(plant.hub)

    missing = {key: gaps(readings, key) for key in ("pm-0", "pm-1", "pm-2")}
    during = set(range(-(-(pulled + PERIOD) // PERIOD) * PERIOD, plugged, PERIOD))
    assert during
    assert all(during <= found for found in missing.values())
    assert during - gaps(readings, "pm-3"), "the other went on"
    total = sum(len(gaps(readings, f"pm-{n}")) for n in range(4))
    await until(lambda: misses(plant, total), 30, f"{total} polls are counted as missed or failed")


async def went_on(made, *told):
    """Whether devices have readings of after an instant: key, instant, further keys."""
    key, moment, *others = told
    readings = await stored(made.hub)
    newest = {name: max(at for k, at in readings if k == name) for name in (key, *others)}
    return all(at > moment + 2 * PERIOD for at in newest.values())


def gaps(readings, key):
    """The instants at which a device should have been read, and was not."""
    at = {at for name, at in readings if name == key}
    return set(range(min(at), max(at), PERIOD)) - at


async def misses(made, least):
    counts = await counted(made)
    return sum(counts[word] for word in FAILED) >= least


async def held_up(made, link):
    """Whether enough waits behind every cable, and the one that is silent was noticed."""
    stats = await figures(made, link)
    return all(one["waiting"] + one["in_flight"] >= BACKLOG for one in stats)


async def interrupt(made, link, noticed):
    """Pull and plug; return the readings that must have arrived by then, once they have."""
    silent = made.cables[link]["silence"]
    before = silent.connections
    pull(made, link)
    await until(lambda: held_up(made, link), 30, "messages wait behind each cable")
    if noticed:
        await until(lambda: again(silent, before), 30, "the silence was noticed")
    await plug(made, link)
    return await stored(made.hub)


async def again(cable, before):
    return cable.connections > before


async def test_the_cable_to_the_broker(plant):
    """Every edge node: a new session, every reading of the store, no seq and no alias missing."""
    due = await interrupt(plant, "broker", noticed=True)

    async def arrived():
        seen = plant.onlooker.messages()
        return all(due.keys() <= EdgeView(seen, way).samples.keys() for way in WAYS)

    await until(lambda: delivered(plant, "broker", len(due)), 60, "it is delivered")
    await until(arrived, 60, "an independent host has it")
    await until(lambda: at_last(plant, "broker"), 30, "what was held is through, too")
    for way in WAYS:
        view = EdgeView(plant.onlooker.messages(), way)
        bd_seq = [payload["metrics"][0]["value"] for payload, _ in view.node_births]
        assert due == {key: view.samples[key] for key in due}
        assert ([], []) == (view.gaps, view.unknown), way
        assert 2 == len(set(bd_seq)) == len(bd_seq), way


async def at_last(made, link):
    return all(cable.at_rest for cable in made.cables[link].values())


async def delivered(made, link, least):
    return all(one["delivered"] >= least for one in await figures(made, link))


async def test_the_cable_to_influxdb(plant):
    """Every reading has its four lines, though some were written twice."""
    due = await interrupt(plant, "influxdb", noticed=True)
    expected = {
        (f"Press {key[-1]}", at, phase): values[fields["kW"]]
        for (key, at), values in due.items()
        for phase, fields in PHASES.items()
    }

    async def arrived():
        found = {way: lines_of(plant.server, way) for way in WAYS}
        return all(expected.keys() <= found[way].keys() for way in WAYS) and found

    for lines in (await until(arrived, 60, "every line is there")).values():
        assert expected == {key: lines[key][1]["kW"] for key in expected}


async def test_the_cable_to_kinesis(plant):
    """Every reading is a record."""
    due = await interrupt(plant, "kinesis", noticed=False)

    async def arrived():
        found = {way: held_by_records(await plant.streams.fetch(way))[0] for way in WAYS}
        return all(due.keys() <= found[way].keys() for way in WAYS) and found

    for records in (await until(arrived, 60, "every record is there")).values():
        assert due == {key: records[key] for key in due}


class Meter:
    """A device at the hub's own door, behind a cable."""

    def __init__(self, way, port, login):
        self.way = way
        self.told = 0
        self.acknowledged = set()
        self.losses = 0
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=f"meter-{way}", clean_session=False
        )
        self.client.username_pw_set(login["username"], login["password"])
        self.client.reconnect_delay_set(1, 1)
        self.client.on_disconnect = self._lost
        self.client.on_publish = lambda _c, _u, mid, *_: self.acknowledged.add(mid)
        self.client.connect_async("127.0.0.1", port, keepalive=2)
        self.client.loop_start()

    def _lost(self, *_):
        self.losses += 1

    def say(self, count):
        for _ in range(count):
            number, self.told = self.told, self.told + 1
            item = {
                "device": f"meter-{self.way}", "stream": "/power/1",
                "time": f"2025-06-01T12:{number:02}:00Z", "values": {"active_power_w": number},
            }  # fmt: skip
            self.client.publish(f"meters/{self.way}", json.dumps(item), qos=1)

    def stop(self):
        self.client.disconnect()
        self.client.loop_stop()


async def test_the_cable_to_the_door(plant):
    """What a meter was told is stored, is stored; each message once."""
    login = await plant.hub.command(
        "mqtt-credential", "create", "--username", "meters", "--topic", "meters/+",
        "--format", "json",
    )  # fmt: skip
    cables = plant.cables["door"]
    meters = [Meter(way, cables[way].port, login) for way in WAYS]
    try:
        await say_and_pull(plant, meters)
        told = sum(meter.told for meter in meters)

        async def all_stored():  # what is acknowledged is in the log, and soon in the store
            found = await stored(plant.hub, "/power/1")
            return found if len(found) >= told else None

        readings = await until(all_stored, 30, "what is in the log is in the store")
    finally:
        for meter in meters:
            await asyncio.to_thread(meter.stop)
    for meter in meters:
        found = [v["active_power_w"] for (k, _), v in readings.items() if k == f"meter-{meter.way}"]
        assert list(range(20)) == sorted(found)


async def say_and_pull(made, meters):
    async def acknowledged():
        return all(len(meter.acknowledged) == meter.told for meter in meters)

    async def lost():
        return all(meter.losses for meter in meters)

    for meter in meters:
        meter.say(10)
    await until(acknowledged, 30, "the first ten are stored")
    pull(made, "door")
    for meter in meters:
        meter.say(10)
    await until(lost, 30, "each has noticed")
    await plug(made, "door")
    await until(acknowledged, 30, "the others are stored")


async def test_the_ledger_closes(plant):
    """At rest: all that was matched is delivered, nothing is dead; all that was read is stored."""
    await stop_polling(plant.api)
    numbers = [number for three in plant.numbers.values() for number in three.values()]
    stats = await until(
        lambda: at_rest(plant.hub, plant.api, numbers), 60, "everything is delivered"
    )
    readings = await stored(plant.hub)

    assert {len(readings)} == {one["matched"] for one in stats}
    assert {0} == {one[word] for one in stats for word in ("dead", "discarded", "waiting")}
