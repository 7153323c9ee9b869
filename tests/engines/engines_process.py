"""A hub reduced to its engines, for tests that kill it: starts them, prints where, waits.

Called with a data folder and the names of the engines. A failed start is printed too.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from wattwire.engines.datadir import DataDir
from wattwire.engines.errors import EngineError
from wattwire.engines.nats import EmbeddedNats
from wattwire.engines.postgres import EmbeddedPostgres


async def main(folder, names):
    try:
        with DataDir(folder) as data:
            kinds = {
                "postgres": EmbeddedPostgres(data.postgres),
                "nats": EmbeddedNats(data.nats, max_store_bytes=64 * 1024 * 1024),
            }
            engines = [kinds[name] for name in names]
            for engine in engines:
                await engine.start()
            where = {engine.name: {"url": engine.url, "pid": engine.pid} for engine in engines}
            tell(engines=where, uid=os.geteuid())
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
            for engine in engines:
                await engine.stop()
    except EngineError as error:
        tell(error=str(error))


def tell(**what):
    sys.__stdout__.write(json.dumps({"pid": os.getpid(), **what}) + "\n")
    sys.__stdout__.flush()


sys.stdout = sys.stderr  # log lines are not for the test to read
asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
