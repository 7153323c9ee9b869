"""Where the engines are: embedded children of ours, or servers given by URL."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from wattwire.engines.datadir import DataDir
from wattwire.engines.nats import EmbeddedNats
from wattwire.engines.postgres import EmbeddedPostgres
from wattwire.engines.supervise import Supervised
from wattwire.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Places:
    """Addresses of the two engines; they hold passwords, so they are never printed."""

    database_url: str
    nats_url: str


@asynccontextmanager
async def open_places(
    settings: Settings, folder: DataDir, on_state: Callable[[str, bool, str], None]
) -> AsyncIterator[Places]:
    """Start the engines that no URL replaces; stop them, last started first, at the end.

    Raises EngineError with one clear sentence when an engine cannot be started.
    """
    running: list[Supervised] = []
    try:
        database_url = await _database(settings, folder.postgres, on_state, running)
        nats_url = await _nats(settings, folder.nats, on_state, running)
        yield Places(database_url, nats_url)
    finally:
        for engine in reversed(running):
            await asyncio.shield(engine.stop())


async def _database(
    settings: Settings,
    folder: Path,
    on_state: Callable[[str, bool, str], None],
    running: list[Supervised],
) -> str:
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    engine = EmbeddedPostgres(folder, durability=settings.durability)
    running.append(Supervised(engine, on_state))
    await running[-1].start()
    return engine.url


async def _nats(
    settings: Settings,
    folder: Path,
    on_state: Callable[[str, bool, str], None],
    running: list[Supervised],
) -> str:
    if settings.nats_url is not None:
        return settings.nats_url.get_secret_value()
    engine = EmbeddedNats(
        folder, durability=settings.durability, max_store_bytes=2 * settings.log_max_bytes
    )
    running.append(Supervised(engine, on_state))
    await running[-1].start()
    return engine.url
