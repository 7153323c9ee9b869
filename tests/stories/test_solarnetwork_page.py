"""docs/solarnetwork.md is true: its commands are run from top to bottom as they are printed."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from running_hub import until

from documented import blocks

PAGE = [block for block in blocks("docs/solarnetwork.md") if block.words]
#: Differs from hub to hub: when something was made, and a digest under a new salt.
VARYING = re.compile(
    r'(?<="created":")(?!2020)[^"]*|(?<="created": ")(?!2020)[^"]*|\{SSHA-256\}[^"]+'
)
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
async def terminal(hub):
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


def steps():
    """Pairs of a command and the answer printed after it, or None."""
    for place, block in enumerate(PAGE):
        if block.words == ("run",):
            following = PAGE[place + 1] if place + 1 < len(PAGE) else None
            answered = following is not None and following.words == ("answer",)
            yield block.text, following if answered else None


def told(block, text):
    """An answer without what varies: JSON with its order, or text."""
    fixed = VARYING.sub("…", text.strip())
    return json.loads(fixed, object_pairs_hook=list) if block.language == "json" else fixed


async def check(bash, command, block):
    """Run a command until it answers as printed; what writes is run once."""
    last = ""

    async def as_printed():
        nonlocal last
        last = await bash.run(command)
        with contextlib.suppress(json.JSONDecodeError):
            return told(block, last) == told(block, block.text)

    reads = command.startswith("solar GET ")
    if not reads:
        assert await as_printed(), f"{command}\n{last}"
        return
    try:
        await until(as_printed, 30, command)
    except AssertionError as error:
        raise AssertionError(f"{command}\n{last}") from error


async def test_the_page_works_as_printed(hub):
    """A newcomer's terminal: token, signature, hooks, upload, queries, each as it is answered."""
    for program in ("bash", "curl", "openssl"):
        if shutil.which(program) is None:
            pytest.fail(f"{program} is missing: apt-get install bash curl openssl")
    ran = []
    async with terminal(hub) as bash:
        for command, answer in steps():
            if answer is None:
                out = await bash.run(command)
                assert "error" not in out.lower(), out
            else:
                await check(bash, command, answer)
            ran.append(command)

    commands = "\n".join(ran)
    for what in ("topics", "services", "POST", "DELETE", "/datum/list", "/datum/reading", "bulk"):
        assert what in commands
