"""What an answered call does to its messages and to what is known of the receiver. Pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final, NamedTuple

from wattwire.delivery import breaker as breakers
from wattwire.delivery.backoff import next_attempt, wish_of
from wattwire.delivery.breaker import Breaker, Phase, Rule
from wattwire.delivery.items import Item
from wattwire.delivery.plan import Plan
from wattwire.delivery.verdicts import judge, looks_down
from wattwire.integrations.contract import Delivered, Outcome, Outcomes, Rejected, Retry, Verdict
from wattwire.store.deliveries import Again, AttemptRow, Dead, Queued, StateChange, attempt_row

#: The first pause of a receiver that says "too fast" without saying how long; doubled each time.
FIRST_PAUSE: Final = timedelta(seconds=1)
LONGEST_PAUSE: Final = timedelta(minutes=5)
_NO_ANSWER: Final = Retry("the answer did not mention this message")


class Call(NamedTuple):
    """One call to an integration, answered."""

    items: Sequence[Item]
    outcomes: Outcomes
    started_at: datetime
    duration_ms: float
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one receiver between calls."""

    breaker: Breaker = breakers.FRESH
    #: What the schedule counted against a message before the failures in a row began.
    run: Mapping[int, int] = field(default_factory=dict)
    throttles: int = 0  #: in a row
    pause_until: datetime | None = None
    stopped: bool = False  #: parked or switched off


#: Nothing is wrong with the receiver.
CALM: Final = Standing()


class Signal(Enum):
    """What a whole call says of its receiver."""

    ALIVE = auto()  #: it answered as one that works
    DOWN = auto()
    THROTTLED = auto()
    PARKED = auto()
    DISABLED = auto()


class Judged(NamedTuple):
    """A message with what was said of it."""

    item: Item
    outcome: Outcome
    verdict: Verdict


class Conclusion(NamedTuple):
    """What is to be written, and what is known from now on."""

    standing: Standing
    delivered: Sequence[int]
    attempts: Sequence[AttemptRow]
    dead: Sequence[Dead] = ()
    again: Sequence[Again] = ()
    refunds: Sequence[tuple[int, int]] = ()
    state: StateChange | None = None
    split: AbstractSet[int] = frozenset()  #: refused as one: they go again in smaller parts


def conclude(
    plan: Plan,
    call: Call,
    before: Standing,
    rule: Rule,
    now: datetime,
    random: Callable[[], float],
) -> Conclusion:
    """Return what a call means for its messages and for its integration."""
    judged = list(_judged(plan, call))
    split = _refused_together(judged) if plan.kind.folds else frozenset()
    attempts = [_attempt(plan, call, j, split) for j in judged]
    if before is CALM and all(j.verdict is Verdict.OK for j in judged):
        return Conclusion(CALM, [item.row.sequence for item in call.items], attempts)
    signal = _signal(judged)
    after = _standing(plan, call, judged, signal, before, rule, now)
    if plan.together:
        jitter = random()
        random = lambda: jitter  # noqa: E731 - what failed as one goes again as one
    fates = [
        _again_in_parts(j) if j.item.row.sequence in split else _fate(plan, j, after, now, random)
        for j in judged
    ]
    opening = after.breaker.phase is Phase.OPEN and before.breaker.phase is not Phase.OPEN
    mine = {item.row.sequence for item in call.items}
    return Conclusion(
        standing=after,
        delivered=[f for f in fates if isinstance(f, int)],
        dead=[f for f in fates if isinstance(f, Dead)],
        again=[f for f in fates if isinstance(f, Again)],
        refunds=[pair for pair in after.run.items() if pair[0] not in mine] if opening else [],
        attempts=attempts,
        state=_state_change(judged, signal, before, after),
        split=split,
    )


def _refused_together(judged: Sequence[Judged]) -> AbstractSet[int]:
    """Return the sequences that were refused as one: one refusal that is several messages'."""
    refused = [j for j in judged if j.verdict is Verdict.REJECT]
    times = Counter(id(j.outcome) for j in refused)
    return frozenset(j.item.row.sequence for j in refused if times[id(j.outcome)] > 1)


