"""A shell as somebody has it open who works through a page of the documentation."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path

END = "\x1eend of answer\x1e"


class Terminal:
    """One bash that keeps what is defined in it, as somebody's who works through the page."""

    def __init__(self, process):
        self._process = process

    async def run(self, command):
        """Return what a command prints; what it complains of fails the test."""
        self._process.stdin.write(f"{command}\nprintf '{END}'\n".encode())
        await self._process.stdin.drain()
        async with asyncio.timeout(60):
            out = await self._process.stdout.readuntil(END.encode())
        return out.decode().removesuffix(END)


@contextlib.asynccontextmanager
async def opened(hub):
    """Open a bash that knows the hub's address and finds its commands; ended in the end."""
    programs = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HUB": hub.info["http_url"],
        "WATTWIRE_DATA_DIR": str(hub.data_dir),
    }
    process = await asyncio.create_subprocess_exec(
        "bash", "-u", "-o", "pipefail", env=environment, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    yield Terminal(process)
    process.stdin.close()
    async with asyncio.timeout(10):
        await process.wait()
