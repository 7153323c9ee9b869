"""A broker that is away: what was read meanwhile is filled in afterwards, as history."""

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import pytest_asyncio
from cable import Cable
from mqtt_counterparts import Broker, Onlooker
from power_monitor_receivers import (
    EdgeView,
    at_rest,
    held_by_json,
    integrate,
    poll,
    stop_polling,
    stored,
)
from running_hub import RunningHub, until

from wattwire.client import Born, Died, Sample, subscribe
from wattwire.simulate.ethernet_ip import power_monitors

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: What is older than this when it is sent is history; the setting, in milliseconds.
HISTORY = 2000
HOURS_AGO = range(1, 25)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(tmp_path_factory):
    """Polled, cut off, readings of hours ago come in as well, the broker is back, all at rest."""
    folder = tmp_path_factory.mktemp("outage")
    hub = RunningHub(folder, WEBHOOK_ALLOW="127.0.0.0/8", LOG_LEVEL="warning")
    async with contextlib.AsyncExitStack() as stack:
        await hub.start()
        stack.push_async_callback(hub.stop)
        monitors = await stack.enter_async_context(power_monitors(3))
        broker = Broker(folder)
        await broker.start()
        stack.callback(broker.stop)
        onlooker = Onlooker(broker.port)
        stack.callback(onlooker.close)
        cable = await Cable(broker.port).start()
        stack.push_async_callback(cable.close)
        api = await stack.enter_async_context(hub.api())
        told = SimpleNamespace(hub=hub, onlooker=onlooker, cable=cable, api=api, results=[])
        consumer = asyncio.create_task(consume(broker.port, told.results))
        stack.push_async_callback(ended, consumer)
        await configure(told)
        await poll(api, [monitor.port for monitor in monitors], period_ms=200)
        await happen(told)
        told.stored = await stored(hub)
        told.messages = onlooker.messages()
        told.view = EdgeView(told.messages, "hub")
        told.probes = await probes_of(hub)
        yield told


async def consume(port, results):
    """What a program that uses the client of ours is told, until it is cancelled."""
    async with subscribe(f"mqtt://127.0.0.1:{port}", "spBv1.0/pm500/+/hub/#") as subscription:
        async for result in subscription:
            results.append(result)


async def ended(task):
    task.cancel()
    await asyncio.wait([task])


