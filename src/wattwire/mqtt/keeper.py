"""Stores what must survive the process, in order per key, without holding up the door.

A few lanes, each a queue with one task. All writes of one key go through the same lane, so that
they never overlap and never change places. A write that fails is tried again a few times; when it
is given up, that is counted and logged, and whoever waits is told.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, NamedTuple, TypeVar

import structlog

from wattwire.endings import end
from wattwire.mqtt.limits import Counters

T = TypeVar("T")

LANES: Final = 8
CAPACITY: Final = 20_000  #: writes waiting in one lane
DELAYS: Final = (0.1, 0.5, 2.0)  #: seconds before each further try

log = structlog.get_logger()


class _Job(NamedTuple):
    name: str
    run: Callable[[], Awaitable[Any]]
    then: Callable[[bool], None] | None


class Keeper:
    """The lanes. Use on one event loop: start, submit or run, stop."""

    def __init__(self, counters: Counters, seconds: float) -> None:
        self._counters = counters
        self._seconds = seconds  #: limit of one try
        self._lanes: list[asyncio.Queue[_Job]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, died: Callable[["asyncio.Task[None]"], None]) -> None:
        """Begin; `died` is told when a lane ends although it should not."""
        self._lanes = [asyncio.Queue(CAPACITY) for _ in range(LANES)]
        self._tasks = [asyncio.create_task(self._work(lane)) for lane in self._lanes]
        for task in self._tasks:
            task.add_done_callback(died)

    async def stop(self, seconds: float) -> None:
        """Finish what is waiting, for at most so long, and end."""
        waiting = [asyncio.create_task(lane.join()) for lane in self._lanes]
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)
        await end(*waiting, *self._tasks)

    def submit(
        self,
        name: str,
        key: Hashable,
        write: Callable[[], Awaitable[Any]],
        then: Callable[[bool], None] | None = None,
    ) -> None:
        """Do a write when those before it are done; `then` learns whether it succeeded."""
        job = _Job(name, write, then)
        try:
            self._lane(key).put_nowait(job)
        except asyncio.QueueFull:
            self._give_up(job, "too many writes are waiting")

    async def run(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Read something after the writes before it. Raises what the last try raised."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def once() -> None:
            try:
                value = await read()
            except Exception as error:  # noqa: BLE001 - whatever went wrong is for the one who asked
                if not answer.done():
                    answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(value)

        def ended(durable: bool) -> None:  # noqa: FBT001 - the shape of every `then`
            if not durable and not answer.done():
                answer.set_exception(TimeoutError("the store did not answer"))

        self.submit("read", key, once, ended)
        return await answer

    def _lane(self, key: Hashable) -> asyncio.Queue[_Job]:
        return self._lanes[hash(key) % len(self._lanes)]

    async def _work(self, lane: asyncio.Queue[_Job]) -> None:
        while True:
            job = await lane.get()
            try:
                await self._do(job)
            finally:
                lane.task_done()

    async def _do(self, job: _Job) -> None:
        for delay in (*DELAYS, None):
            try:
                async with asyncio.timeout(self._seconds):
                    await job.run()
            except Exception as error:  # noqa: BLE001 - the edge of a task: a lane outlives any write
                if delay is None:
                    self._give_up(job, repr(error))
                    return
                await asyncio.sleep(delay)
            else:
                self._tell(job, durable=True)
                return

    def _give_up(self, job: _Job, reason: str) -> None:
        self._counters.writes_failed += 1
        log.error("mqtt.write_failed", write=job.name, reason=reason[:500])
        self._tell(job, durable=False)

    def _tell(self, job: _Job, *, durable: bool) -> None:
        if job.then is None:
            return
        try:
            job.then(durable)
        except Exception:
            log.exception("mqtt.write_failed", write=job.name, reason="its follow-up raised")
