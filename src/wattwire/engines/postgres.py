"""The embedded PostgreSQL: a real server as a child of the hub, reached over a unix socket only."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final
from urllib.parse import quote

import asyncpg
import structlog

from wattwire.engines.accounts import Account, account_for, hand_over
from wattwire.engines.errors import EngineError, explain_output, explained
from wattwire.engines.leftovers import Steps, end_all, naming, working_in
from wattwire.engines.locking import FolderLock, HeldElsewhereError
from wattwire.engines.postgres_cluster import make_cluster, set_password
from wattwire.engines.postgres_config import HBA, memory_bytes, render, settings_for
from wattwire.engines.postgres_install import Install, install_for, made_by_version
from wattwire.engines.private_files import (
    make_password,
    prepare_folder,
    read_password,
    write_private,
)
from wattwire.engines.process import Order, ServerProcess, bound_log
from wattwire.engines.sockets import remove_socket_folder, socket_folder
from wattwire.settings import Durability

#: After a crash PostgreSQL replays its log first: up to 1 GB of it.
START_SECONDS: Final = 600.0
READY_POLL_SECONDS: Final = 0.02
HEALTH_SECONDS: Final = 5.0
#: SIGINT ends sessions and writes everything out; SIGQUIT ends at once, to recover at next start.
END: Final[Steps] = ((signal.SIGINT, 45.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))
#: Sessions whose server was killed end by themselves as soon as they notice.
END_SESSIONS: Final[Steps] = ((None, 1.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 10.0))

log = structlog.get_logger()


class EmbeddedPostgres:
    """A PostgreSQL server with its data, socket, password and log under one folder.

    As root the server runs under an account of its own, since PostgreSQL refuses root; the folder
    itself stays root's and the parts of it that the server writes belong to that account.
    """

    name: Final = "postgres"

    def __init__(self, folder: Path, *, durability: Durability = Durability.FSYNC) -> None:
        self._folder = folder.absolute()
        self._durability = durability
        self._lock = FolderLock(self._folder / "lock")
        self._process: ServerProcess | None = None
        self._sockets: Path | None = None
        self._password = ""

    @property
    def url(self) -> str:
        """The address of the database `wattwire`, password included. The same after a restart."""
        if self._sockets is None:
            raise EngineError("The embedded PostgreSQL has not been started")
        return f"postgresql://hub:{self._password}@/wattwire?host={quote(str(self._sockets))}"

    @property
    def log_file(self) -> Path:
        """Where the server writes its own log."""
        return self._folder / "postgres.log"

    @property
    def pid(self) -> int | None:
        """The server's pid while it runs."""
        return self._process.pid if self._process and self._process.alive else None

    async def start(self) -> None:
        """Start the server and return when it takes connections; nothing is done when it runs.

        Makes what is missing, ends what an earlier run left, recovers from a crash. Raises
        EngineError with one sentence that says what to do.
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
        """End sessions, write everything out, end the server; does nothing when none runs."""
        if self._process is not None:
            await self._process.end(END)
            self._process = None
            await self._end_leftovers()
        if self._sockets is not None:
            with suppress(OSError):
                remove_socket_folder(self._sockets, self._folder)
        self._lock.release()

    async def wait_died(self) -> int:
        """Return the server's exit status when it ends; negative: the signal that ended it."""
        if self._process is None:
            raise EngineError("The embedded PostgreSQL has not been started")
        return await self._process.wait()

    async def healthy(self) -> bool:
        """Return whether the server answers a login; also keeps its log from growing for ever."""
        if self.pid is None:
            return False
        with suppress(OSError):
            bound_log(self.log_file)
        try:
            connection = await asyncpg.connect(self.url, timeout=HEALTH_SECONDS)
        except asyncpg.TooManyConnectionsError:
            return True  # busy, and able to say so
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close(timeout=HEALTH_SECONDS)
        return True

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _occupy(self) -> None:
        # Root's server passes through to its own folders, and so may one that outlived its hub.
        prepare_folder(self._folder, 0o711 if os.geteuid() == 0 else 0o700)
        try:
            self._lock.acquire()
        except HeldElsewhereError as error:
            raise EngineError(
                f"Another hub (pid {error.pid}) keeps its PostgreSQL in {self._folder}: "
                "stop it, or choose another folder"
            ) from error

    async def _start(self) -> None:
        await self._end_leftovers()
        account = account_for(self._data)
        install = install_for(self._data)
        await self._ensure_cluster(install, account)
        self._sockets = sockets = socket_folder(self._folder, account)
        self._forget_stale_files(sockets)
        self._write_config(install, account, sockets)
        started = monotonic()
        order = self._order(install, account, sockets)
        self._process = await ServerProcess.launch(order, self.log_file)
        await self._wait_ready(self._process)
        log.info("engines.postgres_started", pid=self.pid, seconds=round(monotonic() - started, 3))

    async def _ensure_cluster(self, install: Install, account: Account | None) -> None:
        kept = self._folder / "password"
        known = read_password(kept)
        self._password = known or make_password(kept)
        if made_by_version(self._data) is None:
            if self._data.exists():
                raise EngineError(
                    f"{self._data} holds something that is no PostgreSQL database: move it away"
                )
            log.info("engines.postgres_cluster_started", folder=str(self._folder))
            await make_cluster(install, self._data, self._password, account)
        else:
            hand_over(self._data, account)
            if known is None:
                await set_password(install, self._data, self._password, account)

    def _forget_stale_files(self, sockets: Path) -> None:
        """Remove what a killed server left: that none runs here has just been seen.

        PostgreSQL would take its pid, which may be another process' by now, for a running server.
        """
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
            (sockets / name).unlink(missing_ok=True)

    def _write_config(self, install: Install, account: Account | None, sockets: Path) -> None:
        """Write the configuration beside the data, where the server's account cannot change it."""
        folder = self._folder / "config"
        prepare_folder(folder, 0o755 if account else 0o700)
        settings = settings_for(
            install.version,
            self._durability,
            memory_bytes=memory_bytes(),
            folder=folder,
            sockets=sockets,
        )
        texts = {"postgresql.conf": render(settings), "pg_hba.conf": HBA, "pg_ident.conf": ""}
        for name, text in texts.items():
            write_private(folder / name, text.encode(), mode=0o644 if account else 0o600)

    def _order(self, install: Install, account: Account | None, sockets: Path) -> Order:
        program, config = install.program("postgres"), self._folder / "config"
        options = ["-D", str(self._data), "-c", f"config_file={config / 'postgresql.conf'}"]
        reach = [program, self._data, config, sockets]
        return Order([str(program), *options], account, reach, farewell=signal.SIGINT)

    async def _wait_ready(self, process: ServerProcess) -> None:
        """Wait until postmaster.pid says ready, which it does after recovery from a crash."""
        deadline = monotonic() + START_SECONDS
        while not self._says_ready(process.pid):
            if await process.died_within(READY_POLL_SECONDS):
                raise explain_output("PostgreSQL", process.output(), self._folder)
            if monotonic() > deadline:
                raise EngineError(
                    f"PostgreSQL is not ready after {START_SECONDS:.0f} s: see {self.log_file}"
                )

    def _says_ready(self, pid: int) -> bool:
        """Read what pg_ctl reads: the pid on line 1, the state on line 8 (see src/bin/pg_ctl)."""
        with suppress(FileNotFoundError):
            lines = (self._data / "postmaster.pid").read_bytes()[:4096].split(b"\n")
            return lines[0].strip() == b"%d" % pid and lines[7:8] == [b"ready   "]
        return False

    async def _end_leftovers(self) -> None:
        """End what runs on our data without a hub: a server, or sessions that lost theirs."""
        await end_all(lambda: naming("postgres", self._data), END)
        await end_all(lambda: working_in("postgres", self._data), END_SESSIONS)

    async def _give_up(self) -> None:
        """Leave nothing running after a start that failed or was cancelled."""
        process, self._process = self._process, None
        if process is not None:
            await asyncio.shield(process.end(END[1:]))
        self._lock.release()