async def configure(told):
    url = f"mqtt://127.0.0.1:{told.cable.port}"
    edge = {"group": "pm500", "edge_node": "hub", "historical_after_seconds": HISTORY // 1000}
    topic = "spBv1.0/pm500/DDATA/json-edge/{device_key}"
    told.numbers = [
        await integrate(told.api, "mqtt", "Sparkplug", {"broker_url": url, "sparkplug": edge},
                        "sparkplug_b"),
        await integrate(told.api, "mqtt", "JSON", {"broker_url": url, "topic": topic},
                        "sparkplug_json"),
    ]  # fmt: skip


async def happen(told):
    await until(lambda: said(told, 30), 60, "data flow")
    told.pulled = now()
    told.cable.pull("refuse")
    await post_hours(told.api)
    await until(lambda: waiting(told, 60), 60, "messages wait")
    await until(lambda: has_passed(told.pulled + 2 * HISTORY), 60, "some are history by now")
    told.plugged = now()
    await told.cable.plug()
    await until(lambda: lives(told), 60, "live data flow again")
    await stop_polling(told.api)
    await until(lambda: at_rest(told.hub, told.api, told.numbers), 60, "everything is delivered")
    await until(lambda: heard_all(told), 30, "the consumer has read everything")


def now():
    return time.time_ns() // 1_000_000


async def has_passed(moment):
    return now() > moment


async def said(told, least):
    return sum("/DDATA/hub" in m.topic for m in told.onlooker.seen) >= least


async def post_hours(api):
    """A day of readings that came late, one an hour: as if the outage had lasted since then."""
    newest = now()
    told = [
        {"device": "pm-0", "stream": "/metrics", "values": {"voltageAN": 200.0 + hours},
         "time": datetime.fromtimestamp(newest / 1000 - 3600 * hours, UTC).isoformat()}
        for hours in reversed(HOURS_AGO)
    ]  # fmt: skip
    await api.post("/api/v1/readings", {"readings": told})


async def waiting(told, least):
    stats = [await told.api.get(f"/api/v1/integrations/{n}/stats") for n in told.numbers]
    return all(s["waiting"] >= least for s in stats)


def samples(told):
    return [r for r in list(told.results) if isinstance(r, Sample) and not r.is_birth and r.device]


async def lives(told):
    """Whether each device has said something that is not history since the broker is back."""
    fresh = {s.device for s in samples(told) if not s.is_historical and at(s) > told.plugged}
    return len(fresh) == 3


async def heard_all(told):
    return set(await stored(told.hub)) == {(s.device, at(s)) for s in samples(told)}


def at(sample):
    return round(sample.time.timestamp() * 1000)


async def probes_of(hub):
    """What did not keep its place in the queue: (device, milliseconds).

    It was sent to see whether the broker is back, or failed before and waited for its turn.
    """
    database = await hub.database()
    try:
        rows = await database.fetch(
            "SELECT e.data, (extract(epoch FROM e.time) * 1000)::bigint AS at, q.device_key"
            " FROM attempt q JOIN event e ON e.id = q.event_id"
            " WHERE q.outcome = 'delivered' AND (q.probe OR q.number > 1)"
        )
    finally:
        await database.close()
    return {(row["device_key"], row["at"]) for row in rows}


async def test_an_independent_host_misses_nothing(story):
    """Every reading of before, of the outage, of hours ago and of after; each seq, each alias."""
    view = story.view
    known = {key: {n: v for n, v in values.items() if v is not None}
             for key, values in story.stored.items()}  # fmt: skip

    assert known == view.samples
    assert ([], []) == (view.gaps, view.unknown)
    assert {story.pulled < at for _, at in known} == {True, False}
    assert len(HOURS_AGO) == sum(at < story.pulled - 3_500_000 for _, at in known)


async def test_the_session_ended_and_another_began(story):
    """NDEATH by the will with the bdSeq of its birth; then a birth with the next one."""
    births = [payload["metrics"][0]["value"] for payload, _ in story.view.node_births]

    assert [("NDEATH", "", births[0])] == story.view.deaths[:1]
    assert [births[0], (births[0] + 1) % 256] == births
    assert {2} == {len(births) for births in story.view.births.values()}


async def test_what_was_filled_in_is_marked_as_history(story):
    """All that was older than the limit when the broker came back; live data never are."""
    history = {(device, at) for device, at, historical in story.view.data if historical}
    away = {key for key in story.stored if story.pulled < key[1] < story.plugged - HISTORY}
    ages_ago = {key for key in story.stored if key[1] < story.pulled - 3_500_000}

    assert away | ages_ago <= history
    assert len(away) > 10
    newest = {d: max(at for device, at in story.stored if device == d) for d in ("pm-0", "pm-1")}
    assert all(at > story.plugged for at in newest.values())


async def test_what_is_live_only_moves_on(story):
    """Of each device, what is not history is newer than all before; history is in order, too.

    But for messages that were sent alone to see whether the broker is back, or sent before.
    """
    for device in ("pm-1", "pm-2"):
        said = [(at, past) for d, at, past in story.view.data if d == device]
        alive = [at for at, past in said if not past]
        past = [at for at, past in said if past and (device, at) not in story.probes]
        assert alive == sorted(set(alive))
        assert past == sorted(set(past))


async def test_the_client_of_ours_ends_with_no_gap(story):
    """It was told of a death and of births, of no gap, and of every value of the store."""
    others = {type(r) for r in story.results} - {Sample, Born, Died}
    found = {}
    for sample in samples(story):
        found.setdefault((sample.device, at(sample)), {})[sample.name] = sample.value
    known = {key: {n: v for n, v in values.items() if v is not None}
             for key, values in story.stored.items()}  # fmt: skip

    assert set() == others
    assert known == found


async def test_json_is_filled_in_too(story):
    """By its timestamps: JSON has no mark for history."""
    held, _ = held_by_json(story.messages)
    known = {key: {n: v for n, v in values.items() if v is not None}
             for key, values in story.stored.items()}  # fmt: skip

    assert known == held
