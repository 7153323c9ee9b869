"""One server as a child process of the hub: launched, watched, ended."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from wattwire.engines.accounts import Account
from wattwire.engines.errors import EngineError
from wattwire.engines.leftovers import Steps

LAUNCHER: Final = Path(__file__).with_name("launch.py")
#: Of what a server wrote, this much is looked at for the reason of its end.
TAIL_BYTES: Final = 8192
#: A log longer than this is started again, so that no engine fills the disk with complaints.
LOG_BYTES: Final = 4 * 1024 * 1024
#: Nothing of the hub's environment is passed on: it may hold secrets, and PG* would change things.
ENVIRONMENT: Final = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/local/bin:/usr/bin:/bin"}


@dataclass(frozen=True, slots=True)
class Order:
    """What to launch, and how."""

    command: Sequence[str]
    account: Account | None = None  #: None: as the hub
    reach: Sequence[Path] = ()  #: folders and programs the account must be able to enter or run
    farewell: signal.Signals = signal.SIGTERM  #: what it gets when the hub dies

    def command_line(self) -> list[str]:
        """Return the launcher's command line."""
        account = f"{self.account.uid}:{self.account.gid}" if self.account else "-"
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid())]
        reach = [str(path) for path in self.reach]
        return [*launcher, str(int(self.farewell)), account, str(len(reach)), *reach, *self.command]


class ServerProcess:
    """A running server. It writes to a file, not to a pipe, so that a busy hub never blocks it."""

    def __init__(self, process: asyncio.subprocess.Process, log_file: Path, log_start: int) -> None:
        self._process = process
        self._log_file = log_file
        self._log_start = log_start

    @classmethod
    async def launch(cls, order: Order, log_file: Path) -> Self:
        """Start the server in a session of its own, so that Ctrl-C reaches the hub alone."""
        bound_log(log_file)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        descriptor = os.open(log_file, flags, 0o600)
        try:
            start = os.fstat(descriptor).st_size
            process = await asyncio.create_subprocess_exec(
                *order.command_line(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        return cls(process, log_file, start)

    @property
    def pid(self) -> int:
        """The server's pid."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs, as far as the event loop has heard."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Return its exit status when it has ended; negative: the signal that ended it."""
        return await self._process.wait()

    async def died_within(self, seconds: float) -> bool:
        """Wait a moment; return whether it ended."""
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            return False
        return True

    async def end(self, steps: Steps) -> None:
        """Carry out the steps until it has ended. Raises EngineError when it survives them all."""
        for number, patience in steps:
            if self.alive and number is not None:
                self._process.send_signal(number)
            if await self.died_within(patience):
                return
        raise EngineError(f"The process {self.pid} cannot be ended: the disk under it may hang")

    def output(self) -> str:
        """Return the end of what it wrote since its start."""
        with self._log_file.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = self._log_start if self._log_start <= size else 0
            file.seek(max(start, size - TAIL_BYTES))
            return file.read(TAIL_BYTES).decode(errors="replace")


def bound_log(log_file: Path) -> None:
    """Empty a log that has grown too long. The server appends, so it goes on at the start."""
    if log_file.exists() and log_file.stat().st_size > LOG_BYTES:
        os.truncate(log_file, 0)


async def run_once(order: Order, *, sent: bytes = b"", seconds: float) -> tuple[int, str]:
    """Run a program; return its exit status and what it wrote. Raises EngineError if slow."""
    process = await asyncio.create_subprocess_exec(
        *order.command_line(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate(sent)
    except TimeoutError as error:
        raise EngineError(f"{order.command[0]} did not finish within {seconds:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output[-TAIL_BYTES:].decode(errors="replace")
