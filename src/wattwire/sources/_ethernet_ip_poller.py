"""One device, polled for ever: its connection, its grid of instants, what is known of its link."""

import asyncio
import time
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

import structlog

from wattwire.formats.assembly_maps import AssemblyMap, read_values
from wattwire.formats.cip import ASSEMBLY_CLASS, ASSEMBLY_DATA
from wattwire.model import Reading, RefusedError, Shape, StatusChange
from wattwire.sources._collector import Collector, Unreadable
from wattwire.sources._ethernet_ip_link import (
    Address,
    Attribute,
    DeniedError,
    Link,
    LinkError,
    LostError,
    SilentError,
)
from wattwire.sources._poll_figures import DeviceFigures, PollFigures
from wattwire.sources._poll_grid import LEAST_GAP, Grid, Now, Slot, pause_before_retry

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 60.0
#: Failures in a row after which a device counts as gone: one alone is a hiccup.
GONE_AFTER: Final = 2
#: Of answers that cannot be read for the same reason, one in so many seconds is kept.
KEEP_SECONDS: Final = 60.0
#: How often both clocks are looked at; the quickest look counts.
LOOKS: Final = 3

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Polled:
    """A device and what is read of it."""

    key: str
    address: Address
    map: AssemblyMap
    exact: bool  #: whether an answer must be as long as the map says, or may be longer
    shape: Shape
    grid: Grid
    timeout_seconds: float


def now() -> Now:
    """Return this moment, as nearly as a process is told it that may be held up in between."""
    return min((_looked() for _ in range(LOOKS)), key=itemgetter(0))[1]


def _looked() -> tuple[int, Now]:
    """Return how long it took to look at both clocks, and what they said."""
    before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
    return after - before, Now((before + after) // 2000, wall // 1000)


class Poller:
    """Polls one device; waits for nobody but it."""

    def __init__(self, device: Polled, collector: Collector, everyone: PollFigures) -> None:
        self.device = device
        self.figures = DeviceFigures(everyone)
        self._collector = collector
        self._everyone = everyone
        self._link: Link | None = None
        self._linked = 0
        self._began = 0
        self._failures = 0
        self._retry_at = 0
        self._status = ""  #: what was told last
        self._kept: dict[tuple[str, str], float] = {}

    async def run(self) -> None:
        """Poll until cancelled."""
        grid = self.device.grid
        self._everyone.devices += 1
        try:
            slot = grid.after(now())
            while True:
                await self._wait_for(slot)
                await self._poll(slot)
                following = grid.after(now(), slot, not_before=self._retry_at)
                self.figures.count("missed", grid.skipped(slot, following))
                slot = following
        finally:
            self._everyone.devices -= 1
            self._everyone.answering -= self._status == "online"
            self._drop()

    async def _wait_for(self, slot: Slot) -> None:
        left = max(slot.due, self._began + LEAST_GAP) - now().steady
        if left > 0:
            await asyncio.sleep(left / 1e6)
        self._began = now().steady

    async def _poll(self, slot: Slot) -> None:
        if self._collector.full:
            self.figures.count("missed")
            return
        self.figures.late(max(self._began - slot.due, 0) / 1e6)
        self.figures.count("polls")
        try:
            answers = await self._fetch()
        except DeniedError as error:
            self._answered()
            self._set_aside(error.reason, error.answer, error.text, error.where)
        except LinkError as error:
            self._failed(error)
        else:
            self._answered()
            self._take(answers, slot)

    async def _fetch(self) -> dict[int, bytes]:
        """Return the assemblies of the map. A session that got lost is made anew, once."""
        lasting = self._link is not None
        try:
            return await self._read_all()
        except LostError:
            self._drop()
            if not lasting:
                raise
        return await self._read_all()

    async def _read_all(self) -> dict[int, bytes]:
        if self._link is None or not self._link.alive:
            self._drop()
            self._link = await Link.open(self.device.address, self.device.timeout_seconds)
            self.figures.count("reconnects", int(self._linked > 0))
            self._linked += 1
        answers = {}
        for instance, size in self.device.map.sizes.items():
            data = await self._link.read(Attribute(ASSEMBLY_CLASS, instance, ASSEMBLY_DATA))
            answers[instance] = data if self.device.exact else data[:size]
        return answers

    def _take(self, answers: dict[int, bytes], slot: Slot) -> None:
        """Make a reading of the answers, or set the one aside that cannot be read."""
        device = self.device
        instant = time.time_ns() // 1000 if slot.instant is None else slot.instant
        values: dict[str, float] = {}
        for instance, data in answers.items():
            try:
                values.update(read_values(device.map, {instance: data}))
            except RefusedError as error:
                self._set_aside("unreadable", data, error.reason, error.where)
                return
        self.figures.count("answered")
        in_order = [values[channel.name] for channel in device.shape.channels]
        self._collector.put(Reading(device.shape, instant // 1000 * 1000, in_order))

    def _set_aside(self, word: str, raw: bytes, reason: str, where: str) -> None:
        """Count what cannot be read; keep and tell of it once in a while."""
        self.figures.count(word)
        last = self._kept.get((word, where))
        if last is not None and self._began / 1e6 - last < KEEP_SECONDS:
            return
        self._kept[word, where] = self._began / 1e6
        device = self.device
        self._collector.keep(Unreadable(device.key, str(device.address), raw, reason, where))
        log.warning(
            "sources.answer_unreadable", device=device.key, address=str(device.address),
            reason=reason, where=where,
        )  # fmt: skip

    def _failed(self, error: LinkError) -> None:
        self.figures.count(error.reason)
        self._drop()
        self._failures += 1
        if self._failures < GONE_AFTER:
            return  # tried again at the next slot
        pause = pause_before_retry(
            self._failures - GONE_AFTER + 1,
            first=FIRST_PAUSE_SECONDS,
            longest=LONGEST_PAUSE_SECONDS,
        )
        self._retry_at = now().steady + int(pause * 1e6)
        self._tell("silent" if isinstance(error, SilentError) else "offline", str(error))

    def _answered(self) -> None:
        self._failures = 0
        self._retry_at = 0
        self._tell("online", "")

    def _tell(self, status: str, detail: str) -> None:
        """Tell how it stands with the device, when that is news."""
        was, self._status = self._status, status
        if was == status:
            return
        self._everyone.answering += (status == "online") - (was == "online")
        device = self.device
        self._collector.tell(StatusChange(device.key, status, time.time_ns() // 1000, detail))
        if status != "online":
            log.warning(
                "sources.device_lost", device=device.key, address=str(device.address),
                status=status, reason=detail,
            )  # fmt: skip
        elif was:
            log.info("sources.device_found", device=device.key, address=str(device.address))

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
