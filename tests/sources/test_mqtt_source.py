"""The source that reads other brokers, against a real mosquitto."""

import asyncio
import itertools
from contextlib import asynccontextmanager
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from wattwire.model import RefusedError
from wattwire.simulate.edge_node import asks_rebirth, make_nodes
from wattwire.sources import TYPES, mqtt
from wattwire.sources._mqtt_client import open_session
from wattwire.sources._mqtt_peer import Peer
from wattwire.sources.contract import ConnectionLostError, SourceContext

VERSIONS = ["3.1.1", "5"]
ORGANIZATION = UUID(int=7)
LIMIT_SECONDS = 20
EMPTY_DAY = (
    b'{"deviceId": "d", "dataFrequencyMins": 60, "date": "2022-03-27", "electricReadings": []}'
)
READING = b'{"device": "m-%d", "stream": "/p", "time": "2025-06-01T12:00:00Z", "values": {"w": %d}}'


class Taken:
    """An intake that remembers, and fails when told to."""

    def __init__(self, *, failing=False, refuse=()):
        self.readings = []
        self.statuses = []
        self.quarantined = []
        self.calls = 0
        self._failing = failing
        self._refuse = refuse
        self._changed = asyncio.Condition()

    async def accept(self, organization_id, readings, *, statuses=()):
        self.calls += 1
        assert organization_id == ORGANIZATION
        if any(r.shape.device in self._refuse for r in readings):
            raise RefusedError("this device is not known", "device")
        async with self._changed:
            self.readings += readings
            self.statuses += statuses
            self._changed.notify_all()
        if self._failing:
            raise OSError("the log takes nothing")

    async def quarantine(self, organization_id, raw, **facts):
        async with self._changed:
            self.quarantined.append((raw, facts))
            self._changed.notify_all()

    async def until(self, condition):
        async with asyncio.timeout(LIMIT_SECONDS), self._changed:
            await self._changed.wait_for(lambda: condition(self))

    @property
    def devices(self):
        return sorted(r.shape.device for r in self.readings)


def settings(broker, *topics, **changes):
    return mqtt.Settings(
        host="127.0.0.1",
        port=broker.port,
        tls=False,
        client_id="hub",
        topics=tuple(
            {"filter": name, "format": form} for name, form in topics or [("meters/#", "json")]
        ),
        **changes,
    )


def context(worker=0, zone_of=lambda _key: ZoneInfo("UTC"), load=None):
    async def nothing(_devices):
        pass

    return SourceContext(ORGANIZATION, "their broker", zone_of, load or nothing, worker)


@asynccontextmanager
async def running(configured, intake, where=None):
    """The source in the background, until the end of the context; its error is raised."""
    task = asyncio.create_task(mqtt.run(configured, intake, where or context()))
    try:
        yield task
    finally:
        if not task.done():
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def peer(broker, client_id, **changes):
    return Peer(host="127.0.0.1", port=broker.port, client_id=client_id, lasting=False, **changes)


async def publish(broker, *payloads, topic="meters/1", qos=1):
    async with open_session(peer(broker, "publisher")) as session:
        for payload in payloads:
            await session.publish(topic, payload, qos=qos)


async def remember(broker, *filters, client_id="hub", version="3.1.1"):
    """Let the source's lasting session exist before it runs, so that nothing is missed."""
    where = Peer(host="127.0.0.1", port=broker.port, client_id=client_id, version=version)
    async with open_session(where) as session:
        await session.subscribe(filters or ["meters/#"], 1)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("qos", [1, 2])
async def test_acknowledged_only_when_durable(mosquitto, version, qos):
    """accept() fails: the source ends and a new one gets the message again. It succeeds: never."""
    configured = settings(mosquitto, version=version)
    await remember(mosquitto, version=version)
    await publish(mosquitto, READING % (1, 5), qos=qos)
    with pytest.raises(OSError, match="the log takes nothing"):
        await asyncio.wait_for(mqtt.run(configured, Taken(failing=True), context()), LIMIT_SECONDS)

    second = Taken()
    async with running(configured, second):
        await second.until(lambda taken: taken.readings)
        await publish(mosquitto, READING % (2, 5))
        await second.until(lambda taken: len(taken.readings) == 2)
    third = Taken()
    async with running(configured, third):
        await publish(mosquitto, READING % (3, 5))
        await third.until(lambda taken: "m-3" in taken.devices)

    assert ["m-1", "m-2"] == second.devices
    assert "m-1" not in third.devices


