"""Which edge nodes are to be asked for a rebirth, and when. Pure."""

from datetime import datetime, timedelta
from typing import Final

from wattwire.client.limits import Limits
from wattwire.client.results import Command
from wattwire.formats.sparkplug_state import rebirth_command
from wattwire.formats.sparkplug_topics import command_topic
from wattwire.model import to_micros

EdgeId = tuple[str, str]  #: group and edge node
_NOTHING: Final = timedelta(0)


class Rebirths:
    """Wishes, one for each edge node; those of the edge nodes longest unheard give way."""

    def __init__(self, limits: Limits) -> None:
        self._most = limits.edge_nodes
        self._interval = timedelta(seconds=limits.rebirth_seconds)
        self._wanted: dict[EdgeId, datetime] = {}
        self._asked: dict[EdgeId, datetime] = {}

    def want(self, edge_id: EdgeId, now: datetime, seconds: float = 0.0) -> None:
        """Wish for a rebirth in so many seconds, or sooner if that is wished already."""
        due = now + timedelta(seconds=seconds)
        due = min(due, self._wanted.pop(edge_id, due))
        _put(self._wanted, edge_id, due, self._most)

    def complete(self, edge_id: EdgeId, now: datetime) -> None:
        """Take back the wish after a gap that has closed: one that is not due yet."""
        if self._wanted.get(edge_id, now) > now:
            del self._wanted[edge_id]

    def born(self, edge_id: EdgeId) -> None:
        """Take back any wish: here it is."""
        self._wanted.pop(edge_id, None)

    def due(self, now: datetime) -> list[Command]:
        """Return the requests that are due, each once, and none sooner than the interval allows."""
        edge_ids = [e for e, due in self._wanted.items() if due <= now and self._may_ask(e, now)]
        for edge_id in edge_ids:
            del self._wanted[edge_id]
            self._asked.pop(edge_id, None)
            _put(self._asked, edge_id, now, self._most)
        payload = rebirth_command(to_micros(now))
        return [Command(command_topic(*edge_id), payload) for edge_id in edge_ids]

    def _may_ask(self, edge_id: EdgeId, now: datetime) -> bool:
        asked = self._asked.get(edge_id)
        return asked is None or not _NOTHING <= now - asked < self._interval


def _put(kept: dict[EdgeId, datetime], edge_id: EdgeId, at: datetime, most: int) -> None:
    """Keep an entry as the newest, the oldest one making room."""
    if len(kept) >= most:
        del kept[next(iter(kept))]
    kept[edge_id] = at
