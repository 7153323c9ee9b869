"""Readings in: what is acknowledged, what is stored, and at what cost."""

import asyncio
import time

import nats

from benchmarks.hub import hub
from benchmarks.loading import load
from benchmarks.report import Figure, Row
from benchmarks.usage import metered
from benchmarks.yardsticks import jetstream, mosquitto, node_red, postgres_copy
from wattwire.engines.datadir import read_hub_info

TOPIC = "spBv1.0/pm500/#"
STORED = "SELECT count(*) FROM reading"
STALE = "SELECT (NOT EXISTS (SELECT FROM stale) AND NOT EXISTS (SELECT FROM stale_note))::int"
ROLLED_UP = "SELECT coalesce(sum(readings), 0) FROM rollup WHERE bucket = 'h'"
SETTLE_SECONDS = 120


async def _acknowledged(options, name, what, floor, aim, qos):
    seconds = 5 if options.quick else 20
    async with hub() as running:
        username, password = running.login("sparkplug_b", TOPIC)
        port, login = running.info["mqtt_port"], {"username": username, "password": password}
        await load(port, **login, seconds=1, qos=qos)  # devices register, caches fill
        async with metered(running.pid) as meter:
            figures = await load(port, **login, seconds=seconds, qos=qos, start_ms=_later(3600))
            usage = meter.usage()
        rate = figures["acked"] / figures["seconds"]
    return Row(
        name,
        what,
        Figure("acknowledged", rate, "msg/s", usage),
        floor,
        aim,
        yardsticks=[
            await mosquitto.acknowledged(options, qos=qos),
            await jetstream.fsynced_batches(options),
        ],
        also=[Figure("values", rate * 12, "values/s")],
    )


def _later(seconds):
    """A start of the readings' time that no run before has used."""
    return (int(time.time()) - 43_200 + seconds) * 1000


async def qos1(options):
    """12 values in 1 KB of JSON, 32 connections, QoS 1: fsynced in the log, then acknowledged."""
    return await _acknowledged(options, "qos1", qos1.__doc__, 20_000, 50_000, 1)


async def qos2(options):
    """The same at QoS 2, the full handshake."""
    return await _acknowledged(options, "qos2", qos2.__doc__, 8_000, 25_000, 2)


async def end_to_end(options):
    """The same at QoS 1, sustained: acknowledged = stored, rolled up, and to be queried."""
    seconds = 10 if options.quick else 60
    async with hub() as running:
        username, password = running.login("sparkplug_b", TOPIC)
        login = {"username": username, "password": password}
        async with metered(running.pid) as meter:
            lag = Lag()
            watching = asyncio.create_task(lag.watch(running))
            started = time.perf_counter()
            figures = await load(running.info["mqtt_port"], **login, seconds=seconds)
            stored, _ = await running.until(STORED, figures["acked"], SETTLE_SECONDS)
            took = time.perf_counter() - started
            usage = meter.usage()
            watching.cancel()
        await running.until(STALE, 1, SETTLE_SECONDS)
        rolled_up, waited = await running.until(ROLLED_UP, stored, SETTLE_SECONDS)
        served = await _served(running)
    lost = figures["acked"] - stored
    return Row(
        "end_to_end",
        end_to_end.__doc__,
        Figure("stored", stored / took, "msg/s", usage, f"over {took:.0f} s"),
        10_000,
        30_000,
        yardsticks=[
            await postgres_copy.rows(options),
            await mosquitto.acknowledged(options, qos=1),
            await node_red.forwarded(options),
        ],
        also=[
            Figure("values", stored * 12 / took, "values/s"),
            Figure("acknowledged", figures["acked"] / figures["seconds"], "msg/s"),
            Figure("acknowledged and not stored", lost, "messages"),
            Figure("in hourly rollups", rolled_up, "readings", note=f"after {waited:.1f} s"),
            Figure("rollups that the API serves for one device", served, "hours"),
            Figure("largest lag of the store behind the log", lag.worst, "log messages"),
        ],
    )


async def _served(running):
    device = (await running.get("/api/v1/devices", limit=1))["items"][0]
    found = await running.get(
        f"/api/v1/devices/{device['id']}/rollups",
        **{"aggregation": "h", "from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"},
    )
    return len(found["items"])


class Lag:
    """How far the store is behind the log, in log messages, at its worst."""

    def __init__(self):
        self.worst = 0

    async def watch(self, running):
        client = await nats.connect(read_hub_info(running.data_dir)["nats_url"])
        query = "SELECT coalesce(max(sequence), 0) FROM partition_position"
        try:
            async with running.database() as database:
                while True:
                    stored = await database.fetchval(query)
                    info = await client.jetstream().stream_info("INTAKE")
                    self.worst = max(self.worst, info.state.last_seq - stored)
                    await asyncio.sleep(0.5)
        finally:
            await client.close()


async def day_messages(options):
    """Smart-meter day messages of 96 readings over TLS at QoS 2, until stored."""
    seconds = 5 if options.quick else 20
    topic = "smart-meters/readings"
    async with hub() as running:
        username, password = running.login("smart_meter", topic)
        async with metered(running.pid) as meter:
            started = time.perf_counter()
            figures = await load(
                running.info["mqtts_port"],
                username=username,
                password=password,
                ca_file=running.info["ca_file"],
                kind="days",
                topic=topic,
                qos=2,
                devices=320,
                seconds=seconds,
            )
            expected = min(figures["acked"], 320 * 365) * 96
            stored, _ = await running.until(STORED, expected, SETTLE_SECONDS)
            took = time.perf_counter() - started
            usage = meter.usage()
    return Row(
        "day_messages",
        day_messages.__doc__,
        Figure("stored", stored / 96 / took, "msg/s", usage),
        400,
        1_000,
        yardsticks=[await mosquitto.acknowledged(options, qos=2, kind="days")],
        also=[
            Figure("readings", stored / took, "readings/s"),
            Figure("acknowledged", figures["acked"] / figures["seconds"], "msg/s"),
            Figure("acknowledged and not stored", expected - stored, "readings"),
        ],
    )