async def test_the_unreadable_is_quarantined_and_acknowledged(mosquitto):
    """A message that is not understood is kept with its reason and does not come again."""
    configured = settings(mosquitto)
    await remember(mosquitto)
    await publish(mosquitto, b"{broken")
    intake = Taken()
    async with running(configured, intake):
        await intake.until(lambda taken: taken.quarantined)
        await publish(mosquitto, READING % (1, 5))
        await intake.until(lambda taken: taken.readings)
    again = Taken()
    async with running(configured, again):
        await publish(mosquitto, READING % (2, 5))
        await again.until(lambda taken: "m-2" in taken.devices)

    ((raw, facts),) = intake.quarantined
    assert b"{broken" == raw
    assert ("their broker", "json", "meters/1") == (
        facts["source"], facts["format"], facts["topic"],
    )  # fmt: skip
    assert "JSON" in facts["reason"]
    assert [] == again.quarantined


async def test_one_refused_reading_does_not_hold_up_the_others(mosquitto):
    """When intake refuses one of many, it alone goes to quarantine, with intake's reason."""
    await remember(mosquitto)
    await publish(mosquitto, *(READING % (n, n) for n in range(9)))
    intake = Taken(refuse={"m-4"})
    async with running(settings(mosquitto), intake):
        await intake.until(lambda taken: len(taken.readings) >= 8 and taken.quarantined)

    assert {f"m-{n}" for n in range(9) if n != 4} == set(intake.devices)
    assert {READING % (4, 4)} == {raw for raw, _facts in intake.quarantined}
    assert "this device is not known" == intake.quarantined[0][1]["reason"]


async def test_the_broker_dies(mosquitto):
    """run() raises when the broker goes away, so that the supervisor starts it again."""
    await remember(mosquitto)
    await publish(mosquitto, READING % (1, 5))
    intake = Taken()
    async with running(settings(mosquitto), intake) as task:
        await intake.until(lambda taken: taken.readings)
        mosquitto.kill()
        with pytest.raises(ConnectionLostError):
            await asyncio.wait_for(task, LIMIT_SECONDS)


async def test_the_first_filter_that_matches_decides(mosquitto):
    """Each filter has its format."""
    intake = Taken()
    topics = [("meters/days", "smart_meter"), ("meters/#", "json")]
    await remember(mosquitto, "meters/#")
    await publish(mosquitto, EMPTY_DAY, topic="meters/days")
    await publish(mosquitto, READING % (1, 5), topic="meters/other")
    async with running(settings(mosquitto, *topics), intake):
        await intake.until(lambda taken: taken.readings and taken.quarantined)

    assert "smart_meter" == intake.quarantined[0][1]["format"]
    assert "24 intervals" in intake.quarantined[0][1]["reason"]


async def test_devices_are_loaded_when_their_zone_is_asked_for(mosquitto):
    """A zone that is not in memory is fetched and the message decoded again."""
    zones = {}

    async def load(devices):
        zones.update(dict.fromkeys(devices, ZoneInfo("Europe/Berlin")))

    intake = Taken()
    where = context(zone_of=zones.__getitem__, load=load)
    await remember(mosquitto, "m")
    await publish(mosquitto, EMPTY_DAY, topic="m")
    async with running(settings(mosquitto, ("m", "smart_meter")), intake, where):
        await intake.until(lambda taken: taken.quarantined)

    assert {"d"} == zones.keys()
    assert "23 intervals" in intake.quarantined[0][1]["reason"]


async def test_workers_share_the_messages(mosquitto):
    """Two workers of one source get every message, each one of them."""
    configured = settings(mosquitto, workers=2)
    for worker in range(2):
        await remember(mosquitto, "$share/wattwire/meters/#", client_id=f"hub-{worker}")
    one, other = Taken(), Taken()
    async with running(configured, one, context(0)), running(configured, other, context(1)):
        await publish(mosquitto, *(READING % (n, n) for n in range(20)))
        await one.until(lambda taken: len(taken.readings) == 10)
        await other.until(lambda taken: len(taken.readings) == 10)

    assert sorted(f"m-{n}" for n in range(20)) == sorted(one.devices + other.devices)


