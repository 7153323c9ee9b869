"""kill -9 at random moments: what was acknowledged is stored once, what matched arrives."""

import asyncio
import os
import random
from collections import Counter, deque

import paho.mqtt.client as paho
import pytest
from running_hub import until

ROUNDS = int(os.environ.get("WATTWIRE_CHAOS_ROUNDS", "10"))
SEED = int(os.environ.get("WATTWIRE_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1 << 31)
#: What `kill -9` hits, in turn.
TARGETS = ("hub", "nats", "postgres", "all")
START = 1_760_000_000
#: Calls that the webhook may have under way: what one death of the hub can repeat at most.
MAX_CONCURRENT = 10


class Meter:
    """A device with one paho client, which publishes without pause and remembers what was acked."""

    def __init__(self, name, qos, username, password, topic):
        self.name, self.qos, self.topic = name, qos, topic
        self.sent = 0
        self._acked = set()
        self._by_mid = {}
        self._heard = deque()  # filled by paho's thread; paho holds locks while it calls back
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=name, clean_session=False
        )
        self.client.username_pw_set(username, password)
        self.client.max_inflight_messages_set(20)
        self.client.reconnect_delay_set(0.1, 0.5)
        self.client.on_publish = self._on_publish

    def start(self, port):
        self.client.connect_async("127.0.0.1", port, keepalive=10)
        self.client.loop_start()

    def publish(self):
        number = self.sent
        self.sent += 1
        body = (
            f'{{"device":"{self.name}","stream":"/p","time":{(START + number) * 1000},'
            f'"values":{{"active_power_w":{number}}}}}'
        )
        info = self.client.publish(self.topic, body, qos=self.qos)
        self._by_mid[info.mid] = number

    def _on_publish(self, _client, _data, mid, _reason, _properties):
        self._heard.append(mid)

    @property
    def acked(self):
        """The numbers of the messages that were acknowledged."""
        while self._heard:
            self._acked.add(self._by_mid.pop(self._heard.popleft()))
        return self._acked

    def waiting(self):
        return self.sent - len(self.acked)

    def stop(self):
        self.client.disconnect()
        self.client.loop_stop()


async def load(meters, stop):
    """Publish a few hundred messages a second, bounded by what is not yet acknowledged."""
    while not stop.is_set():
        for meter in meters:
            for _ in range(5):
                if meter.waiting() < 300:
                    meter.publish()
        await asyncio.sleep(0.02)


async def prepare(hub, receiver):
    login = await hub.command(
        "mqtt-credential",
        "create",
        "--username",
        "meters",
        "--topic",
        "chaos/+",
        "--format",
        "json",
    )
    async with hub.api() as api:
        made = await api.post(
            "/api/v1/integrations",
            {
                "type": "webhook",
                "name": "receiver",
                "topics": ["device.telemetry"],
                "settings": {"url": receiver.url},
                "limits": {"rate_per_minute": None, "max_concurrent": MAX_CONCURRENT},
            },
        )
    meters = [
        Meter(f"meter-{n}", 1 + n % 2, login["username"], login["password"], f"chaos/{n}")
        for n in range(4)
    ]
    return meters, made["id"]


async def strike(hub, target, dice):
    await asyncio.sleep(dice.uniform(0.2, 1.5))
    hub.kill(target)
    if target in {"hub", "all"}:
        await hub.process.wait()
        await hub.start()


async def check_round(hub, receiver, meters, integration):
    """Everything acknowledged is stored, once; everything matched was received; it adds up."""

    async def all_acked():
        return all(meter.waiting() == 0 for meter in meters)

    await until(all_acked, 90, "every publish is acknowledged")
    total = sum(meter.sent for meter in meters)

    async def settled():
        async with hub.api() as api:
            stats = await api.get(f"/api/v1/integrations/{integration}/stats", busy=None)
        if stats is None:
            return None
        return stats if stats["matched"] == stats["delivered"] >= total else None

    stats = await until(settled, 120, f"{total} messages are matched and delivered")
    database = await hub.database()
    try:
        rows = await database.fetch(
            "SELECT d.key, extract(epoch FROM r.time)::bigint AS at, r.values[1] AS value "
            "FROM reading r JOIN stream s ON s.id = r.stream_id JOIN device d ON d.id = s.device_id"
        )
    finally:
        await database.close()
    stored = Counter((row["key"], row["at"] - START, row["value"]) for row in rows)
    expected = {(m.name, n, float(n)) for m in meters for n in m.acked}
    assert expected == set(stored)
    assert {1} == set(stored.values())
    assert total == stats["matched"]
    assert stats["matched"] == sum(
        stats[k] for k in ("delivered", "waiting", "in_flight", "dead", "discarded")
    )
    assert total == len(set(receiver.ids))
    return len(receiver.ids) - total


@pytest.mark.timeout(60 + 90 * ROUNDS)
async def test_nothing_acknowledged_is_lost(hub, receiver):
    """Rounds of kill -9 of the hub, its log, its database, and all of them, under load."""
    dice = random.Random(SEED)
    print(f"WATTWIRE_CHAOS_SEED={SEED}")
    meters, integration = await prepare(hub, receiver)
    for meter in meters:
        meter.start(hub.info["mqtt_port"])
    deaths = 0
    try:
        for number in range(ROUNDS):
            target = TARGETS[number % len(TARGETS)]
            stop = asyncio.Event()
            loading = asyncio.create_task(load(meters, stop))
            await strike(hub, target, dice)
            deaths += 1
            await asyncio.sleep(0.5)
            stop.set()
            await loading
            repeats = await check_round(hub, receiver, meters, integration)
            assert repeats <= deaths * MAX_CONCURRENT
            print(f"round {number + 1}: {target}, {len(receiver.bodies)} received, {repeats} twice")
    finally:
        for meter in meters:
            meter.stop()
