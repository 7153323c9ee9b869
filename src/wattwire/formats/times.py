"""Instants as they come from outside, to microseconds since the epoch."""

from datetime import UTC, datetime
from math import isfinite
from typing import Final

from wattwire.formats.refusals import refused, shown
from wattwire.model import EPOCH, MICROSECOND

SECOND: Final = 1_000_000
MILLISECOND: Final = 1_000
LAST: Final = (datetime(9999, 12, 31, tzinfo=UTC) - EPOCH) // MICROSECOND  #: what a datetime holds
MAX_TEXT: Final = 40


def from_millis(millis: int, where: str) -> int:
    """Return microseconds for epoch milliseconds. Raises RefusedError outside 1970 to 9999."""
    return checked(millis * MILLISECOND, where, millis)


def checked(micros: int, where: str, given: object) -> int:
    """Return `micros` when it lies in the years 1970 to 9999, else raise RefusedError."""
    if 0 <= micros <= LAST:
        return micros
    raise refused(f"the time must lie between 1970 and 9999: {shown(given)}", where)


def from_text(text: str, where: str) -> int:
    """Return microseconds for ISO 8601 text with an offset, or raise RefusedError."""
    try:
        instant = datetime.fromisoformat(text) if len(text) <= MAX_TEXT else None
    except ValueError:
        instant = None
    if instant is None:
        raise refused(f"not an ISO 8601 time: {shown(text)}", where)
    if instant.utcoffset() is None:
        raise refused(f"the time lacks its offset from UTC (Z or +hh:mm): {shown(text)}", where)
    return checked((instant - EPOCH) // MICROSECOND, where, text)


def from_either(value: object, where: str) -> int:
    """Return microseconds for ISO 8601 text with an offset, or for whole epoch milliseconds."""
    if isinstance(value, str):
        return from_text(value, where)
    if isinstance(value, float) and isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise refused(f"a time is ISO 8601 text or whole epoch milliseconds: {shown(value)}", where)
    return from_millis(value, where)
