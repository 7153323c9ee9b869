"""Ant patterns for stream paths, exactly as SolarNetwork's database reads them.

`?` is one character but no slash, `*` any run without a slash, `**` any run at all; a `/**/`
between two parts also stands for a single slash. Everything else is itself; upper and lower case
differ; the whole path must match. So `**/x` does not match `x`, and `a/**` does not match `a`.

A pattern becomes a list of steps and a set of places in it, kept as the bits of one integer and
moved along the path character by character: time is the path's length times the pattern's, for
any pattern. (A regular expression with many `.*` would not keep to that.)
"""

import re
from enum import Enum, auto
from typing import Final

from wattwire.formats.refusals import refused

MAX_PATTERN: Final = 255

_TOKEN: Final = re.compile(r"/\*{2,}/|\*{2,}|\*|\?|.", re.DOTALL)


class _Step(Enum):
    ONE = auto()  #: one character but no slash
    RUN = auto()  #: any run without a slash
    ANY = auto()  #: any run
    FORK = auto()  #: behind the slash of /**/: go on behind it, or into GAP
    GAP = auto()  #: any run up to and with a slash


class Matcher:
    """A compiled pattern. Make one with `compile_pattern`."""

    __slots__ = ("_any", "_end", "_fork", "_gap", "_letters", "_one", "_pattern", "_run")

    def __init__(self, pattern: str, steps: list[str | _Step]) -> None:
        self._pattern = pattern
        self._end = 1 << len(steps)
        self._one = _bits(steps, _Step.ONE)
        self._run = _bits(steps, _Step.RUN)
        self._any = _bits(steps, _Step.ANY)
        self._fork = _bits(steps, _Step.FORK)
        self._gap = _bits(steps, _Step.GAP)
        self._letters = {s: _bits(steps, s) for s in steps if isinstance(s, str)}

    def __repr__(self) -> str:
        return f"Matcher({self._pattern!r})"

    def matches(self, path: str) -> bool:
        """Tell whether the whole path matches."""
        places = self._skip(1)
        for letter in path:
            places = self._skip(self._after(places, letter))
            if not places:
                return False
        return bool(places & self._end)

    def _after(self, places: int, letter: str) -> int:
        """Return the places reached by one character."""
        after = (places & self._letters.get(letter, 0)) << 1 | places & (self._any | self._gap)
        if letter == "/":
            return after | (places & self._gap) << 1
        return after | (places & self._one) << 1 | places & self._run

    def _skip(self, places: int) -> int:
        """Add the places that can be reached without a character."""
        before = 0
        while places != before:
            before = places
            fork = places & self._fork
            places |= (places & (self._run | self._any)) << 1 | fork << 1 | fork << 2
        return places


def compile_pattern(pattern: str) -> Matcher:
    """Return the matcher of a pattern. Raises RefusedError for one that is empty or too long."""
    if not 0 < len(pattern) <= MAX_PATTERN:
        raise refused(f"a pattern has 1 to {MAX_PATTERN} characters, not {len(pattern)}")
    steps: list[str | _Step] = []
    for token in _TOKEN.findall(pattern):
        steps += _steps_of(token)
    return Matcher(pattern, steps)


def _steps_of(token: str) -> list[str | _Step]:
    match token:
        case "?":
            return [_Step.ONE]
        case "*":
            return [_Step.RUN]
        case _ if len(token) == 1:
            return [token]
        case _ if token[0] == "/":
            return ["/", _Step.FORK, _Step.GAP]
        case _:
            return [_Step.ANY]


def _bits(steps: list[str | _Step], wanted: str | _Step) -> int:
    return sum(1 << at for at, step in enumerate(steps) if step == wanted)
