"""Delivery in bad company: many integrations, several workers, a receiver that is away for long."""

import asyncio
import bisect
import itertools
import time
from contextlib import AsyncExitStack

import psutil

from benchmarks import hub as hubs
from benchmarks.hub import hub
from benchmarks.loading import load
from benchmarks.paced import arrivals, publishing, steadily
from benchmarks.receivers import Figures
from benchmarks.report import Figure, Row, percentile
from benchmarks.rows.delivery import CONCURRENT, RATE, _first_event, _until_matched, _waits
from benchmarks.rows.delivery import _webhook as webhook
from benchmarks.switched import Moments, Sick, Switched
from benchmarks.usage import metered, tree
from benchmarks.workers import is_of, kill, owners_of, worker

MINUTE = 60.0
INTEGRATIONS, DEAD = 1_000, 20
#: Every so many events one is for a dead endpoint: each of them is asked for once a second.
SHARE = RATE // DEAD
LEDGER = (
    "SELECT sum(matched)::bigint AS matched, sum(delivered)::bigint AS delivered, "
    "sum(dead)::bigint AS dead, sum(discarded)::bigint AS discarded, "
    "(SELECT count(*) FROM delivery) AS queued FROM ledger"
)


async def _ledger(running):
    """What the ledger says of all integrations together, in one snapshot; `gap` should be 0."""
    async with running.database() as database:
        found = dict(await database.fetchrow(LEDGER))
    said = found["delivered"] + found["dead"] + found["discarded"] + found["queued"]
    return found | {"gap": found["matched"] - said}


def _device(number):
    """Whom event number so and so is about: every so many are for the endpoints that die."""
    turn, rest = divmod(number, SHARE)
    if not rest:
        return f"bench-{turn % DEAD:03}"
    return f"bench-{DEAD + (number - turn) % (INTEGRATIONS - DEAD):03}"


async def _integrate(running, urls):
    """Make an integration for each device, by its number, every other one by pattern as well."""
    async with running.database() as database:
        found = await database.fetch("SELECT key, id FROM device")
    ids = {row["key"]: row["id"] for row in found}
    bodies = (
        webhook(f"bench {n}", url, ["device.telemetry"], device_ids=[ids[f"bench-{n:03}"]])
        | ({"stream_patterns": ["/power/**"]} if n % 2 else {})
        for n, url in enumerate(urls)
    )
    async with running.api() as api:

        async def some():
            for body in bodies:
                async with api.post("/api/v1/integrations", json=body) as answer:
                    if answer.status >= 300:
                        raise hubs.HubError(f"{answer.status} {(await answer.text())[:300]}")

        await asyncio.gather(*(some() for _ in range(4)))


async def _phase(publish, taken, per_second, numbers):
    """Waits in milliseconds at the healthy endpoints, how many came of how many, and how fast."""
    started = time.time()
    acknowledged = await steadily(publish, per_second, numbers, _device)
    others = {n: when for n, when in acknowledged.items() if n % SHARE}

    def here():
        return [when for (_path, n), when in taken.first.items() if n in others]

    deadline = time.perf_counter() + 60
    while len(came := here()) < len(others) and time.perf_counter() < deadline:
        await asyncio.sleep(0.1)
    return {
        "waits": _waits(others, taken.first),
        "missing": len(others) - len(came),
        "rate": len(came) / (max(came) - started),
    }


async def _both(running, publish, taken, first, options):
    """A steady phase and a burst, numbered from `first`; and what the hub used meanwhile."""
    steady = RATE * (5 if options.quick else 30)
    burst = 2_000 if options.quick else 15_000
    async with metered(running.pid) as meter:
        calm = await _phase(publish, taken, RATE, range(first, first + steady))
        rush = await _phase(publish, taken, 50_000, range(first + steady, first + steady + burst))
        usage = meter.usage()
    return calm, rush, usage


async def _compared(running, publish, taken, sick, options):
    """The same with none and with 20 dead, twice by turns; and how many messages waited."""
    runs, waited, notice = [], [], 3 if options.quick else 40
    for turn in range(4):
        first = 2 * 10**6 + turn * 10**6
        if turn % 2:
            await sick.die()
            late = range(first + 500_000, first + 500_000 + RATE * notice)
            await _phase(publish, taken, RATE, late)  # it is noticed
        runs.append(await _both(running, publish, taken, first, options))
        if turn % 2:
            waited.append((await _ledger(running))["queued"])
            await sick.recover(running)
    return runs, waited


