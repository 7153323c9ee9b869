"""What a lane has read of its queue: which rows it holds, and from where it reads on.

Rows leave in the order of their sequence. The position moves forward only, so that rows that left
are not passed over again and again. Sequences become visible when their transaction commits,
which may be out of order. So whoever has caught up reads on from where the position was a moment
ago; a row that turns up even later is found by looking (`found`), which moves the position back.
What is in memory, under way or being settled is held, and not taken twice. Nor is what was settled
while a fetch was under way: the fetch may have seen it still waiting.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from wattwire.model import EPOCH
from wattwire.store.deliveries import Queued, Want

#: With more rows than this in hand there is no hurry to look for further ones.
MANY: Final = 500
#: Transactions that are in flight together seldom commit further apart than this.
A_MOMENT: Final = timedelta(seconds=0.1)


class Window:
    """The part of one integration's queue that is in memory, and the position behind it."""

    def __init__(self) -> None:
        self.more = True  #: rows may be waiting after the position
        self.held: set[int] = set()
        #: When a row that failed may go again. It is not known at first: some may be due already.
        self.next_due: datetime | None = EPOCH
        self._position = 0
        self._highest = 0
        self._caught_up = False  # the last fetch came to the end
        # Where the position was one to two moments ago, and two to four seconds ago.
        self._recent, self._next_recent, self._noted_at = 0, 0, EPOCH
        self._floor, self._mark = 0, 0
        self._woken = False  # since the last fetch was asked for
        self._left: set[int] = set()  # settled since the last fetch began
        self._rewound = False  # since the last fetch began

    def wake(self) -> None:
        """Hear that rows may have come."""
        self.more = self._woken = True

    def asked(self) -> None:
        """Note that a fetch has been asked for: whoever wakes from now on may mean newer rows."""
        self._woken = False

    def expect(self, due: datetime) -> None:
        """Hear when a row may go again."""
        if self.next_due is None or due < self.next_due:
            self.next_due = due

    def has_work(self, now: datetime) -> bool:
        """Return whether there is something to fetch."""
        return self.more or self._is_due(now)

    def _is_due(self, now: datetime) -> bool:
        return self.next_due is not None and self.next_due <= now

    def want(self, integration_id: int, room: int, now: datetime) -> Want:
        """Return what to fetch to fill so much room. Rows that are held come along in vain."""
        self._begin()
        after = self._recent if self._caught_up else self._position
        fresh = room + (len(self.held) if after < self._highest else 0)
        due = room + len(self.held) if self._is_due(now) else 0
        return Want(integration_id, after, fresh if self.more else 0, due)

    def want_first(self, integration_id: int, count: int) -> Want:
        """Return what to fetch to see the first rows, due or not, that are not held."""
        self._begin()
        return Want(integration_id, 0, count + len(self.held), every=True)

    def _begin(self) -> None:
        self._left.clear()
        self._rewound = False

    def take(
        self, rows: Sequence[Queued], want: Want, now: datetime, next_due: datetime | None
    ) -> list[Queued]:
        """Receive what was fetched; return the rows that were not held, which now are."""
        fresh = [row.sequence for row in rows if row.due_at is None]
        if want.fresh:
            self._caught_up = len(fresh) < want.fresh
            self.more = self._woken or self._rewound or not self._caught_up
        if want.due:
            full = len(rows) - len(fresh) >= want.due
            self.next_due = now if full else next_due
        if fresh and not self._rewound:
            self._position = max(self._position, fresh[-1])
            self._highest = max(self._highest, self._position)
        self._note(now)
        return self.claim(rows)

    def _note(self, now: datetime) -> None:
        """Let the place from which is read follow the position, one to two moments later."""
        if now - self._noted_at >= A_MOMENT:
            self._recent, self._next_recent, self._noted_at = self._next_recent, self._position, now

    def take_first(self, rows: Sequence[Queued]) -> list[Queued]:
        """Receive the first rows; return those that were not held, which now are."""
        claimed = self.claim(rows)
        if not claimed:
            self.more = self._woken or self._rewound
        return claimed

    def claim(self, rows: Iterable[Queued]) -> list[Queued]:
        """Hold rows that are not held yet, and return them."""
        taken = self.held | self._left if self._left else self.held
        new = [row for row in rows if row.sequence not in taken]
        self.held.update(row.sequence for row in new)
        return new

    def release(self, sequences: Iterable[int]) -> None:
        """Hold rows no longer, so that they are read again."""
        self.held.difference_update(sequences)

    def settled(self, sequences: Iterable[int]) -> None:
        """Hold rows no longer: they left the queue, or go again when they are due."""
        done = set(sequences)
        self.held -= done
        self._left |= done

    def rewind(self, position: int) -> None:
        """Read again from a position on."""
        self._position = min(self._position, position)
        self._recent, self._next_recent = self._position, self._position
        self._mark = min(self._mark, position)
        self._floor = min(self._floor, position)
        self.more = self._rewound = True

    def forget(self, sequences: Iterable[int]) -> None:
        """Hold these rows no longer, and read the queue from its beginning."""
        self.release(sequences)
        self.rewind(0)
        self.next_due = EPOCH

    def tick(self) -> None:
        """Let the place behind which rows may still turn up follow the position."""
        self._floor, self._mark = self._mark, self._position

    def place(self, *, whole: bool) -> tuple[int, int] | None:
        """Return (position, how many) to look for rows that came unseen; None: no need to."""
        if self.more or len(self.held) > MANY:
            return None
        return 0 if whole else self._floor, len(self.held) + 1

    def found(self, sequences: Sequence[int]) -> bool:
        """Hear of rows that are due at once; return whether any of them is news."""
        unknown = [sequence for sequence in sequences if sequence not in self.held]
        if unknown:
            self.rewind(min(unknown) - 1)
        return bool(unknown)
