"""Engines that outlived their hub: found by the folder they name, ended, and nothing else ended.

A process counts only when its program has the engine's name AND its command line names our folder,
or its working folder is ours. Pid files are not believed: their pid may belong to another by now.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple

import structlog

from wattwire.engines.errors import EngineError

POLL_SECONDS: Final = 0.02
#: How to end something: a signal (None: just wait) and how many seconds it gets to obey.
Steps = Sequence[tuple[signal.Signals | None, float]]

log = structlog.get_logger()


class Running(NamedTuple):
    """A process of this machine."""

    pid: int
    program: str  #: file name of what it runs
    arguments: tuple[str, ...]
    folder: str  #: working folder; empty when it cannot be seen


def running() -> Iterator[Running]:
    """Yield the processes that can be seen, without ourselves."""
    found = _from_proc() if sys.platform == "linux" else _from_ps()
    return (process for process in found if process.pid != os.getpid())


def _from_proc() -> Iterator[Running]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it ended, or is not ours to see
                yield _read_proc(entry)


def _read_proc(entry: Path) -> Running:
    arguments = (entry / "cmdline").read_bytes().split(b"\0")
    program = str((entry / "exe").readlink()).removesuffix(" (deleted)")
    decoded = tuple(os.fsdecode(part) for part in arguments if part)
    return Running(int(entry.name), Path(program).name, decoded, str((entry / "cwd").readlink()))


def _from_ps() -> Iterator[Running]:
    """Split at spaces as ps prints them: a folder with a space in its name is not recognised."""
    command = ["/bin/ps", "-axo", "pid=,command="]
    answer = subprocess.run(  # noqa: S603 - a constant command
        command, capture_output=True, text=True, timeout=10, check=True
    )
    for line in answer.stdout.splitlines():
        pid, _, rest = line.strip().partition(" ")
        words = tuple(rest.split())
        if words:
            yield Running(int(pid), Path(words[0]).name, words, "")


def naming(program: str, path: Path) -> list[int]:
    """Return the pids of that program whose command line has the path as an argument."""
    return [r.pid for r in running() if r.program == program and str(path) in r.arguments[1:]]


def working_in(program: str, folder: Path) -> list[int]:
    """Return the pids of that program whose working folder it is (Linux only)."""
    return [r.pid for r in running() if r.program == program and r.folder == str(folder)]


async def end_all(find: Callable[[], Iterable[int]], steps: Steps) -> None:
    """Carry out the steps until `find` finds nothing. Raises EngineError if it still does."""
    pids = list(find())
    for number, patience in steps:
        if not pids:
            return
        if number is not None:
            log.warning("engines.leftover_signalled", pids=pids, signal=number.name)
            _send(pids, number)
        pids = await _remaining(find, patience)
    if pids:
        raise EngineError(f"The engine of an earlier run (pid {pids[0]}) does not end: end it")


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


async def _remaining(find: Callable[[], Iterable[int]], patience: float) -> list[int]:
    deadline = monotonic() + patience
    while (pids := list(find())) and monotonic() < deadline:  # noqa: ASYNC110 - not our children
        await asyncio.sleep(POLL_SECONDS)
    return pids