async def thousand_integrations(options):
    """1,000 integrations, 20 of them dead (refused, silent, 503): p95 of the other 980."""
    sick = Sick(DEAD)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(hub())
        taken = await stack.enter_async_context(arrivals())
        dying = await stack.enter_async_context(sick.opened())
        publish = await stack.enter_async_context(publishing(running))
        for number in range(INTEGRATIONS):
            await publish(f"bench-{number:03}", 0)
        await running.until("SELECT count(*) FROM device", INTEGRATIONS, 60)
        await _integrate(running, dying + [f"{taken.url}/{n}" for n in range(DEAD, INTEGRATIONS)])
        await _known(publish, taken)
        await _phase(publish, taken, RATE, range(10**6, 10**6 + RATE * 6))  # connections open
        runs, waited = await _compared(running, publish, taken, sick, options)
        ledger = await _ledger(running)
    return _thousand(runs, waited, ledger)


async def _known(publish, taken):
    """Publish for the newest integration until it delivers: it is known everywhere then."""
    await _first_event(lambda _device, n: publish(f"bench-{INTEGRATIONS - 1:03}", n), taken)


async def _settled(running):
    """The ledger once it stands still for a second."""
    before = None
    for _ in range(60):
        found = await _ledger(running)
        if found == before:
            break
        before = found
        await asyncio.sleep(1)
    return found


def _change(before, after):
    return (after - before) / before * 100


def _thousand(runs, waited, ledger):
    alive, dead = runs[::2], runs[1::2]
    p95 = [
        percentile([wait for calm, *_ in part for wait in calm["waits"]], 0.95)
        for part in (alive, dead)
    ]
    rates = [sum(rush["rate"] for _, rush, _ in part) / len(part) for part in (alive, dead)]
    each = [percentile(calm["waits"], 0.95) for calm, *_ in alive]
    missing = sum(calm["missing"] + rush["missing"] for calm, rush, _ in runs)
    twice = f"two runs with none dead differ by {_change(*each):+.0f} %"
    return Row(
        "thousand_integrations",
        thousand_integrations.__doc__,
        Figure("p95 of the other 980, 20 dead", p95[1], "ms", dead[-1][2], f"{RATE} events/s"),
        120,
        40,
        better="less",
        yardsticks=[
            Figure("p95 of the same 980, none dead", p95[0], "ms", alive[-1][2]),
            Figure("a burst to them, none dead", rates[0], "/s"),
        ],
        also=[
            Figure("change in p95", _change(*p95), "%", note=twice),
            Figure("a burst to the 980, 20 dead", rates[1], "/s"),
            Figure("change in its throughput", _change(*rates), "%"),
            Figure("acknowledged and not arrived at the 980", missing, "events"),
            Figure("waited for the 20 at most", max(waited), "messages"),
            Figure("not delivered, all are back", ledger["matched"] - ledger["delivered"], ""),
            Figure("what the ledger does not account for", ledger["gap"], "messages"),
        ],
    )


# --- three workers ---


def _extremes(at, until):
    """The most and the fewest messages in any minute between the first and `until`."""
    starts = [when for when in at if when <= until - MINUTE]
    most = max((bisect.bisect_left(at, s + MINUTE) - n for n, s in enumerate(starts)), default=0)
    fewest = min(
        (bisect.bisect_right(at, s + MINUTE) - n - 1 for n, s in enumerate(starts)), default=0
    )
    return most, fewest


def _longest_gap(at):
    return max((later - when for when, later in itertools.pairwise(at)), default=0.0)


RATES = (300, 600, 1200)


