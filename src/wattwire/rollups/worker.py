"""The task that keeps rollups up to date, for as long as it holds the lease."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import asyncpg
import structlog

from wattwire.rollups.recompute import (
    KINDS,
    SLICE_BUCKETS,
    OnChanged,
    Patience,
    Repeating,
    Slice,
    ignore_changes,
    no_repeats,
    recompute_slice,
    take_due,
)
from wattwire.store import rollups as store

#: Days are not kept waiting for ever while hours keep coming.
SLICES_PER_PASS: Final = 20
#: How long streams that cannot be computed are left alone.
ASIDE_SECONDS: Final = 300.0
#: Notes folded in one transaction, and after how many times its duration they are folded again.
FOLD_NOTES: Final = 2_000
FOLD_SHARE: Final = 40.0
_BAD_DATA: Final = (ArithmeticError, ValueError, TypeError, LookupError, asyncpg.DataError)
RETRY_SECONDS: Final = 1.0
LONGEST_RETRY_SECONDS: Final = 30.0

log = structlog.get_logger()


class RollupWorker:
    """Recomputes stale buckets soon after they become quiet.

    `holds` says whether this process owns the lease; several owners at once do no harm.
    `on_changed` and `repeating` run in the transaction that writes the rollups, `after_commit` once
    it is committed. What is marked by other processes is noticed within `poll_seconds`.
    """

    def __init__(
        self,
        pool: Any,
        *,
        patience: Patience,
        holds: Callable[[], bool] = lambda: True,
        on_changed: OnChanged = ignore_changes,
        repeating: Repeating = no_repeats,
        after_commit: Callable[[], None] = lambda: None,
        poll_seconds: float = 0.2,
    ) -> None:
        self._pool = pool
        self._patience = patience
        self._holds = holds
        self._on_changed = on_changed
        self._repeating = repeating
        self._after_commit = after_commit
        self._poll_seconds = poll_seconds
        self.wake = asyncio.Event()  #: set by whoever marks buckets in this process
        self._set_aside: dict[int, float] = {}
        self._fold_after = 0.0  # by the monotonic clock
        self.settled = 0  #: stale buckets settled since the start
        self.changed = 0  #: rollups changed since the start

    async def run(self) -> None:
        """Work until cancelled. Database failures are retried, with a growing pause."""
        pause = RETRY_SECONDS
        while True:
            try:
                await self._work()
                pause = RETRY_SECONDS
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
                log.warning("rollups.pass_failed", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_RETRY_SECONDS)

    async def _work(self) -> None:
        """Pass over the stale buckets until nothing is due, then wait for more."""
        began = time.monotonic()
        if not await self.work_through():
            # Looking costs more the more is waiting to become quiet: at most a tenth of the time.
            await self._rest(9 * (time.monotonic() - began))

    async def _rest(self, least_seconds: float) -> None:
        """Wait until it is worth looking again: after the poll time, or a little after a wake."""
        seconds = max(self._poll_seconds, least_seconds)
        try:
            async with asyncio.timeout(seconds):
                await self.wake.wait()
        except TimeoutError:
            return
        self.wake.clear()
        # Whoever wakes us has just marked something, which is due only after the quiet time.
        quiet = self._patience.quiet.total_seconds()
        await asyncio.sleep(max(least_seconds, min(self._poll_seconds, quiet)))

    async def work_through(self) -> bool:
        """Compute what is due: hours, then days, then months; tell whether there was anything."""
        worked = False
        if self._holds() and time.monotonic() >= self._fold_after:
            await self._fold()
        for kind in KINDS:
            for _ in range(SLICES_PER_PASS):
                if not self._holds() or not await self._slice(kind):
                    break
                worked = True
        return worked

    async def _fold(self) -> None:
        """Turn what slices noted into marks.

        The longer it takes the longer it is left alone, so that a busy fleet is marked once for
        many of its readings; but never so long that the running hour is late.
        """
        began = time.monotonic()
        first, folded = await store.fold_notes(self._pool, FOLD_NOTES)
        while folded == FOLD_NOTES:
            _, folded = await store.fold_notes(self._pool, FOLD_NOTES)
        self._patience = self._patience._replace(folded_at=first)
        took = time.monotonic() - began
        longest = self._patience.quiet_limit.total_seconds() / 3
        self._fold_after = began + min(took * FOLD_SHARE, longest)

    async def _slice(self, kind: str) -> int:
        """Compute one slice; when that fails, find the stream to blame and set it aside."""
        try:
            done = await self._compute(kind, SLICE_BUCKETS)
        except _BAD_DATA as error:
            log.warning("rollups.slice_failed", kind=kind, error=f"{type(error).__name__}: {error}")
            return await self._slice_by_one(kind)
        return done.settled

    async def _slice_by_one(self, kind: str) -> int:
        settled = 0
        for _ in range(SLICE_BUCKETS):
            try:
                done = await self._compute(kind, 1)
            except _BAD_DATA as error:
                await self._set_first_aside(kind, error)
                continue
            if not done.settled:
                break
            settled += done.settled
        return settled

    async def _compute(self, kind: str, limit: int) -> Slice:
        done = await recompute_slice(
            self._pool,
            kind,
            self._patience,
            self._on_changed,
            repeating=self._repeating,
            limit=limit,
            skip=self._skipped(),
        )
        self.settled += done.settled
        self.changed += sum(not some.same for some in done.changed)
        if done.changed:
            self._after_commit()
        return done

    async def _set_first_aside(self, kind: str, error: Exception) -> None:
        """Leave the stream whose bucket could not be computed alone for a while."""
        async with self._pool.acquire() as connection, connection.transaction():
            first = await take_due(connection, kind, self._patience, limit=1, skip=self._skipped())
        for some in first:
            self._set_aside[some.stream_id] = time.monotonic() + ASIDE_SECONDS
            log.error("rollups.stream_set_aside", stream_id=some.stream_id, error=repr(error))

    def _skipped(self) -> list[int]:
        now = time.monotonic()
        self._set_aside = {stream: end for stream, end in self._set_aside.items() if end > now}
        return list(self._set_aside)
