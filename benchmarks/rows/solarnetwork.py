"""What signed requests of SolarNetwork's face cost, beside unsigned ones."""

import asyncio
import json
import os
import sys
import tempfile
from urllib.parse import urlsplit

import psutil

from benchmarks.hub import ROOT, HubError, hub
from benchmarks.report import Figure, Row
from benchmarks.usage import metered

CONNECTIONS = 16
HOOKS = 3
SECONDS = 8


async def signed_requests(options):
    """GETs signed with SNWS2, each another, 16 connections that stay open, one API process."""
    seconds = 3 if options.quick else SECONDS
    # The API alone in its process; a log line for each request, as by default.
    async with hub(processes=4, log_level="info") as running:
        tokens = await asyncio.gather(*(_token(running, n) for n in range(CONNECTIONS)))
        await _make_hooks(running)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(tokens, file)
            file.flush()
            api = _listening(running)
            await _ask(running, file.name, "topics", 0.5)
            plain = await _measured(running, api, file.name, "health", seconds)
            topics = await _measured(running, api, file.name, "topics", seconds)
            hooks = await _measured(running, api, file.name, "hooks", seconds)
    return Row(
        "signed_requests",
        signed_requests.__doc__,
        _figure("GET topics, signed", *topics),
        1000,
        2000,
        yardsticks=[_figure("GET /healthz, not signed", *plain)],
        also=[_figure(f"GET hooks, signed, {HOOKS} of them, from the database", *hooks)],
    )


def _figure(name, figures, usage):
    each = 1e6 * usage.cpu_seconds / figures["answered"]
    note = (
        f"{each:.0f} us CPU each, p50 {1000 * figures['p50']:.1f} ms, "
        f"p95 {1000 * figures['p95']:.1f} ms"
    )
    return Figure(name, figures["rate"], "/s", usage, note)


async def _token(running, number):
    made = await asyncio.to_thread(
        running.command, "solarnetwork-token", "create", "--name", f"load {number}"
    )
    return {"id": made["id"], "secret": made["secret"]}


async def _make_hooks(running):
    for number in range(HOOKS):
        body = {
            "type": "webhook",
            "name": f"hook {number}",
            "topics": ["datum/agg/update"],
            "format": "solarnetwork",
            "settings": {"url": f"http://127.0.0.1:9/{number}", "secret_key": "secret-key"},
        }
        await running.post("/api/v1/integrations", body)


def _listening(running):
    """The process that listens on the API's port."""
    port = urlsplit(running.info["http_url"]).port
    for process in psutil.Process(running.pid).children(recursive=True):
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                return process.pid
    raise HubError("no process listens on the API's port")


async def _measured(running, api, tokens, kind, seconds):
    async with metered(api) as meter:
        figures = await _ask(running, tokens, kind, seconds)
        return figures, meter.usage()


async def _ask(running, tokens, kind, seconds):
    """Run the load generator; every answer must be 200."""
    port = urlsplit(running.info["http_url"]).port
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.signed_load", "--port", str(port)),
        *("--connections", str(CONNECTIONS), "--seconds", str(seconds)),
        *("--kind", kind, "--tokens", tokens),
        cwd=ROOT,
        env=dict(os.environ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), seconds + 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise HubError(err.decode()[-800:])
    figures = json.loads(out)
    if set(figures["statuses"]) != {"200"}:
        raise HubError(f"{figures['statuses']} {figures['refused']}")
    return figures
