"""Makes the partitions of the days ahead, drops those past their retention, folds the ledger."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from wattwire.settings import Settings
from wattwire.store import ledger, retention

EVERY_SECONDS: Final = 60.0

log = structlog.get_logger()


async def upkeep_for_ever(pool: Any, settings: Settings, may_run: Callable[[], bool]) -> None:
    """Do the upkeep every minute, as long as this process is the one to do it."""
    while True:
        if may_run():
            async with pool.acquire() as connection:
                dropped = await retention.keep_up(connection, settings, datetime.now(UTC))
                await ledger.fold_ledger(connection)
                await ledger.discard_orphans(connection)
            if dropped:
                log.info("app.partitions_dropped", names=dropped)
            await asyncio.sleep(EVERY_SECONDS)
        else:
            await asyncio.sleep(1)
