"""Events out: how soon, how many, and whether a sick receiver harms the others."""

import asyncio
import re

from benchmarks.hub import hub
from benchmarks.loading import load
from benchmarks.paced import arrivals, publishing, steadily
from benchmarks.receivers import receiver
from benchmarks.report import Figure, Row, percentile
from benchmarks.usage import metered
from benchmarks.yardsticks import bare_aiohttp, bare_sqs

RATE = 200
CONCURRENT = 64
UNLIMITED = {"rate_per_minute": None, "max_concurrent": CONCURRENT, "max_payload_bytes": None}
PATIENCE_SECONDS = 180


def _webhook(name, url, topics, **more):
    return {
        "type": "webhook",
        "name": name,
        "topics": topics,
        "settings": {"url": url},
        "limits": UNLIMITED,
        **more,
    }


async def _registered(running, publish, count):
    """Let so many devices register; return their numbers by key."""
    for number in range(count):
        await publish(f"bench-{number:03}", 0)
    await running.until("SELECT count(*) FROM device", count, 60)
    found = await running.get("/api/v1/devices", limit=count)
    return {device["key"]: device["id"] for device in found["items"]}


async def webhook_latency(options):
    """From the reading's acknowledgement to its webhook, 200 events a second, p95."""
    count = RATE * (5 if options.quick else 20)
    async with hub() as running, arrivals() as taken, publishing(running) as publish:
        await _registered(running, publish, 50)
        await running.post(
            "/api/v1/integrations", _webhook("bench", taken.url, ["device.telemetry"])
        )
        await _first_event(publish, taken)
        async with metered(running.pid) as meter:
            acknowledged = await steadily(
                publish, RATE, range(1, count + 1), lambda n: f"bench-{n % 50:03}"
            )
            await taken.until(len(taken.first) + count, 30)
            usage = meter.usage()
    waits = _waits(acknowledged, taken.first)
    return Row(
        "webhook_latency",
        webhook_latency.__doc__,
        Figure("p95", percentile(waits, 0.95), "ms", usage),
        120,
        40,
        better="less",
        yardsticks=[await bare_aiohttp.posts(options, concurrent=1)],
        also=[
            Figure("p50", percentile(waits, 0.5), "ms"),
            Figure("p99", percentile(waits, 0.99), "ms"),
            Figure("not arrived", count - len(waits), "events"),
        ],
    )


async def _first_event(publish, taken):
    """Publish until the new integration delivers: it is known everywhere then."""
    for attempt in range(600):
        await publish("bench-000", 10**9 + attempt)
        if taken.first:
            return
        await asyncio.sleep(0.1)


def _waits(acknowledged, first):
    arrived = {key: when for (_path, key), when in first.items()}
    return [
        max(arrived[number] - when, 0) * 1000
        for number, when in acknowledged.items()
        if number in arrived
    ]


async def aggregate_latency(options):
    """From the acknowledgement of a device's last reading to datum/agg/update of its hour, p95."""
    count = 40 if options.quick else 200

    def device_in(body):
        found = re.search(rb"bench-(\d{3})", body)
        return int(found[0][-3:]) if found else None

    async with hub() as running, publishing(running) as publish, arrivals(device_in) as taken:
        await running.post(
            "/api/v1/integrations", _webhook("bench", taken.url, ["datum/agg/update"])
        )
        await asyncio.sleep(2)
        async with metered(running.pid) as meter:
            acknowledged = await steadily(publish, 20, range(count), lambda n: f"bench-{n:03}")
            await taken.until(count, 30)
            usage = meter.usage()
    waits = _waits(acknowledged, taken.first)
    return Row(
        "aggregate_latency",
        aggregate_latency.__doc__,
        Figure("p95", percentile(waits, 0.95) / 1000, "s", usage, "1 s of it is the quiet time"),
        2.0,
        1.2,
        better="less",
        also=[
            Figure("p50", percentile(waits, 0.5) / 1000, "s"),
            Figure("not arrived", count - len(waits), "events"),
        ],
    )


async def _drained(kind, body_of, count):
    """Let a backlog build up for a paused integration, resume it, and time the receiver."""
    async with hub() as running, receiver(kind) as target:
        username, password = running.login("sparkplug_b", "spBv1.0/pm500/#")
        made = await running.post("/api/v1/integrations", body_of(target) | {"enabled": False})
        await asyncio.sleep(2)
        figures = await load(
            running.info["mqtt_port"],
            username=username,
            password=password,
            messages=count,
            devices=64,
        )
        path = f"/api/v1/integrations/{made['id']}"
        await _until_matched(running, path, figures["acked"])
        async with metered(running.pid) as meter:
            await running.post(f"{path}/resume", {})
            seen = await target.until(figures["acked"], PATIENCE_SECONDS)
            usage = meter.usage()
        stats = await _settled(running, path)
    return figures["acked"], seen, usage, stats


