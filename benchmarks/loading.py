"""Starts the load generator beside the thing that is measured."""

import asyncio
import json
import os
import sys

from benchmarks.hub import ROOT


class LoadError(Exception):
    """The load generator was refused, or lost its connections."""


async def load(port, *, username=None, password=None, ca_file=None, **options):
    """Run `python -m benchmarks.load`; return its figures.

    Options are those of the load generator: connections, window, devices, kind, qos, seconds, …
    """
    arguments = ["--port", str(port)]
    if username:
        arguments += ["--username", username]
    if ca_file:
        arguments += ["--ca-file", str(ca_file)]
    for name, value in options.items():
        arguments += [f"--{name.replace('_', '-')}", str(value)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.load", *arguments),
        cwd=ROOT,
        env=os.environ | {"BENCH_MQTT_PASSWORD": password or ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise LoadError(err.decode()[-800:])
    figures = json.loads(out.splitlines()[-1])
    if figures["refused"]:
        raise LoadError("; ".join(figures["refused"]))
    return figures
