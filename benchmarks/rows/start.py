"""How long a hub takes to be there, and what it needs while nothing happens."""

import asyncio
import time

from benchmarks import hub as hubs
from benchmarks.hub import hub
from benchmarks.report import Figure, Row
from benchmarks.usage import cpu_seconds, pss_mb, tree


async def _first_reading(running):
    """Seconds until a reading that is sent now is accepted."""
    async with running.api() as api:
        reading = {"device": "m-1", "stream": "/p", "values": {"active_power_w": 1}}
        started = time.perf_counter()
        async with api.post("/api/v1/readings", json={"readings": [reading]}) as answer:
            text = await answer.text()
            if answer.status >= 300:
                raise hubs.HubError(f"{answer.status} {text[:300]}")
            return time.perf_counter() - started


async def cold_start(options):
    """From `wattwire serve` on an empty folder to the first reading accepted."""
    del options
    async with hub() as running:
        first = await _first_reading(running)
        cold = running.ready_seconds + first
        await hubs.stop(running.process)
        again = await hubs.start(running.folder)
        try:
            warm = again.ready_seconds + await _first_reading(again)
        finally:
            await hubs.stop(again.process)
    return Row(
        "cold_start",
        cold_start.__doc__,
        Figure("cold", cold, "s", note="making the token in between is not counted"),
        8,
        4,
        better="less",
        also=[
            Figure("of it, until ready", running.ready_seconds, "s"),
            Figure("second start on the same folder", warm, "s"),
        ],
    )


async def idle_memory(options):
    """Memory of all processes of an idle hub, database and log included, shared pages once."""
    seconds = 5 if options.quick else 20
    figures = {}
    for name, settings in (("default", {}), ("--processes 1", {"processes": 1})):
        async with hub(**settings) as running:
            await asyncio.sleep(5)
            before = sum(cpu_seconds(tree(running.pid)).values())
            await asyncio.sleep(seconds)
            processes = tree(running.pid)
            spent = sum(cpu_seconds(processes).values()) - before
            figures[name] = (pss_mb(processes), spent / seconds * 100, len(processes))
    memory, cpu, count = figures["default"]
    one = figures["--processes 1"]
    return Row(
        "idle_memory",
        idle_memory.__doc__,
        Figure("PSS", memory, "MB", note=f"{count} processes"),
        400,
        250,
        better="less",
        also=[
            Figure("CPU of one core", cpu, "%"),
            Figure("PSS with WATTWIRE_PROCESSES=1", one[0], "MB", note=f"{one[2]} processes"),
        ],
    )
