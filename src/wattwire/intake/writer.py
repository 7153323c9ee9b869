"""Group commit into the log: collect while a commit is under way, commit at once when idle.

A batch is published with an id of its own; when its acknowledgement does not come it is published
again under the same id, so that the log keeps it once. What was handed over is released only when
the log has acknowledged, and the log acknowledges only what it has synced (see `durability`).
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog
from nats.errors import Error as NatsError

from wattwire.formats import log_batch
from wattwire.intake.log import partition_of, subject_of
from wattwire.model import Reading, Shape, StatusChange

MAX_MESSAGES: Final = 512
MAX_BYTES: Final = 256 * 1024
#: Commits under way per partition: one in the log's hands, one being packed.
COMMITS: Final = 2
ACK_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 0.25
#: After this long a batch is given back unsaved; its senders are told nothing and send it again.
GIVE_UP_SECONDS: Final = 20.0
#: More than this not yet in the log, and nothing more is taken.
MAX_BACKLOG_BYTES: Final = 64 * 1024 * 1024

Release = Callable[[bool], None]
log = structlog.get_logger()


class LogUnavailableError(Exception):
    """The log takes nothing at the moment."""


@dataclass(slots=True, eq=False)
class _Open:
    """A batch being collected."""

    shapes: dict[tuple[UUID, Shape], int] = field(default_factory=dict)
    batch: log_batch.LogBatch = field(default_factory=log_batch.LogBatch)
    releases: list[Release] = field(default_factory=list)
    size: int = 0


@dataclass(slots=True)
class WriterFigures:
    """Counters since the start; they only rise, but for the backlog."""

    messages: int = 0
    readings: int = 0
    commits: int = 0
    retries: int = 0
    given_up: int = 0
    backlog_bytes: int = 0
    fault: str = ""  #: why the log takes nothing at the moment


class LogWriter:
    """Writes to every partition of the log through one NATS connection."""

    def __init__(self, client: Any, *, partitions: int = 1) -> None:
        self._client = client
        self._partitions = partitions
        self._queues: list[list[_Open]] = [[] for _ in range(partitions)]
        self._work = [asyncio.Event() for _ in range(partitions)]
        self._acks: dict[str, asyncio.Future[Any]] = {}
        self._inbox = client.new_inbox()
        self._name = os.urandom(8).hex()
        self._serial = 0
        self.figures = WriterFigures()

    def submit(
        self,
        organization_id: UUID,
        readings: Sequence[Reading],
        statuses: Sequence[StatusChange],
        received_at: int,
        release: Release,
    ) -> None:
        """Take what one message said; `release(durable)` is called once, later."""
        groups = self._by_partition(organization_id, readings, statuses)
        if len(groups) > 1:
            release = _Countdown(len(groups), release)
        for partition, (some, changes) in groups.items():
            target = self._open(partition)
            self._add(target, organization_id, some, received_at)
            target.batch.statuses.extend(
                (organization_id, c.device, c.status, c.time, c.detail) for c in changes
            )
            self._close(target, 48 * len(changes), release)

    def submit_refused(self, entry: log_batch.QuarantineEntry, release: Release) -> None:
        """Take something for the quarantine."""
        target = self._open(partition_of(entry.organization_id, entry.device_key, self._partitions))
        target.batch.quarantine.append(entry)
        self._close(target, len(entry.raw) + 200, release)

    def _by_partition(
        self, organization_id: UUID, readings: Sequence[Reading], statuses: Sequence[StatusChange]
    ) -> dict[int, tuple[Sequence[Reading], Sequence[StatusChange]]]:
        if self._partitions == 1:
            return {0: (readings, statuses)}
        groups: dict[int, tuple[list[Reading], list[StatusChange]]] = {}
        for reading in readings:
            part = partition_of(organization_id, reading.shape.device, self._partitions)
            groups.setdefault(part, ([], []))[0].append(reading)
        for change in statuses:
            part = partition_of(organization_id, change.device, self._partitions)
            groups.setdefault(part, ([], []))[1].append(change)
        return dict(groups) or {0: ((), ())}

    def _open(self, partition: int) -> _Open:
        queue = self._queues[partition]
        if not queue or len(queue[-1].releases) >= MAX_MESSAGES or queue[-1].size >= MAX_BYTES:
            queue.append(_Open())
            self._work[partition].set()
        return queue[-1]

    @staticmethod
    def _add(
        target: _Open, organization_id: UUID, readings: Sequence[Reading], received_at: int
    ) -> None:
        shapes, batch = target.shapes, target.batch
        size = 0
        for shape, time, values, texts, quality in readings:
            key = (organization_id, shape)
            index = shapes.get(key)
            if index is None:
                index = shapes[key] = len(shapes)
                batch.shapes.append(key)
                size += 24 * len(shape.channels) + len(shape.device) + 40
            batch.rows.append((index, time, received_at, quality, values, texts))
            size += 9 * len(values) + 24
        target.size += size

    def _close(self, target: _Open, size: int, release: Release) -> None:
        target.size += size
        target.releases.append(release)
        self.figures.messages += 1

    async def run(self) -> None:
        """Commit until cancelled; then give back what is left, unsaved."""
        subscription = await self._client.subscribe(
            f"{self._inbox}.*", cb=self._acknowledged, pending_msgs_limit=65536
        )
        try:
            async with asyncio.TaskGroup() as group:
                for partition in range(self._partitions):
                    for _ in range(COMMITS):
                        group.create_task(self._commit_for_ever(partition))
        finally:
            self._give_back()
            with contextlib.suppress(NatsError, OSError):
                await subscription.unsubscribe()

    async def _commit_for_ever(self, partition: int) -> None:
        queue, work = self._queues[partition], self._work[partition]
        while True:
            await work.wait()
            # Whatever else arrives in this turn of the event loop shares the commit.
            await asyncio.sleep(0)
            if not queue:
                work.clear()
                continue
            await self._commit(partition, queue.pop(0))

    async def _commit(self, partition: int, target: _Open) -> None:
        body = log_batch.encode(target.batch)
        self._serial += 1
        name = f"{self._name}-{self._serial}"
        figures = self.figures
        figures.backlog_bytes += len(body)
        durable = False
        try:
            durable = await self._publish_until_kept(subject_of(partition), body, name)
        finally:
            figures.backlog_bytes -= len(body)
            figures.commits += durable
            figures.given_up += not durable
            figures.readings += len(target.batch.rows) if durable else 0
            for release in target.releases:
                release(durable)

    async def _publish_until_kept(self, subject: str, body: bytes, name: str) -> bool:
        deadline = asyncio.get_running_loop().time() + GIVE_UP_SECONDS
        while True:
            fault = await self._publish(subject, body, name)
            if not fault:
                self.figures.fault = ""
                return True
            if fault != self.figures.fault:
                log.warning("intake.commit_failed", fault=fault)
            self.figures.fault = fault
            self.figures.retries += 1
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(PAUSE_SECONDS)

    async def _publish(self, subject: str, body: bytes, name: str) -> str:
        """Publish once; return why it is not kept, or an empty text when it is."""
        reply = f"{self._inbox}.{name}"
        future = self._acks.setdefault(reply, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(ACK_SECONDS):
                await self._client.publish(
                    subject, body, reply=reply, headers={"Nats-Msg-Id": name}
                )
                return _fault_in(await future)
        except TimeoutError:
            return "the log did not answer"
        except (NatsError, OSError) as error:
            return f"the log cannot be reached: {error or type(error).__name__}"
        finally:
            self._acks.pop(reply, None)

    async def _acknowledged(self, message: Any) -> None:
        future = self._acks.get(message.subject)
        if future is not None and not future.done():
            future.set_result(message)

    def _give_back(self) -> None:
        for queue in self._queues:
            for target in queue:
                for release in target.releases:
                    release(False)
            queue.clear()

    @property
    def overloaded(self) -> bool:
        """True when nothing more should be handed over for now."""
        waiting = sum(target.size for queue in self._queues for target in queue)
        return self.figures.backlog_bytes + waiting > MAX_BACKLOG_BYTES


class _Countdown:
    """Releases once, when the last of several partitions has answered."""

    __slots__ = ("_durable", "_left", "_release")

    def __init__(self, parts: int, release: Release) -> None:
        self._left = parts
        self._durable = True
        self._release = release

    def __call__(self, durable: bool) -> None:  # noqa: FBT001 - the signature of Release
        self._left -= 1
        self._durable &= durable
        if self._left == 0:
            self._release(self._durable)


def _fault_in(answer: Any) -> str:
    if answer.headers and answer.headers.get("Status"):
        return "the log is not there"
    ack = msgspec.json.decode(answer.data)
    error = ack.get("error")
    return str(error.get("description", error)) if error else ""
