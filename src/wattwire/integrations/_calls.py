"""Several calls for one batch: where a service takes the messages of one device only in a call.

The engine gives a batch and waits for outcomes; what a type has to send apart goes out a few calls
at a time. As soon as the service says that it is away, busy, or that we may not, the rest stays.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

import aiohttp

from wattwire.integrations.contract import (
    TIMED_OUT,
    UNREACHABLE,
    Delivered,
    Outcome,
    Outcomes,
    Retry,
    UnreachableError,
    Verdict,
)

#: Calls at once for one batch; the engine has several batches under way, too.
AT_ONCE: Final = 8
#: One call.
CALL_SECONDS: Final = 20.0
#: No further call is begun for a batch after this time.
BATCH_SECONDS: Final = 35.0
#: When the engine gives up waiting: later than every call that was begun in time.
TIMEOUT_SECONDS: Final = 60.0
LATE: Final = Retry("the calls before took too long: it was not sent")
_HALTING: Final = frozenset({Verdict.PARK, Verdict.THROTTLE, Verdict.DOWN, Verdict.DISABLE})

T = TypeVar("T")
Table = Mapping[str, Verdict]


async def outcome_of(call: Awaitable[T]) -> T | Retry:
    """Await one call, at most CALL_SECONDS; one that got no answer becomes an outcome."""
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return await call
    except UnreachableError as error:
        return Retry(str(error), code=UNREACHABLE)
    except TimeoutError:
        return Retry(f"no answer within {CALL_SECONDS:g} s", code=TIMED_OUT)


def halts(outcome: Outcome, table: Table) -> bool:
    """Return whether the next call would only be told the same."""
    if isinstance(outcome, Delivered):
        return False
    keys = (outcome.code, str(outcome.status))
    return next((table[key] in _HALTING for key in keys if key in table), False)


async def read_answer(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return an answer, cut at `most` bytes; one that is longer costs the connection."""
    body = b""
    while len(body) < most and not response.content.at_eof():
        body += await response.content.read(most - len(body))
    return body


async def in_parts(
    parts: Iterable[T],
    send: Callable[[T], Awaitable[Outcomes]],
    ids: Callable[[T], Sequence[str]],
    table: Table,
) -> Outcomes:
    """Send each part, a few at once; return the outcomes of all their messages.

    `send` raises nothing that is the service's doing: see outcome_of. `ids` names the messages.
    """
    outcomes: dict[str, Outcome] = {}
    begun = asyncio.get_running_loop().time()
    waiting = iter(parts)
    halted: Outcome | None = None

    async def work() -> None:
        nonlocal halted
        for part in waiting:
            if halted is None and asyncio.get_running_loop().time() - begun > BATCH_SECONDS:
                halted = LATE
            if halted is not None:
                outcomes.update(dict.fromkeys(ids(part), halted))
                continue
            said = await send(part)
            outcomes.update(said)
            found = next((o for o in said.values() if halts(o, table)), None)
            halted = halted or found

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
    return outcomes


def grouped(items: Iterable[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    """Return items by their key, in the order they came."""
    groups: dict[str, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
