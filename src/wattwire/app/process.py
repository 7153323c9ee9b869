"""One process of the hub: a child that plays some roles, started and watched by `serve`.

The parent writes one line of JSON to the child's standard input and keeps the pipe open: when it
closes, the parent is gone, and the child ends. The child answers with one line of JSON on its
standard output once its roles are ready. Logs go to standard error.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from wattwire.app.keeping import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, SETTLED_SECONDS
from wattwire.endings import end

READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0

log = structlog.get_logger()


class Orders(msgspec.Struct, frozen=True):
    """What a child is told."""

    process: str
    roles: list[str]
    settings: dict[str, Any]
    database_url: str
    nats_url: str
    secret_key_file: str
    ports: dict[str, int]  #: ports taken at the first start, so that a restart takes them again
    info: dict[str, Any]  #: paths and addresses that roles need


class Report(msgspec.Struct, frozen=True):
    """What a child answers when it is ready, or why it cannot be."""

    ports: dict[str, int] = {}
    error: str = ""


class ChildFailedError(Exception):
    """A process of the hub could not start."""


class Child:
    """A process that is started, watched and started again."""

    def __init__(self, orders: Orders, on_state: Callable[[str, bool, str], None]) -> None:
        self.orders = orders
        self._on_state = on_state
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> dict[str, int]:
        """Start; return the ports it listens on. Raises ChildFailedError."""
        report = await self._launch()
        self.orders = msgspec.structs.replace(
            self.orders, ports={**self.orders.ports, **report.ports}
        )
        self._watch = asyncio.create_task(self._keep())
        return report.ports

    async def _launch(self) -> Report:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "wattwire.app.child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        pipe, answer = self._process.stdin, self._process.stdout
        if pipe is None or answer is None:
            raise ChildFailedError("the child has no pipes")
        pipe.write(msgspec.json.encode(self.orders) + b"\n")
        try:
            async with asyncio.timeout(READY_SECONDS):
                await pipe.drain()
                line = await answer.readline()
        except (TimeoutError, OSError):
            line = b""
        report = (
            msgspec.json.decode(line, type=Report)
            if line
            else Report(error=f"the process {self.orders.process} ended before it was ready")
        )
        if report.error:
            await self._end()
            raise ChildFailedError(report.error)
        return report

    async def _keep(self) -> None:
        """Start the child again whenever it ends."""
        pause = FIRST_PAUSE_SECONDS
        loop = asyncio.get_running_loop()
        while self._process is not None:
            began = loop.time()
            code = await self._process.wait()
            if self._stopping:
                return
            if loop.time() - began > SETTLED_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self._on_state(self.orders.process, False, f"ended with code {code}")
            log.error("app.process_died", process=self.orders.process, code=code)
            while True:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                try:
                    await self._launch()
                    break
                except ChildFailedError as error:
                    self._on_state(self.orders.process, False, str(error))
                    log.error("app.process_failed", process=self.orders.process, error=str(error))
            self._on_state(self.orders.process, True, "")

    async def stop(self) -> None:
        """Ask the child to finish what it holds; end it when it takes too long."""
        self._stopping = True
        if self._process is not None:
            await self._end()
        if self._watch is not None:
            await end(self._watch)

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            log.error("app.process_killed", process=self.orders.process)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    @property
    def pid(self) -> int:
        """Return the process id, 0 before the start."""
        return self._process.pid if self._process is not None else 0
