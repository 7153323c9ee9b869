"""One integration's own way out: its slice of the queue, its rate, its breaker, its calls.

A lane has no task of its own. It moves when something happens (rows may have come, a call is
settled, a timer rings), so that a thousand idle ones cost nothing. Nothing here waits but the
calls.

**What a crash repeats.** A call's place is free again only when its outcome is durable. So at most
one batch for each call that may be under way is sent twice, under the same message ids.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from time import perf_counter
from typing import Any, Final

import structlog

from wattwire.delivery.breaker import Phase, emptied
from wattwire.delivery.clock import Timer
from wattwire.delivery.company import Refusals, count_next, may_probe, seconds_to_linger
from wattwire.delivery.engine import Engine
from wattwire.delivery.items import Item, expired, item_of
from wattwire.delivery.link import Link
from wattwire.delivery.pace import Pace
from wattwire.delivery.plan import Plan
from wattwire.delivery.settle import (
    CALM,
    Call,
    Conclusion,
    Standing,
    conclude,
    never_sent,
)
from wattwire.delivery.window import Window
from wattwire.store.deliveries import Dead, Figures, Queued, Settlement, StateChange, Want

#: Rows in memory, at most; and their bytes, roughly.
MOST_READY: Final = 1000
READY_BYTES: Final = 4 * 1024 * 1024
#: How large messages are before any was seen: too large rather than too small.
FIRST_GUESS_BYTES: Final = 65_536.0
#: A probe that fails may be the message's fault: the next one is one of the first so many.
PROBE_WINDOW: Final = 5
#: Seconds' worth of a limited rate that is read ahead.
READ_AHEAD_SECONDS: Final = 5
FOR_EVER: Final = timedelta(days=36500)

log = structlog.get_logger()


class Lane:
    """One integration that this process owns."""

    def __init__(self, integration_id: int, lease: str, epoch: int, engine: Engine) -> None:
        self.id = integration_id
        self.lease = lease
        self.epoch = epoch
        self.plan: Plan | None = None  #: None: paused or not configured
        self.standing = CALM
        self.window = Window()
        self.max_age = FOR_EVER
        self.retired = False  #: nothing more is started: another worker will own it
        self._engine = engine
        self._link: Link | None = None
        self._closed = False
        self._ready: deque[Item] = deque()
        self._asking = False
        self._mean_bytes = FIRST_GUESS_BYTES
        self._pace = Pace()
        self._refusals = Refusals()
        self.calls = 0  #: under way, or answered and not yet written down
        self._in_flight = 0
        self._probes = 0
        self._timer: Timer | None = None
        self._touched = True
        self._success_at: datetime | None = None
        self._failure_at: datetime | None = None

    # --- what happens to a lane ---

    def adopt(self, plan: Plan | None, standing: Standing) -> None:
        """Go on by another plan; None: stop sending. Calls under way end by the old one."""
        old, self.plan, self.standing = self.plan, plan, standing
        self._part_with_link()
        self._drop_ready()
        if plan is not None:
            self._link = Link(plan, self._engine.surroundings, self._engine.clock)
            if old is None or old.rate_per_minute != plan.rate_per_minute:
                self._pace = Pace.of(
                    plan.rate_per_minute,
                    self._engine.clock.monotonic(),
                    wait=self.epoch > 1,
                    calls=plan.kind.folds,
                )
        self.wake()

    def wake(self) -> None:
        """Look into the queue: rows may have come."""
        self.window.wake()
        self.pump()

    def found(self, sequences: Sequence[int]) -> None:
        """Hear which rows of the queue are due at once."""
        if self.window.found(sequences):
            self.wake()

    def close(self) -> None:
        """Let go: somebody else owns the integration now, or nobody. Calls under way end."""
        self._closed = True
        self._cancel_timer()
        self._drop_ready()
        self._part_with_link()

    def rest(self) -> None:
        """Close the connection to a receiver that has not been needed for a while."""
        if self._link is not None and self._link.rests:
            self._engine.spawn(self._link.close())

    def expire(self, sequences: Sequence[int]) -> None:
        """Give up rows that waited for too long, but for those that are held."""
        old = [sequence for sequence in sequences if sequence not in self.window.held]
        if old and not self._closed:
            self.window.held.update(old)
            reason = expired(self.max_age)
            dead = [Dead(sequence, 0, reason) for sequence in old]
            log.info("delivery.messages_expired", integration=self.id, messages=len(old))
            settlement = self._settlement(self._engine.clock.now(), dead=dead)
            self._engine.put(settlement, partial(self.window.settled, old))

    @property
    def troubled(self) -> bool:
        """Return whether its receiver is down, or was left alone on purpose."""
        return self.standing.stopped or self.standing.breaker.phase is Phase.OPEN

    @property
    def busy(self) -> bool:
        """Return whether anything is under way."""
        return bool(self.calls or self._asking)

    def place(self, *, whole: bool) -> tuple[int, int, int] | None:
        """Return (id, position, how many) to look for rows that came unseen; None: no need."""
        if self._closed or self._asking or self.plan is None or self.standing.stopped:
            return None
        place = self.window.place(whole=whole)
        return None if place is None else (self.id, *place)

    def figures(self) -> Figures | None:
        """Return what people see, if it changed since it was asked for last."""
        if not self._touched:
            return None
        self._touched = False
        return Figures(self.id, self._in_flight, self._success_at, self._failure_at)

    # --- moving ---

    def pump(self) -> None:
        """Start what may start, ask for what may be there, and set the timer for the rest."""
        plan = self.plan
        if plan is None or self.standing.stopped or not self._may_work:
            return
        now = self._engine.clock.now()
        if self.standing.breaker.phase is Phase.OPEN:
            self._look_after(now)
        else:
            self._send(plan, now)
        self._arm(plan, now)

    @property
    def _may_work(self) -> bool:
        still = self._closed or self.retired or self._engine.stopping
        return not still and self._engine.owns(self)

    def _look_after(self, now: datetime) -> None:
        """Ask for a message to probe with, when it is time and no other call is under way."""
        probe_at = self.standing.breaker.probe_at
        if self.window.more and not self.calls and (probe_at is None or now >= probe_at):
            self._ask()

    def _send(self, plan: Plan, now: datetime) -> None:
        while self._ready and self._may_start(plan, now) and self._lingering(plan, now) <= 0:
            count = count_next(self._ready, plan, self._refusals)
            count = min(count, self._pace.largest or MOST_READY)
            self._start(plan, [self._ready.popleft() for _ in range(count)], probe=False)
        if len(self._ready) >= self._plenty(plan):
            return
        if self.window.has_work(now):
            self._ask()
        elif not (self._ready or self.calls or self._asking):
            self._calm(now)

    def _may_start(self, plan: Plan, now: datetime) -> bool:
        if self.calls >= self.standing.breaker.width(plan.width):
            return False
        pause = self.standing.pause_until
        if pause is not None and now < pause:
            return False
        return self._pace.wait(self._engine.clock.monotonic()) <= 0

    def _lingering(self, plan: Plan, now: datetime) -> float:
        """Return how many seconds the next batch waits for further messages; 0 or less: none."""
        return seconds_to_linger(self._ready, plan, self._refusals, self._enough(plan), now)

    def _calm(self, now: datetime) -> None:
        """Nothing is left to send: a receiver that was being taken back is back."""
        if self.standing.breaker.phase is Phase.RAMPING:
            self.standing = replace(self.standing, breaker=emptied(self.standing.breaker))
            self._engine.put(self._settlement(now, state=StateChange("active")), _nothing)

    def _arm(self, plan: Plan, now: datetime) -> None:
        """Set the timer for the next thing that only time brings about."""
        self._cancel_timer()
        seconds = self._seconds_to_next(plan, now)
        if seconds is not None:
            self._timer = self._engine.clock.call_later(max(seconds, 0.0), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.pump()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _seconds_to_next(self, plan: Plan, now: datetime) -> float | None:
        if self._asking:
            return None  # the answer moves on
        breaker, pause = self.standing.breaker, self.standing.pause_until
        if breaker.phase is Phase.OPEN:
            idle = self.calls or not self.window.more or breaker.probe_at is None
            return None if idle else _seconds(now, breaker.probe_at)
        waits = []
        if self._ready and self.calls < breaker.width(plan.width):
            paced = self._pace.wait(self._engine.clock.monotonic())
            waits.append(max(paced, _seconds(now, pause), self._lingering(plan, now)))
        if self.window.next_due is not None and len(self._ready) < self._plenty(plan):
            waits.append(_seconds(now, self.window.next_due))
        return min(waits, default=None)

    # --- the queue ---

    def _enough(self, plan: Plan) -> int:
        """Return how many messages to have in memory."""
        batch = min(plan.limits.max_messages, self._pace.largest or MOST_READY)
        rows = min(MOST_READY, 4 * plan.width * batch, int(READY_BYTES / self._mean_bytes))
        if plan.rate_per_minute is not None:
            rows = min(rows, plan.rate_per_minute * READ_AHEAD_SECONDS // 60)
        return max(rows, min(batch, int(plan.limits.max_bytes / self._mean_bytes)), 1)

    def _plenty(self, plan: Plan) -> int:
        """Return with how many messages in memory no more are fetched."""
        enough = self._enough(plan)
        return enough if plan.linger_seconds else enough // 2 + 1

    def _ask(self) -> None:
        if not self._asking:
            self._asking = True
            self.window.asked()
            self._engine.ask(self)

    def want(self, now: datetime) -> Want | None:
        """Return what to fetch; None when nothing is wanted any more."""
        plan = self.plan
        if self._closed or plan is None or self.standing.stopped:
            self._asking = False
            return None
        if self.standing.breaker.phase is Phase.OPEN:
            return self.window.want_first(self.id, PROBE_WINDOW)
        room = max(1, self._enough(plan) - len(self._ready))
        return self.window.want(self.id, room, now)

    def take(self, rows: Sequence[Queued], want: Want, next_due: datetime | None) -> None:
        """Receive what was fetched, unless it is no longer what is wanted."""
        self._asking = False
        plan, probing = self.plan, self.standing.breaker.phase is Phase.OPEN
        stale = self._closed or plan is None or self.standing.stopped or probing != want.every
        if plan is not None and not stale:
            now = self._engine.clock.now()
            if probing:
                self._take_probe(plan, self.window.take_first(rows), now)
            else:
                claimed = self.window.take(rows, want, now, next_due)
                self._ready.extend(self._prepare(plan, claimed, now))
                if plan.together and want.due:  # what goes again is cut as before, in its old place
                    self._ready = deque(sorted(self._ready, key=lambda item: item.row.sequence))
        self.pump()

    def _take_probe(self, plan: Plan, rows: Sequence[Queued], now: datetime) -> None:
        """Send one of the first messages, the oldest to begin with; forget the others again."""
        items = self._prepare(plan, rows, now)
        if items:
            candidates = may_probe(items, plan)
            chosen = candidates[self._probes % len(candidates)]
            self._probes += 1
            self.window.release(item.row.sequence for item in items if item is not chosen)
            self._start(plan, [chosen], probe=True)

    def _prepare(self, plan: Plan, rows: Sequence[Queued], now: datetime) -> list[Item]:
        """Make messages of rows; those that cannot be sent at all become dead letters."""
        items = []
        for row in rows:
            item = item_of(plan, row, now)
            if isinstance(item, str):
                self._bury(plan, row, item, now)
            else:
                items.append(item)
        if items:
            mean = sum(len(item.message.body) for item in items) / len(items)
            self._mean_bytes = max(1.0, 0.5 * self._mean_bytes + 0.5 * mean)
        return items

    def _bury(self, plan: Plan, row: Queued, reason: str, now: datetime) -> None:
        log.info("delivery.message_rejected", integration=self.id, reason=reason)
        dead, attempt = never_sent(plan, row, reason, now)
        self._engine.put(
            self._settlement(now, dead=[dead], attempts=[attempt]),
            partial(self.window.settled, [row.sequence]),
        )

    def _drop_ready(self) -> None:
        """Forget what is in memory; it is read again from the queue."""
        self.window.forget(item.row.sequence for item in self._ready)
        self._ready.clear()

    # --- the calls ---

    def _part_with_link(self) -> None:
        if self._link is not None:
            self._engine.spawn(self._link.close())
            self._link = None

    def _start(self, plan: Plan, items: Sequence[Item], *, probe: bool) -> None:
        if self._link is not None:
            self.calls += 1
            self._in_flight += len(items)
            self._touched = True
            self._pace = self._pace.take(len(items), self._engine.clock.monotonic())
            self._engine.spawn(self._call(plan, self._link, items, probe=probe))

    async def _call(self, plan: Plan, link: Link, items: Sequence[Item], *, probe: bool) -> None:
        started_at, begun = self._engine.clock.now(), perf_counter()
        outcomes = await link.deliver([item.message for item in items])
        milliseconds = (perf_counter() - begun) * 1000
        self._conclude(plan, Call(items, outcomes, started_at, milliseconds, probe))

    def _conclude(self, plan: Plan, call: Call) -> None:
        engine, before = self._engine, self.standing
        now = engine.clock.now()
        done = conclude(plan, call, before, engine.rule, now, engine.random)
        self.standing = done.standing
        if done.delivered:
            self._success_at = now
        if done.again or done.dead:
            self._failure_at = now
        phases = {before.breaker.phase, done.standing.breaker.phase}
        if done.standing.stopped or (Phase.OPEN in phases and len(phases) > 1):
            self._drop_ready()
        if done.standing.breaker.phase is not Phase.OPEN:
            self._probes = 0
        self._refusals.forget(item.row.sequence for item in call.items)
        self._refusals.split(done.split)
        settlement = self._settlement(
            now,
            delivered=done.delivered,
            dead=done.dead,
            again=done.again,
            refunds=done.refunds,
            attempts=done.attempts,
            state=done.state,
        )
        engine.put(settlement, partial(self._settled, call, done))

    def _settlement(self, now: datetime, **rows: Any) -> Settlement:
        return Settlement(self.id, self.lease, self.epoch, now, **rows)

    def _settled(self, call: Call, done: Conclusion) -> None:
        """Free the call's place: what came of it is durable."""
        self.calls -= 1
        self._in_flight -= len(call.items)
        self._touched = True
        self.window.settled(item.row.sequence for item in call.items)
        for row in done.again:
            if row.due_at is None:
                self.window.rewind(row.sequence - 1)
            else:
                self.window.expect(row.due_at)
        if done.refunds:
            self.window.rewind(0)
        self.pump()


def _seconds(now: datetime, moment: datetime | None) -> float:
    return 0.0 if moment is None else (moment - now).total_seconds()


def _nothing() -> None:
    """Nothing is held by a change of state alone."""
