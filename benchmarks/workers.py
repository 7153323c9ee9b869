"""More processes that deliver for the same hub."""

import asyncio
import os
import signal
import subprocess
from contextlib import asynccontextmanager

from benchmarks import hub as hubs
from benchmarks.hub import environment, program
from benchmarks.usage import tree
from wattwire.engines.datadir import read_hub_info


@asynccontextmanager
async def worker(running, number):
    """`wattwire worker --roles delivery` beside a hub, as it would run on another machine."""
    info = read_hub_info(running.data_dir)
    names = ("database_url", "nats_url", "secret_key_file")
    ready = running.folder / f"worker-{number}.json"
    folder = running.folder / f"worker-{number}"
    with (running.folder / f"worker-{number}.log").open("ab") as log:
        process = subprocess.Popen(
            [
                *(*program(), "worker", "--roles", "delivery"),
                *("--data-dir", str(folder), "--ready-file", str(ready)),
            ],
            env=environment(**{name: info[name] for name in names}),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        for _ in range(600):
            if ready.exists():
                break
            await asyncio.sleep(0.05)
        else:
            raise hubs.HubError(f"worker {number} did not start")
        yield process
    finally:
        await hubs.stop(process)


async def owners_of(running):
    """Which integration is served by which process, by the leases."""
    async with running.database() as database:
        found = await database.fetch(
            "SELECT substr(name, 10)::int AS id, owner FROM lease WHERE name ~ '^delivery-[0-9]+$'"
        )
    return {row["id"]: int(row["owner"].split("-")[-2]) for row in found}


def kill(process):
    """End a worker at once, its parent first so that nothing is started anew."""
    for one in tree(process.pid):
        os.kill(one.pid, signal.SIGKILL)
    process.wait()


def is_of(process, pid):
    return process.poll() is None and pid in {one.pid for one in tree(process.pid)}