async def _limited(running, stack):
    """Nine paused integrations of three rates, each with a receiver of its own."""
    made = {}
    for number in range(9):
        target = await stack.enter_async_context(Switched(Moments()))
        limits = {"rate_per_minute": RATES[number // 3], "max_concurrent": CONCURRENT}
        body = webhook(f"limited {number}", target.url, ["device.telemetry"], limits=limits)
        found = await running.post("/api/v1/integrations", body | {"enabled": False})
        made[found["id"]] = (RATES[number // 3], target.figures.at)
        await asyncio.sleep(0.1)
    return made


async def _backlog(running, ids, count):
    username, password = running.login("sparkplug_b", "spBv1.0/pm500/#")
    login = {"username": username, "password": password}
    found = await load(running.info["mqtt_port"], **login, messages=count, devices=64)
    for number in ids:
        await _until_matched(running, f"/api/v1/integrations/{number}", found["acked"])
    return found["acked"]


async def limits_three_workers(options):
    """Nine integrations with limits on three workers, one of which is killed: messages a minute."""
    calm, after = (17, 45) if options.quick else (130, 130)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(hub())
        workers = await asyncio.gather(
            *(stack.enter_async_context(worker(running, n)) for n in (1, 2))
        )
        made = await _limited(running, stack)
        count = await _backlog(running, made, RATES[-1] * (calm + after + 20) // 60)
        before = await owners_of(running)
        async with metered(running.pid) as meter:
            for number in made:
                await running.post(f"/api/v1/integrations/{number}/resume", {})
            await asyncio.sleep(calm)
            victim = max(workers, key=lambda w: sum(is_of(w, pid) for pid in before.values()))
            moved = {number for number, pid in before.items() if is_of(victim, pid)}
            kill(victim)
            await asyncio.sleep(after)
            until = time.perf_counter()
            usage = meter.usage()
        owners = await owners_of(running)
        for number in made:
            await running.post(f"/api/v1/integrations/{number}/pause", {})
        ledger = await _settled(running)
    return _limits(made, moved, until, usage, before, owners, ledger, count)


def _limits(made, moved, until, usage, before, owners, ledger, count):
    steady, over, gaps = [], [], []
    for number, (rate, at) in made.items():
        most, fewest = _extremes(at, until)
        over.append((most - rate) / rate * 100)
        if number in moved:
            gaps.append(_longest_gap(at))
        else:
            steady.append(max(most - rate, rate - fewest) / rate * 100)
    shares = sorted(list(before.values()).count(pid) for pid in set(before.values()))
    received = sum(len(at) for _rate, at in made.values())
    return Row(
        "limits_three_workers",
        limits_three_workers.__doc__,
        Figure("largest deviation from the limit", max(steady, default=None), "%", usage),
        1.0,
        0.5,
        better="less",
        also=[
            Figure("largest excess in any minute, all nine", max(over), "%"),
            Figure("of them, taken over from the killed one", len(moved), "", note=f"of {shares}"),
            Figure("longest silence while a lease moved", max(gaps, default=None), "s"),
            Figure("not taken over", sum(owners[n] == before[n] for n in moved), "integrations"),
            Figure("sent twice, because of the kill", received - ledger["delivered"], "messages"),
            Figure("what was published", count, "events"),
            Figure("what the ledger does not account for", ledger["gap"], "messages"),
        ],
    )


# --- a long outage ---


def _rss(pid):
    """Resident memory of the hub's own processes, its engines left out, in MB."""
    found = 0
    for process in tree(pid):
        try:
            if "python" in process.name() or "wattwire" in process.name():
                found += process.memory_info().rss
        except psutil.Error:
            continue
    return found / 1024**2


async def _remember(pid, samples):
    while True:
        samples.append(await asyncio.to_thread(_rss, pid))
        await asyncio.sleep(0.5)


async def outage_memory(options):
    """A receiver is away while the load goes on: memory of the hub as its backlog grows."""
    calm, away, per_second = (4, 60, 300) if options.quick else (60, 600, 500)
    async with hub() as running, publishing(running) as publish:
        target, samples = Switched(Figures()), []
        body = webhook("bench", target.url, ["device.telemetry"])
        made = await running.post("/api/v1/integrations", body)
        path = f"/api/v1/integrations/{made['id']}"

        async def flow(first, seconds):
            numbers = range(first, first + per_second * seconds)
            return len(await steadily(publish, per_second, numbers, lambda n: f"bench-{n % 100}"))

        async with target:
            await asyncio.sleep(2)
            published = await flow(0, calm)
        sampling = asyncio.create_task(_remember(running.pid, samples))
        async with metered(running.pid) as meter:
            published += await flow(10**6, away)
            usage = meter.usage()
        sampling.cancel()
        drained = await _drain(running, path, target)
        ledger = await _settled(running)
    return _outage(samples, usage, drained, ledger, published)


async def _drain(running, path, target):
    """Bring the receiver back, press Test, and time the backlog."""
    backlog = (await _ledger(running))["queued"]
    async with target:
        before = target.figures.messages
        started = time.perf_counter()
        await running.post(f"{path}/test", {})
        _, waited = await running.until("SELECT (count(*) = 0)::int FROM delivery", 1, 900)
        seconds = time.perf_counter() - started
        return backlog, seconds, target.figures.messages - before, waited, _rss(running.pid)


def _outage(samples, usage, drained, ledger, published):
    backlog, seconds, received, _waited, after = drained
    tenth = max(len(samples) // 10, 1)
    first, last = (sum(part) / tenth for part in (samples[:tenth], samples[-tenth:]))
    return Row(
        "outage_memory",
        outage_memory.__doc__,
        Figure("growth, first to last tenth", _change(first, last), "%", usage),
        5,
        1,
        better="less",
        also=[
            Figure("resident in the first tenth", first, "MB", note="Python processes only"),
            Figure("resident in the last tenth", last, "MB"),
            Figure("resident after draining", after, "MB"),
            Figure("backlog at the end", backlog, "messages"),
            Figure("time to drain, from Test on", seconds, "s", note=f"{received:,} received"),
            Figure("drained", backlog / seconds, "/s"),
            Figure("published and not delivered", published - ledger["delivered"], "messages"),
            Figure("what the ledger does not account for", ledger["gap"], "messages"),
        ],
    )
