"""A connection that one task keeps for itself, and gets anew when it breaks."""

import contextlib
from typing import Any

import asyncpg

from wattwire.store import deliveries

ACQUIRE_SECONDS = 10.0


class StandingConnection:
    """Taken from the pool once, prepared for the queue's statements, given back at the end."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._connection: Any = None

    async def get(self) -> Any:
        """Return the connection. Raises what `deliveries.TROUBLE` names when there is none."""
        if self._connection is not None and self._connection.is_closed():
            await self.drop()
        if self._connection is None:
            connection = await self._pool.acquire(timeout=ACQUIRE_SECONDS)
            try:
                await deliveries.prepare(connection)
            except BaseException:
                await self._pool.release(connection)
                raise
            self._connection = connection
        return self._connection

    async def drop(self) -> None:
        """Give the connection back; a broken one is thrown away by the pool."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await self._pool.release(connection, timeout=2)
            except deliveries.TROUBLE:
                # A release that fails may have let go of it already.
                with contextlib.suppress(asyncpg.InterfaceError, asyncpg.InternalClientError):
                    connection.terminate()
