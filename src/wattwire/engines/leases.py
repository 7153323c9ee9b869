"""Who does what, when several workers could: a lease has one owner at a time.

An owner that dies or cannot reach the database loses its leases: for itself at the latest a moment
before another may take them. No two clocks are compared: the database decides when a lease has
expired, and the owner counts on its own clock from before it asked.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

import asyncpg
import structlog

from wattwire.store import leases as store

#: With workers that try to take over every 2 s, a dead owner's work goes on within 10 s.
TTL: Final = timedelta(seconds=7)
#: How long before the database does so the owner gives a lease up, as a part of its life.
MARGIN: Final = 0.15
_TROUBLE: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

T = TypeVar("T")
log = structlog.get_logger()


def _clock() -> float:
    """Seconds that also pass while the machine sleeps, where the system has such a clock."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@dataclass(frozen=True, slots=True)
class _Held:
    epoch: int
    deadline: float  #: by `_clock`


class Leases:
    """The leases of one owner: a name that no other process, nor an earlier run, ever uses.

    `run()` has to run for as long as leases are held. `on_lost(name)` is called once for each lease
    that is lost, never for one that is released; it must not block. The pool should not be one
    whose connections long transactions use up: a renewal that waits for one is a lease lost.
    """

    def __init__(
        self,
        pool: Any,
        owner: str,
        ttl: timedelta = TTL,
        on_lost: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self._pool = pool
        self._owner = owner
        self._ttl = ttl
        self._beat = ttl.total_seconds() / 3
        self._on_lost = on_lost
        self._held: dict[str, _Held] = {}
        self._turn = asyncio.Lock()  # a renewal under way must not undo a release
        self._abandoned: set[asyncio.Task[Any]] = set()

    @property
    def owner(self) -> str:
        """Who we are to the database."""
        return self._owner

    def held(self, name: str) -> int | None:
        """Return the epoch of a lease that is ours at this instant, for `store.leases.fence`.

        The epoch rises whenever the owner changes. None from the moment another might have it.
        """
        lease = self._held.get(name)
        return lease.epoch if lease and _clock() < lease.deadline else None

    def names(self) -> set[str]:
        """Return what is ours at this instant."""
        now = _clock()
        return {name for name, lease in self._held.items() if now < lease.deadline}

    async def acquire(self, names: Sequence[str], most: int | None = None) -> set[str]:
        """Take what is free, expired or ours among `names`; return what is ours of them now.

        At most `most` are taken. Raises OSError, TimeoutError or an asyncpg error when the database
        cannot be asked.
        """
        if not names or most == 0:
            return self.names() & set(names)
        async with self._turn:
            deadline = self._next_deadline()
            taken = await self._within(
                self._beat, store.acquire(self._pool, names, self._owner, self._ttl, most)
            )
            self._held |= {name: _Held(epoch, deadline) for name, epoch in taken.items()}
        return self.names() & set(names)

    async def join(self, company: str) -> int:
        """Be one of those who share some work; return how many they are, us included.

        Who joined is one of them until the process ends. Raises as `acquire` does.
        """
        ours = f"{company}@{self._owner}"
        if self.held(ours) is None:
            await self.acquire([ours])
        return await self._within(self._beat, store.count_company(self._pool, f"{company}@"))

    async def release(self, names: Iterable[str]) -> None:
        """Let others have these leases at once; what cannot be told to the database expires."""
        async with self._turn:
            mine = [name for name in names if self._held.pop(name, None)]
            if not mine:
                return
            try:
                await self._within(self._beat, store.release(self._pool, mine, self._owner))
            except _TROUBLE as error:
                log.warning("engines.leases_abandoned", names=mine, error=repr(error))

    async def release_all(self) -> None:
        """Let others have all our leases at once."""
        await self.release(list(self._held))

    async def run(self) -> None:
        """Renew every third of a lease's life, all in one statement; drop what runs out."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew_for_ever())
            tasks.create_task(self._watch_deadlines())

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._beat)
            async with self._turn:
                await self._renew()

    async def _watch_deadlines(self) -> None:
        while True:
            for name in self._held.keys() - self.names():
                self._lose(name)
            first = min((lease.deadline for lease in self._held.values()), default=float("inf"))
            await asyncio.sleep(max(0.0, min(first - _clock(), self._beat)))

    async def _renew(self) -> None:
        asked = dict(self._held)
        if not asked:
            return
        deadline = self._next_deadline()
        left = min(lease.deadline for lease in asked.values()) - _clock()
        try:
            answers = await self._within(
                min(self._beat, left), store.renew(self._pool, asked, self._owner, self._ttl)
            )
        except _TROUBLE as error:
            log.warning("engines.lease_renewal_failed", held=len(asked), error=repr(error))
            return
        for name, lease in asked.items():
            answer = answers.get(name)
            if answer is None or not answer.ours:
                self._lose(name)
            elif answer.renewed and self.held(name) == lease.epoch:
                self._held[name] = _Held(lease.epoch, deadline)

    def _lose(self, name: str) -> None:
        if self._held.pop(name, None) is None:
            return
        log.warning("engines.lease_lost", name=name, owner=self._owner)
        try:
            self._on_lost(name)
        except Exception:  # the edge of another's code: the other leases still need their renewal
            log.exception("engines.lease_callback_failed", name=name)

    async def _within(self, seconds: float, question: Coroutine[Any, Any, T]) -> T:
        """Ask the database, but not for longer. Raises TimeoutError.

        A cancelled query waits for the server to confirm; a server that hangs must not make us
        wait with it. At most as many are left behind as the pool has connections.
        """
        task = asyncio.create_task(question)
        try:
            await asyncio.wait({task}, timeout=max(0.0, seconds))
            if task.done():
                return task.result()
            raise TimeoutError(f"no answer within {seconds:.1f} s")
        finally:
            if not task.done():
                task.cancel()
                self._abandoned.add(task)
                task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # it has been seen: nobody waits for it any more

    def _next_deadline(self) -> float:
        return _clock() + self._ttl.total_seconds() * (1 - MARGIN)
