"""Looks at the queues by itself: for rows of which nobody told, rows that are too old, idle links.

Wakes may be lost, and sequences may become visible out of order. So the end of every queue that
stands still is looked at twice a second, all in one query, from where it was read a moment ago; and
the whole of it once in a while.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog

from wattwire.delivery.clock import Clock
from wattwire.delivery.lane import Lane
from wattwire.store import deliveries
from wattwire.store.standing import StandingConnection

#: Of so many polls, one looks at whole queues, and one lets the reading position follow.
SWEEP_POLLS: Final = 60
TICK_POLLS: Final = 4
EXPIRY_POLLS: Final = 60
EXPIRED_AT_ONCE: Final = 500

log = structlog.get_logger()


class Lookout:
    """The periodic part of a worker."""

    def __init__(
        self, pool: Any, clock: Clock, lanes: Mapping[int, Lane], poll_seconds: float
    ) -> None:
        self._connection = StandingConnection(pool)
        self._clock = clock
        self._lanes = lanes
        self._poll_seconds = poll_seconds
        self._polls = 0
        self.busy = False

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                await self._clock.sleep(self._poll_seconds)
                self._polls += 1
                self.busy = True
                try:
                    await self._look(await self._connection.get())
                except deliveries.TROUBLE as error:
                    log.warning("delivery.look_failed", error=str(error) or type(error).__name__)
                    await self._connection.drop()
                finally:
                    self.busy = False
        finally:
            await self._connection.drop()

    async def _look(self, connection: Any) -> None:
        await self._show_figures(connection)
        await self._find_rows(connection)
        if self._polls % TICK_POLLS == 0:
            for lane in self._lanes.values():
                lane.window.tick()
                lane.rest()
        if self._polls % EXPIRY_POLLS == 0:
            await self._find_expired(connection)

    async def _show_figures(self, connection: Any) -> None:
        figures = [f for lane in self._lanes.values() if (f := lane.figures()) is not None]
        if figures:
            await deliveries.set_figures(connection, figures)

    async def _find_rows(self, connection: Any) -> None:
        whole = self._polls % SWEEP_POLLS == 0
        places = [p for lane in self._lanes.values() if (p := lane.place(whole=whole)) is not None]
        if places:
            found = await deliveries.find_work(connection, places)
            for integration_id, sequences in _grouped(found).items():
                if lane := self._lanes.get(integration_id):
                    lane.found(sequences)

    async def _find_expired(self, connection: Any) -> None:
        """Give up what is too old, also where nothing is sent at the moment."""
        now = self._clock.now()
        cutoffs = [(lane.id, now - lane.max_age) for lane in self._lanes.values()]
        for limit in (1, EXPIRED_AT_ONCE):  # the oldest row tells whether there are others
            if not cutoffs:
                return
            found = _grouped(await deliveries.find_expired(connection, cutoffs, limit))
            cutoffs = [(i, at) for i, at in cutoffs if i in found]
        for integration_id, sequences in found.items():
            if lane := self._lanes.get(integration_id):
                lane.expire(sequences)


def _grouped(pairs: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    groups = defaultdict(list)
    for integration_id, sequence in pairs:
        groups[integration_id].append(sequence)
    return groups
