"""Who is meant when a write of many lines is refused: by name, by count, or by trying halves.

InfluxDB answers for a write as a whole. Where its answer names lines (`unable to parse '…'`), their
messages are rejected and the rest is written again. Where it only says how many points it dropped,
and it was not all of them, the messages are sent in halves. Points replace themselves, so that
writing them again changes nothing. All of it is bounded: what is left over then is tried again by
the engine, which sends what failed before one by one.
"""

import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeAlias

from wattwire.integrations.contract import (
    UNREACHABLE,
    Delivered,
    Outcome,
    Outcomes,
    Rejected,
    Retry,
    UnreachableError,
)
from wattwire.model import Message

#: Writes of one delivery: enough to find three messages among a thousand by halves.
MOST_WRITES: Final = 64
NOT_FOUND: Final = "not_found"
_WRITTEN: Final = 204
_BAD_REQUEST: Final = 400
_TOO_LARGE: Final = 413
_UNPROCESSABLE: Final = 422
#: Nothing that is sent after one of these will fare better.
_STOP: Final = frozenset({401, 403, 404, 429, 503})
_LINE: Final = "unable to parse '"
_PARTIAL: Final = "partial write"
_DROPPED: Final = re.compile(r"\bdropped=(\d+)")
_PLACE: Final = re.compile(r"(organization|retention policy|database|bucket)\b.{0,300}\bnot found")
_LONGEST_REASON: Final = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service said of one write."""

    status: int
    text: str  #: its own words
    spoken: bool  #: whether they are InfluxDB's, and not those of something in between
    request_id: str = ""
    wish: timedelta | None = None  #: how long it wants to be left alone


Write: TypeAlias = Callable[[Sequence[Message]], Awaitable[Answer]]


async def write(batch: Sequence[Message], post: Write, seconds: float) -> Outcomes:
    """Write the batch, in parts where it must be; begin no write after so many seconds."""
    outcomes: dict[str, Outcome] = {}
    parts, until = deque([list(batch)]), time.monotonic() + seconds
    for _ in range(MOST_WRITES):
        if not parts or (outcomes and time.monotonic() > until):
            break
        part = parts.popleft()
        answer = await _answer(post, part)
        if isinstance(answer, Retry):
            return outcomes | _all([part, *parts], answer)
        if answer.status in _STOP or _place_missing(answer):
            return outcomes | _all([part, *parts], _retry(answer))
        settled, again = _settle(part, answer)
        outcomes |= settled
        parts.extendleft(reversed(again))
    return outcomes | _all(parts, Retry("its batch held too many lines that are refused"))


async def _answer(post: Write, part: Sequence[Message]) -> Answer | Retry:
    try:
        return await post(part)
    except UnreachableError as error:
        return Retry(str(error), code=UNREACHABLE)


def _all(
    parts: Sequence[Sequence[Message]] | deque[list[Message]], outcome: Outcome
) -> dict[str, Outcome]:
    return {message.id: outcome for part in parts for message in part}


def _place_missing(answer: Answer) -> bool:
    """Tell whether a 400 or 500 is about where the lines go, not about the lines."""
    about_lines = answer.status == _WRITTEN or _LINE in answer.text or _PARTIAL in answer.text
    return answer.spoken and not about_lines and bool(_PLACE.search(answer.text))


def _settle(part: Sequence[Message], answer: Answer) -> tuple[Outcomes, Sequence[list[Message]]]:
    """Return the outcomes that an answer gives, and what is to be written again in which parts."""
    if answer.status == _WRITTEN:
        receipt = f"HTTP {answer.status} {answer.request_id}".rstrip()
        return _all([part], Delivered(receipt, answer.status)), ()
    if answer.status == _TOO_LARGE:
        return _halves(part, answer)
    if answer.status not in (_BAD_REQUEST, _UNPROCESSABLE) or not answer.spoken:
        return _all([part], _retry(answer)), ()
    named = _named(part, answer)
    if named:
        return named, [rest] if (rest := [m for m in part if m.id not in named]) else ()
    if _dropped(answer) == sum(len(_lines(message)) for message in part):
        return _all([part], _rejected(answer)), ()
    return _halves(part, answer)


def _halves(part: Sequence[Message], answer: Answer) -> tuple[Outcomes, Sequence[list[Message]]]:
    if len(part) == 1:
        return {part[0].id: _rejected(answer)}, ()
    middle = len(part) // 2
    return {}, [list(part[:middle]), list(part[middle:])]


def _named(part: Sequence[Message], answer: Answer) -> Mapping[str, Outcome]:
    """Return the messages whose lines the answer quotes."""
    quoted = dict(_quoted(answer.text))
    named: dict[str, Outcome] = {}
    for message in part if quoted else ():
        line = next((line for line in _lines(message) if line in quoted), None)
        if line is not None:
            named[message.id] = Rejected(quoted[line], status=answer.status)
    return named


def _quoted(text: str) -> list[tuple[str, str]]:
    """Return (line, reason) of what was quoted; a line that holds `': ` has several readings."""
    found = []
    for quote in text.split(_LINE)[1:]:
        at = quote.find("': ")
        while at >= 0:
            found.append((quote[:at], f"HTTP 400: unable to parse: {_short(quote[at + 3 :])}"))
            at = quote.find("': ", at + 1)
    return found


def _lines(message: Message) -> list[str]:
    """Return the lines of a body that hold a point."""
    lines = (line.strip() for line in message.body.decode("utf-8", "replace").split("\n"))
    return [line for line in lines if line and not line.startswith("#")]


def _dropped(answer: Answer) -> int | None:
    found = _DROPPED.search(answer.text)
    return int(found[1]) if found else None


def _rejected(answer: Answer) -> Rejected:
    return Rejected(f"HTTP {answer.status}: {_short(answer.text)}", status=answer.status)


def _retry(answer: Answer) -> Retry:
    reason = f"HTTP {answer.status}: {_short(answer.text)}".rstrip(": ")
    code = NOT_FOUND if _place_missing(answer) else ""
    return Retry(reason, after=answer.wish, status=answer.status, code=code)


def _short(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _LONGEST_REASON else f"{line[: _LONGEST_REASON - 1]}…"
