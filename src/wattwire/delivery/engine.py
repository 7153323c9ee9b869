"""What all lanes of a process share."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from wattwire.delivery.breaker import Rule
from wattwire.delivery.clock import Clock
from wattwire.integrations.contract import Surroundings
from wattwire.store.deliveries import Settlement

Settled = Callable[[], None]


class Engine(Protocol):
    """The process' side of a lane: time, luck, the two doors to the store."""

    clock: Clock
    rule: Rule
    random: Callable[[], float]
    surroundings: Surroundings
    stopping: bool

    def ask(self, lane: Any) -> None:
        """Fetch rows for a lane soon; it is asked what it wants when that happens."""

    def put(self, settlement: Settlement, settled: Settled) -> None:
        """Write what happened soon; call `settled` when it is durable."""

    def owns(self, lane: Any) -> bool:
        """Return whether a lane's lease is still ours, at this instant."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the background and see to what becomes of it."""
