"""What every process of the hub opens: the database, the log's server, leases, the sealer."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from wattwire.app.keeping import Health
from wattwire.engines.leases import Leases
from wattwire.engines.secrets import Sealer
from wattwire.intake.log import ensure_log
from wattwire.settings import Durability, Settings
from wattwire.store.database import open_pool
from wattwire.store.watch import ConfigWatch

CONNECT_SECONDS: Final = 10.0
REPLICAS: Final = 3

log = structlog.get_logger()


class NatsUnreachableError(Exception):
    """The NATS server does not answer."""


@dataclass(frozen=True, slots=True)
class Kit:
    """Shared by the roles of one process."""

    settings: Settings
    database_url: str
    pool: Any
    nats: Any
    log_id: str
    watch: ConfigWatch
    leases: Leases
    sealer: Sealer
    owner: str
    health: Health = field(default_factory=Health)


async def connect_nats(url: str, *, name: str) -> Any:
    """Connect for good; the client mends interruptions. Raises NatsUnreachableError."""

    async def told(error: Exception) -> None:
        log.warning("app.nats_error", error=str(error) or type(error).__name__)

    async def lost() -> None:
        if not (client.is_draining or client.is_closed):
            log.warning("app.nats_lost")

    async def back() -> None:
        log.info("app.nats_reconnected")

    client = Client()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await client.connect(
                url,
                name=name,
                connect_timeout=2,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                # Seconds; fractions work, whatever the annotation says.
                reconnect_time_wait=0.2,  # type: ignore[arg-type]
                ping_interval=10,
                max_outstanding_pings=2,
                pending_size=64 * 1024 * 1024,
                error_cb=told,
                disconnected_cb=lost,
                reconnected_cb=back,
            )
    except (NatsError, OSError, TimeoutError, ValueError) as error:
        raise NatsUnreachableError(
            f"NATS does not answer: {error or type(error).__name__}"
        ) from error
    return client


def owner_name() -> str:
    """Return a name that no other process has, nor had; in containers, many have the same pid."""
    return f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"


@asynccontextmanager
async def open_kit(
    settings: Settings, *, database_url: str, nats_url: str, sealer: Sealer, role: str
) -> AsyncIterator[Kit]:
    """Open everything for as long as the context lasts. Raises one clear error when it cannot."""
    owner = owner_name()
    async with (
        open_pool(database_url, role=role, size=16) as pool,
        # A renewal that waits for a connection is a lease lost.
        open_pool(database_url, role=f"{role}-leases", size=2) as lease_pool,
    ):
        client = await connect_nats(nats_url, name=f"wattwire-{role}")
        try:
            log_id = await _open_log(client, settings)
            yield Kit(
                settings=settings,
                database_url=database_url,
                pool=pool,
                nats=client,
                log_id=log_id,
                watch=ConfigWatch(database_url),
                leases=Leases(lease_pool, owner),
                sealer=sealer,
                owner=owner,
            )
        finally:
            await _close_nats(client)


async def _open_log(client: Any, settings: Settings) -> str:
    replicas = REPLICAS if settings.durability is Durability.REPLICATED else 1
    try:
        return await ensure_log(
            client.jetstream(timeout=10), max_bytes=settings.log_max_bytes, replicas=replicas
        )
    except (NatsError, TimeoutError) as error:
        raise NatsUnreachableError(
            f"The intake log cannot be opened with {settings.log_max_bytes} bytes "
            f"(WATTWIRE_LOG_MAX_BYTES): {error or type(error).__name__}"
        ) from error


async def _close_nats(client: Any) -> None:
    try:
        async with asyncio.timeout(5):
            await client.drain() if client.is_connected else await client.close()
    except (NatsError, OSError, TimeoutError) as error:
        log.warning("app.nats_close_failed", error=str(error) or type(error).__name__)
