"""Which of the waiting messages travel together, and how long they wait for each other. Pure."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from itertools import islice, takewhile

from wattwire.delivery.batcher import count_fitting
from wattwire.delivery.items import Item
from wattwire.delivery.plan import Plan
from wattwire.model import EPOCH


class Refusals:
    """Messages that were refused as one: in how small parts they travel, until one is to blame.

    Kept in memory: after a restart they begin as one again.
    """

    def __init__(self) -> None:
        self._largest: dict[int, int] = {}

    def split(self, refused: AbstractSet[int]) -> None:
        """Hear that these sequences were refused together: the next parts are half as large."""
        self._largest |= dict.fromkeys(refused, max(1, len(refused) // 2))

    def forget(self, sequences: Iterable[int]) -> None:
        """Hear that these are settled."""
        for sequence in sequences:
            self._largest.pop(sequence, None)

    def part_of(self, ready: Iterable[Item], first: Item) -> Iterable[Item]:
        """Return which of the first messages may travel as one with the first of all."""
        largest = self._largest.get(first.row.sequence)
        alike = takewhile(lambda item: self._largest.get(item.row.sequence) == largest, ready)
        return islice(alike, largest)


def count_next(ready: Sequence[Item], plan: Plan, refusals: Refusals) -> int:
    """Return how many of the waiting messages, at least one, the next batch takes."""
    company = refusals.part_of(_company(ready, plan), ready[0])
    return count_fitting((item.message for item in company), plan.limits)


def seconds_to_linger(
    ready: Sequence[Item], plan: Plan, refusals: Refusals, enough: int, now: datetime
) -> float:
    """Return how long the next batch waits for further messages; 0 or less: it may leave.

    It leaves when its period is over, when it is full, and when as many wait as are kept in memory.
    """
    if not plan.linger_seconds:
        return 0.0
    first, last = (
        _period(item.row.queued_at, plan.linger_seconds) for item in (ready[0], ready[-1])
    )
    if first != last or len(ready) >= min(plan.limits.max_messages, enough):
        return 0.0
    left = _seconds_left(first, plan.linger_seconds, now)
    # Only what still has time is worth adding up.
    return 0.0 if left <= 0 or count_next(ready, plan, refusals) < len(ready) else left


def may_probe(items: Sequence[Item], plan: Plan) -> Sequence[Item]:
    """Return which of the first messages may be sent alone, ahead of the others.

    Where order is kept, the oldest of each device: no later one may overtake it.
    """
    if not plan.ordered:
        return items
    oldest: dict[str, Item] = {}
    for item in items:
        oldest.setdefault(item.message.device, item)
    return list(oldest.values())


def _company(ready: Sequence[Item], plan: Plan) -> Iterable[Item]:
    """Return those that may travel with the first.

    A message that failed before travels alone and fails alone, unless all become one anyway.
    """
    first = ready[0]
    if plan.linger_seconds:
        period = _period(first.row.queued_at, plan.linger_seconds)
        return takewhile(
            lambda item: _period(item.row.queued_at, plan.linger_seconds) == period, ready
        )
    if plan.together:
        return ready
    if first.row.burnt:
        return (first,)
    return takewhile(lambda item: not item.row.burnt, ready)


def _period(queued_at: datetime, linger_seconds: float) -> int:
    """Return the number of the period in which a message was queued.

    Periods are the same for everyone and at every time: a batch that is cut again after a crash is
    the batch that it was before.
    """
    return (queued_at - EPOCH) // timedelta(seconds=linger_seconds)


def _seconds_left(period: int, linger_seconds: float, now: datetime) -> float:
    over = EPOCH + (period + 1) * timedelta(seconds=linger_seconds)
    return (over - now).total_seconds()
