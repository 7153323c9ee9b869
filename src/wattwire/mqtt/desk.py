"""What all connections of one door share, and the one place where acknowledgements are gathered."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from wattwire.mqtt.contract import Hub
from wattwire.mqtt.keeper import Keeper
from wattwire.mqtt.limits import Counters, Limits
from wattwire.mqtt.session import Budget


class Settling(Protocol):
    """Has released messages to acknowledge and pass on."""

    def settle(self) -> None:
        """Acknowledge what was released since the last time."""


class Flushing(Protocol):
    """Has packets to write."""

    def flush(self) -> None:
        """Write all of them in one go."""


class Held(Protocol):
    """Is not read because too much of the whole door is not durable yet."""

    def go_on(self) -> None:
        """Read again."""


@dataclass(slots=True, eq=False)
class Desk:
    """The shared things of a door.

    A commit of the hub releases hundreds of messages of dozens of connections one by one. Each
    touched connection is noted once, and on the next turn of the loop all are settled, then all
    are written: one write per connection however many acknowledgements it gets.
    """

    hub: Hub
    limits: Limits
    counters: Counters
    keeper: Keeper
    budget: Budget
    loop: asyncio.AbstractEventLoop
    unreleased_bytes: int = 0
    wills: int = 0  #: handed to the hub and not yet durable
    held: list[Held] = field(default_factory=list)
    tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    remote_interest: Callable[[UUID, str], bool] = lambda _organization_id, _topic: False
    on_published: Callable[[UUID, str, bytes, int, bool], None] = lambda *_: None
    _settling: list[Settling] = field(default_factory=list)
    _flushing: list[Flushing] = field(default_factory=list)
    _called: bool = False

    def settle_soon(self, inbox: Settling) -> None:
        """Have an inbox settled on the next turn; the caller sees to it that it asks once."""
        self._settling.append(inbox)
        self._call()

    def flush_soon(self, outbox: Flushing) -> None:
        """Have an outbox written on this or the next turn; the caller asks once."""
        self._flushing.append(outbox)
        self._call()

    def _call(self) -> None:
        if not self._called:
            self._called = True
            self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._called = False
        settling, self._settling = self._settling, []
        for inbox in settling:
            inbox.settle()
        flushing, self._flushing = self._flushing, []
        for outbox in flushing:
            outbox.flush()
        if self.held and self.unreleased_bytes <= self.limits.unreleased_bytes_total // 2:
            held, self.held = self.held, []
            for connection in held:
                connection.go_on()

    def spawn(self, task: "asyncio.Task[None]") -> None:
        """Hold on to a task until it ends."""
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
