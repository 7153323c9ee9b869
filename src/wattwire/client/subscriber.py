"""Subscriptions: `subscribe` for asyncio, `listen` for everything else."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from wattwire.client.broker import Broker
from wattwire.client.limits import Limits
from wattwire.client.link import CONNECT_SECONDS, Link
from wattwire.client.mailbox import Mailbox
from wattwire.client.results import Told, UnreachableError

GOODBYE_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 60.0  #: of one wait, where the whole has no end


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is asked for."""

    broker: Broker
    filters: tuple[str, ...]
    qos: int
    request_rebirths: bool
    seconds: float | None
    limits: Limits

    def link(self, mailbox: Mailbox) -> Link:
        """Return what fulfils it, not started yet."""
        return Link(
            self.broker,
            self.filters,
            mailbox,
            self.limits,
            qos=self.qos,
            request_rebirths=self.request_rebirths,
        )

    @property
    def opening_seconds(self) -> float:
        """How long to wait for the first connection: the last try may end a little later."""
        return self.limits.connect_seconds + 2 * CONNECT_SECONDS

    def waits(self) -> Iterator[float]:
        """Yield how long to wait, time after time, until the end."""
        end = None if self.seconds is None else time.monotonic() + self.seconds
        while end is None or end > time.monotonic():
            left = LOOK_SECONDS if end is None else end - time.monotonic()
            yield min(max(left, 0.0), LOOK_SECONDS)


class Listener:
    """A subscription for programs without asyncio. Made by `listen`; use it with `with`."""

    def __init__(self, wish: _Wish) -> None:
        self._wish = wish
        self._mailbox = Mailbox(wish.limits)
        self._link = wish.link(self._mailbox)

    def __enter__(self) -> Self:
        mailbox = self._mailbox
        self._link.start()
        try:
            stands = mailbox.wait(self._wish.opening_seconds, lambda: mailbox.is_open)
        except BaseException:
            self._link.stop()
            raise
        if not stands:
            self._link.stop()
            raise UnreachableError("the broker does not answer")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._link.stop()
        self._link.join(GOODBYE_SECONDS)

    def receive(self, seconds: float) -> list[Told]:
        """Wait so long for something, and return all that is there, oldest first.

        Raises ClientError when the subscription has ended.
        """
        mailbox = self._mailbox
        mailbox.wait(seconds, lambda: mailbox.has_news or mailbox.has_ended)
        return mailbox.take()

    def __iter__(self) -> Iterator[Told]:
        for seconds in self._wish.waits():
            yield from self.receive(seconds)
            if self._mailbox.has_ended and not self._mailbox.has_news:
                return


class Subscriber:
    """A subscription for asyncio. Made by `subscribe`; use it with `async with`."""

    def __init__(self, wish: _Wish) -> None:
        self._wish = wish
        self._changed = asyncio.Event()
        self._mailbox = Mailbox(wish.limits, self._wake)
        self._link = wish.link(self._mailbox)
        self._loop: asyncio.AbstractEventLoop | None = None

    def _wake(self) -> None:
        if self._loop is not None and not self._changed.is_set():
            with suppress(RuntimeError):  # the loop is closed: nobody reads any more
                self._loop.call_soon_threadsafe(self._changed.set)

    async def __aenter__(self) -> Self:
        mailbox = self._mailbox
        self._loop = asyncio.get_running_loop()
        self._link.start()
        try:
            stands = await self._wait(self._wish.opening_seconds, lambda: mailbox.is_open)
        except BaseException:
            self._link.stop()
            raise
        if not stands:
            self._link.stop()
            raise UnreachableError("the broker does not answer")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._link.stop()
        await asyncio.to_thread(self._link.join, GOODBYE_SECONDS)

    async def receive(self, seconds: float) -> list[Told]:
        """Wait so long for something, and return all that is there, oldest first.

        Raises ClientError when the subscription has ended.
        """
        mailbox = self._mailbox
        await self._wait(seconds, lambda: mailbox.has_news or mailbox.has_ended)
        return mailbox.take()

    async def _wait(self, seconds: float, condition: Callable[[], bool]) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    self._changed.clear()  # first: what changes after the look sets it again
                    if condition():
                        return True
                    await self._changed.wait()
        except TimeoutError:
            return condition()

    async def __aiter__(self) -> AsyncIterator[Told]:
        for seconds in self._wish.waits():
            for result in await self.receive(seconds):
                yield result
            if self._mailbox.has_ended and not self._mailbox.has_news:
                return


def subscribe(
    broker: Broker | str,
    *filters: str,
    qos: int = 1,
    request_rebirths: bool = False,
    seconds: float | None = None,
    limits: Limits | None = None,
) -> Subscriber:
    """Subscribe to topic filters; `async with` it, then `async for` its results.

    `broker` is a `Broker` or the URL of one that asks for no login. `request_rebirths` asks edge
    nodes for their births where their data cannot be understood without; the login must be allowed
    to publish to `spBv1.0/GROUP/NCMD/#`, or the hub's door cuts the connection. `seconds` ends the
    iteration after so long; without it, it lasts until an error.

    Entering waits until the subscription stands. It raises RefusedByBrokerError when the broker
    says no, UnreachableError when it does not answer within `limits.connect_seconds`. A connection
    that is lost is told as `Interrupted` and made again, with growing pauses; after
    `limits.away_seconds` without one the iteration raises UnreachableError. Results come from
    memory: what a slow reader leaves beyond the limits is counted in a `Missed`.
    """
    return Subscriber(_wish(broker, filters, qos, request_rebirths, seconds, limits))


def listen(
    broker: Broker | str,
    *filters: str,
    qos: int = 1,
    request_rebirths: bool = False,
    seconds: float | None = None,
    limits: Limits | None = None,
) -> Listener:
    """Subscribe as `subscribe` does, without asyncio: `with` it, then `for` its results."""
    return Listener(_wish(broker, filters, qos, request_rebirths, seconds, limits))


def _wish(
    broker: Broker | str,
    filters: tuple[str, ...],
    qos: int,
    request_rebirths: bool,  # noqa: FBT001 - passed on from a keyword
    seconds: float | None,
    limits: Limits | None,
) -> _Wish:
    if not filters or not all(filters):
        raise ValueError("at least one topic filter is needed, such as spBv1.0/pm500/#")
    made = Broker(url=broker) if isinstance(broker, str) else broker
    return _Wish(made, filters, qos, request_rebirths, seconds, limits or Limits())
