"""What many pollers read, handed to the intake together, without any of them waiting for it.

Pollers put their readings here and go on. One task hands over all that is there in one call, while
the next ones gather. What was put in is kept until the log has it, in a queue that has an end:
when it is full, nothing that was read is thrown away; pollers then do not poll, and count it.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec
import structlog

from wattwire.model import Reading, RefusedError, StatusChange
from wattwire.sources._poll_figures import PollFigures
from wattwire.sources.contract import Intake, SourceContext

#: Readings that arrive so close together share a call.
GATHER_SECONDS: Final = 0.005
READINGS_PER_CALL: Final = 1000
#: Readings that wait for the log, some 40 MB of them.
MAX_WAITING: Final = 20_000
ACCEPT_SECONDS: Final = 30.0
FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 5.0
#: What a source that is told to end has to hand over what is left.
FINISH_SECONDS: Final = 3.0

log = structlog.get_logger()


class Unreadable(NamedTuple):
    """An answer that could not be understood."""

    device: str
    topic: str  #: where it came from
    raw: bytes
    reason: str
    where: str


class _Batch(NamedTuple):
    """What is handed over together; one that was cut off is handed over again."""

    readings: Sequence[Reading]
    statuses: Sequence[StatusChange]
    unreadable: Sequence[Unreadable]

    @property
    def size(self) -> int:
        return len(self.readings) + len(self.unreadable)


class Collector:
    """Between the pollers of one source and the intake."""

    def __init__(
        self, intake: Intake, context: SourceContext, figures: PollFigures, format_name: str
    ) -> None:
        self._intake = intake
        self._context = context
        self._figures = figures
        self._format = format_name
        self._readings: deque[Reading] = deque()
        self._statuses: dict[str, StatusChange] = {}  #: the last one of each device
        self._unreadable: list[Unreadable] = []
        self._batch: _Batch | None = None
        self._work = asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether nothing more should be read for now."""
        return self.waiting >= MAX_WAITING

    @property
    def waiting(self) -> int:
        """How much is not in the log yet."""
        under_way = self._batch.size if self._batch is not None else 0
        return len(self._readings) + len(self._unreadable) + under_way

    def put(self, reading: Reading) -> None:
        """Take a reading; ask `full` before it is read."""
        self._readings.append(reading)
        self._figures.waiting += 1
        self._work.set()

    def keep(self, unreadable: Unreadable) -> None:
        """Take what is for the quarantine."""
        self._unreadable.append(unreadable)
        self._figures.waiting += 1
        self._work.set()

    def tell(self, status: StatusChange) -> None:
        """Take a device's coming or going, over what was told of it and not handed over yet."""
        self._statuses[status.device] = status
        self._work.set()

    async def run(self) -> None:
        """Hand over until cancelled."""
        while True:
            await self._work.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._work.clear()
            await self._hand_over_all()

    async def finish(self) -> None:
        """Hand over what is left, within a few seconds; what cannot be is counted and told."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_SECONDS):
                await self._hand_over_all()
        left = self.waiting
        self._figures.waiting -= left
        if left:
            self._figures.counts["dropped"] += left
            log.error("sources.readings_dropped", source=self._context.name, readings=left)

    async def _hand_over_all(self) -> None:
        while (batch := self._next()) is not None:
            keeping = [self._keep(found) for found in batch.unreadable]
            await asyncio.gather(self._hand_over(batch.readings, batch.statuses), *keeping)
            self._batch = None
            self._figures.waiting -= batch.size

    def _next(self) -> _Batch | None:
        if self._batch is None and (self._readings or self._statuses or self._unreadable):
            count = min(len(self._readings), READINGS_PER_CALL)
            readings = [self._readings.popleft() for _ in range(count)]
            self._batch = _Batch(readings, [*self._statuses.values()], self._unreadable)
            self._statuses, self._unreadable = {}, []
        return self._batch

    async def _hand_over(
        self, readings: Sequence[Reading], statuses: Sequence[StatusChange] = ()
    ) -> None:
        """Return once all is durable; readings that are refused one by one, in quarantine."""
        if not readings and not statuses:
            return
        owner = self._context.organization_id
        try:
            await self._insist(partial(self._intake.accept, owner, readings, statuses=statuses))
        except RefusedError as error:
            if not readings:
                raise  # nobody refuses statuses
            if len(readings) == 1 and not statuses:
                self._figures.counts["refused"] += 1
                await self._keep_reading(readings[0], error)
                return
            single = [self._hand_over([reading]) for reading in readings]
            await asyncio.gather(self._hand_over((), statuses), *single)

    async def _keep_reading(self, reading: Reading, error: RefusedError) -> None:
        """Keep a reading that intake refused, as JSON that can be fed back from the quarantine."""
        await self._quarantine(
            reading.shape.device, as_json(reading), "json", reading.shape.stream, error
        )

    async def _keep(self, found: Unreadable) -> None:
        error = RefusedError(found.reason, found.where)
        await self._quarantine(found.device, found.raw, self._format, found.topic, error)

    async def _quarantine(
        self, device: str, raw: bytes, format_name: str, topic: str, error: RefusedError
    ) -> None:
        await self._insist(
            partial(
                self._intake.quarantine,
                self._context.organization_id,
                raw,
                source=self._context.name,
                format=format_name,
                topic=topic,
                reason=error.reason,
                where=error.where,
                device_key=device,
            )
        )

    async def _insist(self, call: Callable[[], Awaitable[None]]) -> None:
        """Call until it is durable. A device does not say things twice: nobody else has this.

        Raises RefusedError only.
        """
        pause, since = FIRST_PAUSE_SECONDS, time.monotonic()
        while True:
            try:
                async with asyncio.timeout(ACCEPT_SECONDS):
                    await call()
            except RefusedError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the log, it may pass
                if pause == FIRST_PAUSE_SECONDS:
                    log.warning(
                        "sources.intake_failed", source=self._context.name, error=repr(error)
                    )
            else:
                if pause > FIRST_PAUSE_SECONDS:
                    seconds = round(time.monotonic() - since, 3)
                    log.info("sources.intake_back", source=self._context.name, seconds=seconds)
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


def as_json(reading: Reading) -> bytes:
    """Return a reading as the body of `POST /api/v1/readings`."""
    shape = reading.shape
    names = [channel.name for channel in shape.channels]
    item = {
        "device": shape.device,
        "stream": shape.stream,
        "time": reading.time // 1000,
        "values": dict(zip(names, reading.values, strict=True)),
        "kinds": {channel.name: str(channel.kind) for channel in shape.channels},
        "units": {channel.name: channel.unit for channel in shape.channels if channel.unit},
    }
    return msgspec.json.encode({"readings": [item]})