async def _until_matched(running, path, count):
    for _ in range(PATIENCE_SECONDS * 5):
        if (await running.get(f"{path}/stats"))["matched"] >= count:
            return
        await asyncio.sleep(0.2)


async def _settled(running, path):
    """The ledger once nothing waits."""
    for _ in range(100):
        stats = await running.get(f"{path}/stats")
        if stats["waiting"] == stats["in_flight"] == 0:
            break
        await asyncio.sleep(0.1)
    return stats


def _closes(stats):
    parts = ("delivered", "waiting", "in_flight", "dead", "discarded")
    return stats["matched"] - sum(stats[part] for part in parts)


def _throughput(name, what, drained, floor, aim, yardstick):
    count, seen, usage, stats = drained
    seconds = seen["last"] - seen["first"]
    return Row(
        name,
        what,
        Figure("received", seen["messages"] / seconds if seconds else None, "/s", usage),
        floor,
        aim,
        yardsticks=[yardstick],
        also=[
            Figure("published", count, "events"),
            Figure("received", seen["messages"], "messages", note=f"{seen['requests']:,} requests"),
            Figure("delivered, says the ledger", stats["delivered"], "messages"),
            Figure("what the ledger does not account for", _closes(stats), "messages"),
        ],
    )


async def webhook_throughput(options):
    """A backlog of webhooks to one fast receiver, 64 calls at once, signed, each in the ledger."""
    drained = await _drained(
        "webhook",
        lambda target: _webhook("bench", target.url, ["device.telemetry"]),
        4_000 if options.quick else 20_000,
    )
    yardstick = await bare_aiohttp.posts(options, concurrent=CONCURRENT)
    what = webhook_throughput.__doc__
    return _throughput("webhook_throughput", what, drained, 1_000, 4_000, yardstick)


async def sqs_throughput(options):
    """A backlog of SQS messages in batches of ten to a receiver with canned answers."""

    def integration(target):
        aws = {
            "region": "eu-central-1",
            "access_key_id": "AKIAIOSFODNN7EXAMPLE",
            "secret_access_key": "x" * 40,
            "endpoint_url": target.url.rstrip("/"),
        }
        return {
            "type": "aws_sqs",
            "name": "bench",
            "topics": ["device.telemetry"],
            "settings": {"queue_url": f"{target.url}123456789012/bench", "aws": aws},
            "limits": UNLIMITED,
        }

    drained = await _drained("sqs", integration, 10_000 if options.quick else 60_000)
    yardstick = await bare_sqs.events(options, concurrent=CONCURRENT)
    return _throughput("sqs_throughput", sqs_throughput.__doc__, drained, 8_000, 20_000, yardstick)


async def dead_endpoint(options):
    """One of 100 endpoints takes connections and never answers: change in the others' p95."""
    count = RATE * (6 if options.quick else 20)
    async with hub() as running, arrivals() as taken, publishing(running) as publish:
        devices = await _registered(running, publish, 100)
        for number in range(100):
            await running.post(
                "/api/v1/integrations",
                _webhook(
                    f"bench {number}",
                    f"{taken.url}/{number}",
                    ["device.telemetry"],
                    device_ids=[devices[f"bench-{number:03}"]],
                ),
            )
        await asyncio.sleep(3)
        async with metered(running.pid) as meter:
            healthy = await _phase(publish, taken, range(1, count + 1))
            again = await _phase(publish, taken, range(2 * 10**6, 2 * 10**6 + count))
            taken.silent.add("/0")
            await _phase(publish, taken, range(count + 1, count + 1 + RATE * 3))  # it is noticed
            sick = await _phase(publish, taken, range(10**6, 10**6 + count))
            usage = meter.usage()
    before, after = percentile(again, 0.95), percentile(sick, 0.95)
    first = percentile(healthy, 0.95)
    return Row(
        "dead_endpoint",
        dead_endpoint.__doc__,
        Figure("change", (after - before) / before * 100, "%", usage),
        10,
        3,
        better="less",
        also=[
            Figure("p95, all alive", before, "ms", note=f"{len(again):,} events"),
            Figure("change between two runs, all alive", (before - first) / first * 100, "%"),
            Figure("p95 of the other 99, one dead", after, "ms", note=f"{len(sick):,} events"),
        ],
    )


async def _phase(publish, taken, numbers):
    """Waits in milliseconds at the endpoints other than the first."""
    acknowledged = await steadily(publish, RATE, numbers, lambda n: f"bench-{n % 100:03}")
    others = {n: when for n, when in acknowledged.items() if n % 100}
    deadline = 100
    while deadline and not others.keys() <= {key for _path, key in taken.first}:
        await asyncio.sleep(0.1)
        deadline -= 1
    return _waits(others, taken.first)
