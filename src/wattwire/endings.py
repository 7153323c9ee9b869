"""Ending tasks so that they end."""

import asyncio
from typing import Any, Final

import structlog

#: A task that was cancelled may tidy up for so long before it is cancelled again: a partition gives
#: the transaction that is under way five seconds.
AGAIN_SECONDS: Final = 6.0
LONGEST_SECONDS: Final = 15.0

log = structlog.get_logger()


async def end(
    *tasks: "asyncio.Task[Any]",
    seconds: float = LONGEST_SECONDS,
    again_seconds: float = AGAIN_SECONDS,
) -> None:
    """Cancel tasks and wait until they have ended, for at most so long; log those that have not.

    Once is not enough: before Python 3.12 `asyncio.wait_for`, which the NATS client waits with,
    swallows a cancellation that comes in the moment in which what it waits for is there
    (https://github.com/python/cpython/issues/86296).
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    left = {task for task in tasks if not task.done()}
    while left and (remaining := deadline - clock()) > 0:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=min(again_seconds, remaining))
    if left:
        log.error("endings.tasks_left", tasks=sorted(task.get_name() for task in left))
