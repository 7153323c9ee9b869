"""Hears about configuration changes, so that what is remembered can be forgotten."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

import asyncpg
import structlog

CHANNEL: Final = "wattwire_config"
EVERYTHING: Final = "*"  #: told after a lost connection: anything may have changed
_CHECK_SECONDS: Final = 5.0

log = structlog.get_logger()

Forget = Callable[[str, str], None]  #: (table, key); (EVERYTHING, "") means all


class ConfigWatch:
    """Listens on its own connection and tells every subscriber which row of which table changed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._subscribers: list[Forget] = []
        self.listening = asyncio.Event()

    def subscribe(self, forget: Forget) -> None:
        """Call `forget` for every change from now on."""
        self._subscribers.append(forget)

    async def run(self) -> None:
        """Listen until cancelled; connect again after a failure and then forget everything."""
        while True:
            try:
                await self._listen()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
                log.warning("store.watch_lost", error=str(error) or type(error).__name__)
            self.listening.clear()
            await asyncio.sleep(0.5)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(self._url, timeout=10, command_timeout=10)
        try:
            await connection.add_listener(CHANNEL, self._heard)
            self._tell(EVERYTHING, "")
            self.listening.set()
            while not connection.is_closed():
                await asyncio.sleep(_CHECK_SECONDS)
                await connection.execute("SELECT 1")
        finally:
            with contextlib.suppress(OSError, TimeoutError, asyncpg.InterfaceError):
                await connection.close(timeout=2)

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        table, _, key = payload.partition(":")
        self._tell(table, key)

    def _tell(self, table: str, key: str) -> None:
        for forget in self._subscribers:
            forget(table, key)
