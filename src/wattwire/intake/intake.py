"""The way into the log for every source: decode, check, hand to the writer."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol
from uuid import UUID

import structlog

from wattwire.formats import log_batch
from wattwire.intake.checks import find_fault, find_shape_fault
from wattwire.intake.writer import LogUnavailableError, LogWriter, Release
from wattwire.model import Decoded, Reading, RefusedError, Shape, StatusChange

#: Readings of one call that share a log message.
CHUNK: Final = 1000
#: What is kept of one message in quarantine.
MAX_RAW_BYTES: Final = 1024 * 1024
MAX_SHAPES: Final = 200_000

log = structlog.get_logger()


class Directory(Protocol):
    """What intake asks about devices. `takes` may raise LookupError: not loaded."""

    def takes(self, organization_id: UUID, device: str, /) -> bool: ...  # noqa: D102
    async def load(self, organization_id: UUID, devices: list[str], /) -> None: ...  # noqa: D102


class Origin(Protocol):
    """Where a message came from, for the quarantine."""

    @property
    def source(self) -> str: ...  # noqa: D102 - as the columns of table quarantine
    @property
    def format(self) -> str: ...  # noqa: D102
    @property
    def topic(self) -> str: ...  # noqa: D102
    @property
    def credential_id(self) -> int | None: ...  # noqa: D102


class IntakeFigures:
    """Counters since the start."""

    def __init__(self) -> None:
        self.taken = 0
        self.refused = 0


class Intake:
    """One for each process that takes readings."""

    def __init__(self, writer: LogWriter, directory: Directory) -> None:
        self._writer = writer
        self._directory = directory
        self._sound: dict[Shape, RefusedError | None] = {}
        self.figures = IntakeFigures()

    def check(self, organization_id: UUID, readings: Sequence[Reading], now: int) -> None:
        """Raise RefusedError for the first fault, LookupError when a device must be loaded."""
        for shape in {id(r.shape): r.shape for r in readings}.values():
            fault = self._shape_fault(shape)
            if fault is not None:
                raise fault
            if not self._directory.takes(organization_id, shape.device):
                raise RefusedError(
                    "this device is not known, and unknown ones are not taken", "device"
                )
        fault = find_fault(readings, now)
        if fault is not None:
            raise fault

    def _shape_fault(self, shape: Shape) -> RefusedError | None:
        try:
            return self._sound[shape]
        except KeyError:
            if len(self._sound) >= MAX_SHAPES:
                self._sound.clear()
            self._sound[shape] = fault = find_shape_fault(shape)
            return fault

    def submit(self, organization_id: UUID, decoded: Decoded, now: int, release: Release) -> None:
        """Hand checked readings to the log; `release(durable)` follows once."""
        self.figures.taken += 1
        self._writer.submit(organization_id, decoded.readings, decoded.statuses, now, release)

    def refuse(
        self,
        organization_id: UUID,
        origin: Origin,
        raw: bytes,
        error: RefusedError,
        release: Release,
        *,
        device: str = "",
    ) -> None:
        """Keep something unreadable, with the reason; `release(durable)` follows once."""
        self.figures.refused += 1
        entry = log_batch.QuarantineEntry(
            organization_id=organization_id,
            received_at=time.time_ns() // 1000,
            source=origin.source,
            format=origin.format,
            topic=origin.topic,
            raw=raw[:MAX_RAW_BYTES],
            reason=error.reason,
            where=error.where,
            device_key=device[:255],
            credential_id=origin.credential_id,
        )
        self._writer.submit_refused(entry, release)

    async def accept(
        self,
        organization_id: UUID,
        readings: Sequence[Reading],
        *,
        statuses: Sequence[StatusChange] = (),
    ) -> None:
        """Take checked readings; return once they are durable. Raises LogUnavailableError."""
        now = time.time_ns() // 1000
        chunks = [readings[i : i + CHUNK] for i in range(0, len(readings), CHUNK)] or [()]
        waiting = []
        for index, chunk in enumerate(chunks):
            said = Decoded(readings=chunk, statuses=statuses if index == 0 else ())
            waiting.append(self._durable(partial(self.submit, organization_id, said, now)))
        await asyncio.gather(*waiting)

    async def keep(
        self,
        organization_id: UUID,
        origin: Origin,
        raw: bytes,
        error: RefusedError,
        *,
        device: str = "",
    ) -> None:
        """Like `refuse`; return once it is durable. Raises LogUnavailableError."""
        await self._durable(
            partial(self.refuse, organization_id, origin, raw, error, device=device)
        )

    def _durable(self, hand_over: Callable[[Release], None]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._writer.overloaded:
            future.set_exception(
                LogUnavailableError(self._writer.figures.fault or "too much waits")
            )
            return future

        def release(durable: bool) -> None:  # noqa: FBT001 - the signature of Release
            if future.done():
                return
            if durable:
                future.set_result(None)
            else:
                future.set_exception(LogUnavailableError(self._writer.figures.fault))

        hand_over(release)
        return future

    async def check_loading(
        self, organization_id: UUID, readings: Sequence[Reading], now: int
    ) -> None:
        """Like `check`, loading devices as needed."""
        try:
            self.check(organization_id, readings, now)
        except LookupError:
            devices = sorted({reading.shape.device for reading in readings})
            await self._directory.load(organization_id, devices)
            self.check(organization_id, readings, now)
