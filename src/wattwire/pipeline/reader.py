"""Reads one partition of the log from a given message on.

A consumer without acknowledgements: how far the partition has been stored is kept in the database,
in the transaction that stored it. Plain pull requests with one inbox; a request that is answered by
nothing at all means that the consumer is gone.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

import msgspec
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from wattwire.intake.log import STREAM, subject_of

PULL: Final = 64  #: log messages asked for at a time
PULLS: Final = 2  #: requests under way
EXPIRES_SECONDS: Final = 5.0
#: Beyond the life of a request, until a log that says nothing counts as gone.
SILENCE_SECONDS: Final = 2.0
MAX_SLICE_MESSAGES: Final = 24


class LogLostError(Exception):
    """The log's consumer is gone; read on with a new one."""


class LogMessage(NamedTuple):
    """One batch as the log keeps it."""

    sequence: int
    body: bytes


class LogReader:
    """Messages of one partition, in order. Made by `open_reader`."""

    def __init__(self, client: Any, consumer: str) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{consumer}"
        self._inbox = client.new_inbox()
        self._serials = itertools.count()
        self._waiting: dict[str, int] = {}  # open request -> messages still to come
        #: None: a request has ended, and another may be made.
        self._queue: asyncio.Queue[LogMessage | Exception | None] = asyncio.Queue()
        self._request = msgspec.json.encode({"batch": PULL, "expires": int(EXPIRES_SECONDS * 1e9)})

    async def subscribe(self) -> Any:
        """Listen for answers to the requests."""
        return await self._client.subscribe(
            f"{self._inbox}.*", cb=self._take, pending_msgs_limit=4 * PULL * PULLS
        )

    async def _ask(self) -> None:
        while len(self._waiting) < PULLS and self._queue.qsize() < PULL:
            reply = f"{self._inbox}.{next(self._serials)}"
            self._waiting[reply] = PULL
            await self._client.publish(self._subject, self._request, reply=reply)

    async def _take(self, message: Any) -> None:
        status = message.headers.get("Status") if message.headers else None
        if status:
            self._ended(message.subject, status)
            return
        self._count_down()
        self._queue.put_nowait(LogMessage(_sequence_of(message.reply), message.data))

    def _count_down(self) -> None:
        """Count a batch for the oldest request: the log answers them in order."""
        request = next(iter(self._waiting), None)
        if request is not None:
            self._waiting[request] -= 1
            if not self._waiting[request]:
                del self._waiting[request]

    def _ended(self, request: str, status: str) -> None:
        self._waiting.pop(request, None)
        over = status in {"404", "408"}  # no messages; time is up
        self._queue.put_nowait(None if over else LogLostError(f"the log answered {status}"))

    def interrupt(self, error: Exception) -> None:
        """End the reading: whoever waits for messages, or asks for more, gets this error."""
        self._queue.put_nowait(error)

    async def next_slice(self) -> list[LogMessage]:
        """Return the next messages, at least one, as many as are there up to a bound.

        Raises LogLostError when the log stays silent for longer than a request lasts, and what
        `interrupt` was given.
        """
        messages = [await self._first()]
        while len(messages) < MAX_SLICE_MESSAGES and not self._queue.empty():
            if (item := self._queue.get_nowait()) is not None:
                messages.append(_message(item))
        await self._ask()
        return messages

    async def _first(self) -> LogMessage:
        while True:
            await self._ask()
            asked = set(self._waiting)
            try:
                async with asyncio.timeout(EXPIRES_SECONDS + SILENCE_SECONDS):
                    item = await self._queue.get()
            except TimeoutError:
                if asked & self._waiting.keys():
                    raise LogLostError("the log does not answer") from None
                continue
            if item is not None:
                return _message(item)


def _message(item: LogMessage | Exception) -> LogMessage:
    if isinstance(item, Exception):
        raise item
    return item


def _sequence_of(reply: str) -> int:
    # $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>..., or with domain and account before.
    tokens = reply.split(".")
    return int(tokens[5] if len(tokens) == 9 else tokens[7])  # noqa: PLR2004 - as described above


@asynccontextmanager
async def open_reader(client: Any, partition: int, after: int) -> AsyncIterator[LogReader]:
    """Read a partition from the message after `after` on, for as long as the context lasts."""
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=after + 1,
        ack_policy=AckPolicy.NONE,
        filter_subject=subject_of(partition),
        inactive_threshold=30.0,
        mem_storage=True,
        num_replicas=1,
    )
    js = client.jetstream(timeout=5)
    info = await js.add_consumer(STREAM, config)
    reader = LogReader(client, info.name)
    subscription = await reader.subscribe()
    try:
        yield reader
    finally:
        with contextlib.suppress(NatsError, OSError, TimeoutError):
            await subscription.unsubscribe()
            await js.delete_consumer(STREAM, info.name)


async def trim_log(client: Any, partition: int, stored: int) -> None:
    """Let the log forget what has been stored of a partition, and nothing of others."""
    request = {"seq": stored + 1, "filter": subject_of(partition)}
    await client.request(f"$JS.API.STREAM.PURGE.{STREAM}", msgspec.json.encode(request), timeout=10)