async def next_message(session):
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            for message in await session.receive(1):
                session.acknowledge([message])
                return message


async def test_a_rebirth_is_requested_and_answered(mosquitto):
    """Data of an unknown edge node makes the source publish NCMD; the births then come in."""
    (node,) = make_nodes(1, 1, "plant", 1)
    node.will(0)
    node.births(1_750_000_000_000)
    intake = Taken()
    configured = settings(mosquitto, ("spBv1.0/#", "sparkplug_b"))
    async with (
        open_session(peer(mosquitto, "edge")) as edge,
        running(configured, intake),
    ):
        await edge.subscribe([node.command_topic], 1)
        async with asyncio.timeout(LIMIT_SECONDS):
            for now_ms in itertools.count(1_750_000_001_000, 1000):
                if intake.quarantined:
                    break
                await edge.publish(*node.data(now_ms)[0])  # QoS 0: lost until the source listens
        command = await next_message(edge)
        for topic, payload in node.births(1_750_000_002_000) + node.data(1_750_000_003_000):
            await edge.publish(topic, payload)
        await intake.until(
            lambda taken: any(r.time == 1_750_000_003_000_000 for r in taken.readings)
        )

    assert asks_rebirth(command.payload)
    assert {("plant/edge-1", "online"), ("plant/edge-1/feeder-1", "online")} <= {
        (s.device, s.status) for s in intake.statuses
    }


@pytest.mark.parametrize("version", VERSIONS)
async def test_host_application_state(mosquitto, version):
    """STATE is retained and true while the source runs, false when it stops or is cut off."""
    configured = settings(mosquitto, ("spBv1.0/#", "sparkplug_b"), host_id="hub-1", version=version)
    async with open_session(peer(mosquitto, "watcher")) as watcher:
        await watcher.subscribe(["spBv1.0/STATE/#"], 1)
        async with running(configured, Taken()):
            born = await next_message(watcher)
        gone = await next_message(watcher)
    async with open_session(peer(mosquitto, "late")) as late:
        await late.subscribe(["spBv1.0/STATE/#"], 1)
        kept = await next_message(late)

    assert b'{"online":true,' == born.payload[:15]
    assert b'{"online":false,' == gone.payload[:16]
    assert ("spBv1.0/STATE/hub-1", True, gone.payload) == (kept.topic, kept.retain, kept.payload)


async def test_the_will_takes_the_state_back(mosquitto):
    """A host application that is cut off is said to be gone by its will, with its birth's time."""
    configured = settings(mosquitto, ("spBv1.0/#", "sparkplug_b"), host_id="hub-1")
    async with open_session(mqtt._peer(configured, 0, 1234)) as session:
        session.drop()
    async with open_session(peer(mosquitto, "late")) as late:
        await late.subscribe(["spBv1.0/STATE/#"], 1)
        kept = await next_message(late)

    assert b'{"online":false,"timestamp":1234}' == kept.payload


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"workers": 2, "topics": [{"filter": "a", "format": "sparkplug_b"}]}, "in order"),
        ({"host_id": "h", "topics": [{"filter": "a", "format": "json"}]}, "host application"),
        ({"client_cert_pem": "x"}, "belong together"),
        ({"ca_pem": "not a certificate"}, "cannot be used"),
        ({"topics": []}, "at least 1"),
        ({"unheard": 1}, "Extra inputs"),
    ],
)
def test_settings_that_do_not_fit(changes, reason):
    """What can be seen to be wrong without the network is refused when it is entered."""
    given = {"host": "h", "client_id": "c", "topics": [{"filter": "a", "format": "json"}]}

    with pytest.raises(ValidationError, match=reason):
        mqtt.Settings.model_validate(given | changes)


def test_every_field_is_explained():
    """Every setting carries a description: the form's help text. Secrets stay out of print."""
    for kind in TYPES.values():
        fields = kind.settings.model_fields
        assert [] == [name for name in fields if name != "type" and not fields[name].description]
    shown = mqtt.Settings.model_validate(
        {"host": "h", "client_id": "c", "password": "s3cr3t", "topics": [{"filter": "a"}]}
    )
    assert (
        "s3cr3t" not in f"{shown!r} {shown} {shown.model_dump_json()} {mqtt._peer(shown, 0, 0)!r}"
    )