def _judged(plan: Plan, call: Call) -> Iterator[Judged]:
    for item in call.items:
        outcome = call.outcomes.get(item.message.id, _NO_ANSWER)
        yield Judged(item, outcome, judge(outcome, plan.verdicts))


def _signal(judged: Sequence[Judged]) -> Signal:
    verdicts = {j.verdict for j in judged}
    if verdicts & {Verdict.OK, Verdict.REJECT}:
        return Signal.ALIVE
    if Verdict.DISABLE in verdicts:
        return Signal.DISABLED
    if Verdict.PARK in verdicts:
        return Signal.PARKED
    if Verdict.THROTTLE in verdicts:
        return Signal.THROTTLED
    down = any(looks_down(j.outcome, j.verdict) for j in judged)
    return Signal.DOWN if down else Signal.ALIVE


def _standing(
    plan: Plan,
    call: Call,
    judged: Sequence[Judged],
    signal: Signal,
    before: Standing,
    rule: Rule,
    now: datetime,
) -> Standing:
    match signal:
        case Signal.ALIVE:
            breaker = breakers.succeeded(before.breaker, rule, plan.width)
            return CALM if breaker == breakers.FRESH else Standing(breaker)
        case Signal.PARKED | Signal.DISABLED:
            return replace(before, stopped=True)
        case Signal.THROTTLED:
            return _throttled(call, judged, before, rule, now)
        case Signal.DOWN:
            return _failed(plan, call, judged, before, rule, now)


def _throttled(
    call: Call, judged: Sequence[Judged], before: Standing, rule: Rule, now: datetime
) -> Standing:
    """Return a pause; a gateway's 502 or 504 counts as a sign of an outage as well.

    Calls that were under way together are told together: only the first makes the pause longer.
    """
    until, throttles = before.pause_until, before.throttles
    if until is None or until <= now:
        until = now + min(FIRST_PAUSE * 2 ** min(throttles, 20), LONGEST_PAUSE)
        throttles += 1
    until = max(until, now + _wish(judged))
    breaker = before.breaker
    if any(looks_down(j.outcome, j.verdict) for j in judged):
        breaker = breakers.failed(breaker, now, rule, probe=call.probe)
    return replace(
        before,
        breaker=breakers.not_before(breaker, until),
        run=_run(judged, before),
        throttles=throttles,
        pause_until=until,
    )


def _failed(
    plan: Plan,
    call: Call,
    judged: Sequence[Judged],
    before: Standing,
    rule: Rule,
    now: datetime,
) -> Standing:
    """Return the breaker after a failure.

    A message must not die of an outage: when the receiver is not there and a message has used up
    its attempts, the breaker opens, however few failures there were.
    """
    breaker = breakers.failed(before.breaker, now, rule, probe=call.probe)
    last_straw = any(
        j.verdict is Verdict.DOWN and j.item.row.burnt + 1 >= plan.policy.attempts for j in judged
    )
    if last_straw and breaker.phase is Phase.CLOSED:
        breaker = breakers.opened(now, rule)
    breaker = breakers.not_before(breaker, now + _wish(judged))
    return replace(before, breaker=breaker, run=_run(judged, before))


def _run(judged: Sequence[Judged], before: Standing) -> Mapping[int, int]:
    mine = {j.item.row.sequence: j.item.row.burnt for j in judged}
    return {**mine, **before.run}


def _wish(judged: Sequence[Judged]) -> timedelta:
    return max((wish_of(j.outcome) for j in judged), default=timedelta(0))


def _again_in_parts(judged: Judged) -> Again:
    """One of those refused as one is to blame; it costs the others no attempt."""
    row = judged.item.row
    return Again(row.sequence, row.attempts + 1, row.burnt, None)


