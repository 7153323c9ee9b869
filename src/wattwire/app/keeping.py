"""Background tasks have an owner: one that ends is noticed, told and started again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 3.0
#: A task that ran this long starts over with the first pause.
SETTLED_SECONDS: Final = 30.0

log = structlog.get_logger()


class Health:
    """What is wrong at the moment, by name; empty when all is well."""

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}

    def set(self, name: str, fault: str) -> None:
        """Note a fault, or with an empty text that it is gone."""
        if fault:
            self.faults[name] = fault
        else:
            self.faults.pop(name, None)


async def keep(name: str, run: Callable[[], Awaitable[None]], health: Health) -> None:
    """Run for ever: start again what ended or failed, with a growing pause; cancel to stop."""
    loop = asyncio.get_running_loop()
    pause = FIRST_PAUSE_SECONDS
    while True:
        started = loop.time()
        well = loop.call_later(1.0, health.set, name, "")
        try:
            await run()
            fault = "ended"
        except Exception as error:  # noqa: BLE001 - the edge of the task: told here, then begun anew
            fault = _in_words(error)
        finally:
            well.cancel()
        if loop.time() - started > SETTLED_SECONDS:
            pause = FIRST_PAUSE_SECONDS
        health.set(name, fault)
        log.warning("app.task_restarted", task=name, fault=fault, pause_seconds=pause)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def _in_words(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_in_words(part) for part in error.exceptions)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
