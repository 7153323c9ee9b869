"""The same load into Mosquitto with nothing behind it: a broker that keeps nothing."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.loading import load
from benchmarks.report import Figure
from benchmarks.usage import metered
from benchmarks.yardsticks.remembered import once


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def executable():
    return shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


@asynccontextmanager
async def broker():
    """A Mosquitto without persistence; yields its process and port."""
    folder, port = Path(tempfile.mkdtemp(prefix="wattwire-bench-")), free_port()
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\n"
        "max_inflight_messages 0\nmax_queued_messages 100000\n"
        + ("user root\n" if os.geteuid() == 0 else "")
    )
    process = subprocess.Popen([executable(), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        async with asyncio.timeout(10):
            while not await _answers(port):
                await asyncio.sleep(0.02)
        yield process, port
    finally:
        process.terminate()
        process.wait(timeout=10)
        shutil.rmtree(folder, ignore_errors=True)


async def _answers(port):
    try:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


@once
async def acknowledged(options, *, qos, kind="monitors"):
    """Messages per second that Mosquitto acknowledges and forgets; without TLS."""
    name = f"Mosquitto, nothing stored, QoS {qos}"
    if executable() is None:
        return Figure(name, None, "msg/s", note="mosquitto is not installed")
    async with broker() as (process, port), metered(process.pid) as meter:
        figures = await load(
            port, host="127.0.0.1", qos=qos, kind=kind, seconds=2 if options.quick else 8
        )
        usage = meter.usage()
    return Figure(name, figures["acked"] / figures["seconds"], "msg/s", usage)