def _fate(
    plan: Plan, judged: Judged, after: Standing, now: datetime, random: Callable[[], float]
) -> int | Dead | Again:
    row, verdict = judged.item.row, judged.verdict
    sent = row.attempts + 1
    if verdict is Verdict.OK:
        return row.sequence
    if verdict is Verdict.REJECT:
        return Dead(row.sequence, sent, reason_of(judged.outcome))
    if after.stopped or after.breaker.phase is Phase.OPEN:
        return Again(row.sequence, sent, after.run.get(row.sequence, row.burnt), None)
    if verdict is Verdict.THROTTLE:
        due = after.pause_until or now + max(FIRST_PAUSE, wish_of(judged.outcome))
        return Again(row.sequence, sent, row.burnt, due)
    due_at = next_attempt(plan.policy, row.burnt + 1, judged.outcome, now, random)
    if due_at is None:
        tried = f"given up after {sent} attempts: " if sent > 1 else ""
        return Dead(row.sequence, sent, tried + reason_of(judged.outcome))
    return Again(row.sequence, sent, row.burnt + 1, due_at)


def reason_of(outcome: Outcome) -> str:
    """Return why, in the service's words."""
    if isinstance(outcome, Delivered):
        return f"{outcome.receipt} counts as a failure here" if outcome.receipt else "refused"
    return outcome.reason


_WORDS: Final = {Verdict.OK: "delivered", Verdict.REJECT: "rejected"}


def _attempt(plan: Plan, call: Call, judged: Judged, split: AbstractSet[int]) -> AttemptRow:
    row, message, outcome = judged.item.row, judged.item.message, judged.outcome
    taken = isinstance(outcome, Delivered)
    together = f"refused as one of {len(split)}: " if row.sequence in split else ""
    return attempt_row(
        integration_id=plan.id,
        organization_id=plan.organization_id,
        message_id=message.id,
        event_id=row.event_id,
        event_created_at=row.event_created_at,
        topic=message.topic,
        device_key=message.device,
        number=row.attempts + 1,
        started_at=call.started_at,
        duration_ms=call.duration_ms,
        outcome="retry" if together else _WORDS.get(judged.verdict, "retry"),
        reason="" if taken and judged.verdict is Verdict.OK else together + reason_of(outcome),
        receipt=outcome.receipt if isinstance(outcome, Delivered) else "",
        address=plan.address,
        probe=call.probe,
    )


def never_sent(plan: Plan, row: Queued, reason: str, now: datetime) -> tuple[Dead, AttemptRow]:
    """Return what is written of a message that cannot be sent at all: too old, too large, …."""
    event = row.event
    return Dead(row.sequence, row.attempts, reason), attempt_row(
        integration_id=plan.id,
        organization_id=plan.organization_id,
        message_id=row.message_id,
        event_id=row.event_id,
        event_created_at=row.event_created_at,
        topic=event.topic if event else "",
        device_key=event.device_key if event else "",
        number=row.attempts,
        started_at=now,
        duration_ms=0.0,
        outcome=_WORDS[Verdict.REJECT],
        reason=reason,
        address=plan.address,
    )


def _state_change(
    judged: Sequence[Judged], signal: Signal, before: Standing, after: Standing
) -> StateChange | None:
    """Return what changed for those who watch; None when nothing did."""
    reason = next((reason_of(j.outcome) for j in judged if not _fine(j)), "")
    if signal is Signal.DISABLED:
        return StateChange("inactive", reason, disable=True)
    if signal is Signal.PARKED:
        return StateChange("error", reason, parked=True)
    old, new = before.breaker, after.breaker
    if new.phase is Phase.OPEN and new != old:
        return StateChange("error", reason, failures=new.failures, probe_at=new.probe_at)
    if new.phase is Phase.CLOSED and old.phase is not Phase.CLOSED:
        return StateChange("active")
    return None


def _fine(judged: Judged) -> bool:
    return judged.verdict is Verdict.OK or isinstance(judged.outcome, Rejected)
