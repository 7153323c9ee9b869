"""Runs `wattwire` as people do: in a process of its own."""

import asyncio
import os
import sys
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True)
class Done:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return msgspec.json.decode(self.out)


async def run_wattwire(*arguments, stdin="", env=None, cwd=None):
    """Run `wattwire` in a process of its own."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WATTWIRE_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "wattwire", *map(str, arguments),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, env=clean | {"COLUMNS": "200"} | (env or {}), cwd=cwd,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate(stdin.encode())
    return Done(process.returncode, out.decode(), err.decode())
