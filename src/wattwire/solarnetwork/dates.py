"""Dates as SolarNetwork's calls write them: in requests, in results, in a node's own zone.

Requests have `2020-06-01`, `2020-06-01T12:30`, `2020-06-01 12:30:15.123` and the like, with or
without a `Z`. Either way a date is in UTC; the local ones are in the zone of each node. Results
have `2020-06-01 12:30:15.123Z`, the fraction only where there is one.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from wattwire.model import MICROSECOND

#: What a request may name; what is stored lies between.
FIRST: Final = datetime(1, 1, 3, tzinfo=UTC)
LAST: Final = datetime(9999, 12, 29, tzinfo=UTC)
_DATE: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(Z)?", re.ASCII
)
_PERIOD: Final = re.compile(r"P(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?")


def parse_utc(text: str) -> datetime:
    """Return an instant. Raises ValueError for what is no date, with a reason to show."""
    return _bounded(_parse(text)[0].replace(tzinfo=UTC))


def parse_local(text: str) -> datetime:
    """Return a naive local date and time. Raises ValueError; it has no zone of its own."""
    local, zoned = _parse(text)
    if zoned:
        raise ValueError(f"Malformed date string: {text[:40]}")
    _bounded(local.replace(tzinfo=UTC))
    return local


def in_zone(local: datetime, zone: tzinfo) -> datetime:
    """Return the instant at which a zone's clock shows `local`; the first, where there are two.

    Where the clock skips it, the instant that it would have been by the offset before.
    """
    return local.replace(tzinfo=zone).astimezone(UTC)


def utc_text(instant: datetime) -> str:
    """Return `2020-06-01 12:30:15.123Z`."""
    return local_text(instant, UTC) + "Z"


def local_text(instant: datetime, zone: tzinfo) -> str:
    """Return the zone's own date and time, as `2020-06-01 12:30:15.123`."""
    text = instant.astimezone(zone).replace(tzinfo=None).isoformat(" ")
    return text.rstrip("0") if "." in text else text


def local_parts(instant: datetime, zone: tzinfo) -> tuple[str, str]:
    """Return the zone's date and its time to the minute, as `2020-06-01` and `12:30`."""
    text = instant.astimezone(zone).isoformat(" ")
    return text[:10], text[11:16]


def millis(instant: datetime) -> int:
    """Return an instant as whole milliseconds since 1970, rounded down."""
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


class Period(NamedTuple):
    """A span of the calendar: `P1M` is a month, whatever its length."""

    months: int
    days: int

    def before(self, instant: datetime) -> datetime:
        """Return the instant that lies the period earlier, in UTC; at the earliest `FIRST`."""
        return self._moved(instant, -1)

    def after(self, instant: datetime) -> datetime:
        """Return the instant that lies the period later, in UTC; at the latest `LAST`."""
        return self._moved(instant, 1)

    def _moved(self, instant: datetime, sign: int) -> datetime:
        edge = FIRST if sign < 0 else LAST
        month = instant.year * 12 + instant.month - 1 + sign * self.months
        year, month = month // 12, month % 12 + 1
        if not FIRST.year < year < LAST.year:
            return edge
        day = min(instant.day, _last_day(year, month))
        try:
            return instant.replace(year=year, month=month, day=day) + sign * timedelta(self.days)
        except OverflowError:
            return edge


def parse_period(text: str) -> Period:
    """Return an ISO 8601 period of years, months, weeks and days. Raises ValueError."""
    match = _PERIOD.fullmatch(text)
    if match is None or not any(match.groups()):
        raise ValueError(f"not a period such as P1M or P7D: {text[:40]!r}")
    years, months, weeks, days = (int(part or 0) for part in match.groups())
    return Period(years * 12 + months, weeks * 7 + days)


def _parse(text: str) -> tuple[datetime, bool]:
    match = _DATE.fullmatch(text)
    try:
        return _found(match), bool(match and match[8])
    except ValueError:
        raise ValueError(f"Malformed date string: {text[:40]}") from None


def _found(match: re.Match[str] | None) -> datetime:
    if match is None:
        raise ValueError
    numbers = [int(part or 0) for part in match.groups()[:6]]
    # Beyond microseconds nothing is kept here.
    fraction = (match[7] or "").ljust(6, "0")[:6]
    return datetime(*numbers) + int(fraction) * MICROSECOND  # type: ignore[arg-type]  # noqa: DTZ001 - the caller says the zone


def _bounded(instant: datetime) -> datetime:
    return min(max(instant, FIRST), LAST)


def _last_day(year: int, month: int) -> int:
    if month == 12:  # noqa: PLR2004 - December
        return 31
    following = datetime(year, month + 1, 1, tzinfo=UTC)
    return (following - timedelta(days=1)).day
