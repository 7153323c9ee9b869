"""SolarNetwork's aggregations: their names and keys, which of them there are, what limits them."""

from datetime import datetime, timedelta
from enum import Enum
from typing import Final, NamedTuple


class Aggregation(Enum):
    """How readings are put together: key and, for spans of a fixed length, seconds."""

    NONE = ("None", "0", 0)
    MINUTE = ("Minute", "m", 60)
    FIVE_MINUTE = ("FiveMinute", "5m", 300)
    TEN_MINUTE = ("TenMinute", "10m", 600)
    FIFTEEN_MINUTE = ("FifteenMinute", "15m", 900)
    THIRTY_MINUTE = ("ThirtyMinute", "30m", 1800)
    HOUR = ("Hour", "h", 3600)
    DAY = ("Day", "d", 86_400)
    WEEK = ("Week", "w", 604_800)
    MONTH = ("Month", "M", 2_419_200)
    YEAR = ("Year", "y", 31_536_000)

    def __init__(self, title: str, key: str, level: int) -> None:
        self.title = title
        self.key = key
        self.level = level  #: seconds, about

    @property
    def bucket(self) -> str | None:
        """The kind of rollup that the hub stores for it, or None."""
        return self.key if self.key in {"h", "d", "M"} else None

    @property
    def parts(self) -> str:
        """The kind of rollup that a week or a year is made of."""
        return "d" if self is Aggregation.WEEK else "M"


#: SolarNetwork has these, the hub does not: they compare like hours or days of different dates.
UNSUPPORTED: Final = {
    "HourOfDay": "hd", "SeasonalHourOfDay": "shd", "HourOfYear": "hy", "DayOfWeek": "wd",
    "SeasonalDayOfWeek": "swd", "DayOfYear": "yd", "WeekOfYear": "yw", "RunningTotal": "rt",
}  # fmt: skip

_BY_NAME: Final = {some.title: some for some in Aggregation}
_BY_KEY: Final = {some.key: some for some in Aggregation}


def parse_aggregation(text: str) -> Aggregation:
    """Return what a name or key means. Raises ValueError with a reason to show."""
    found = _BY_NAME.get(text) or _BY_KEY.get(text)
    if found is not None:
        return found
    if text in UNSUPPORTED or text in UNSUPPORTED.values():
        raise ValueError(f"the aggregation {text} is not supported by this hub")
    raise ValueError(f"unknown aggregation {text[:40]!r}")


class _Cap(NamedTuple):
    """Finer than `floor` is not given over more than `days`."""

    days: int
    floor: Aggregation


#: The widest first.
_CAPS: Final = (
    _Cap(731, Aggregation.MONTH),
    _Cap(32, Aggregation.DAY),
    _Cap(7, Aggregation.HOUR),
)
#: From when SolarNetwork counts a range that has no start.
_BEGINNING: Final = datetime(2008, 1, 1)  # noqa: DTZ001 - compared with local dates too


def restrain(
    asked: Aggregation, start: datetime | None, end: datetime | None, now: datetime
) -> Aggregation:
    """Return the aggregation that a range is answered with: a coarser one for a long range.

    `start`, `end` and `now` are either all aware or all naive. Raw readings stay raw: their pages
    are bounded anyway.
    """
    if asked is Aggregation.NONE:
        return asked
    if start is None and end is None:
        return asked if asked.level >= Aggregation.DAY.level else Aggregation.DAY
    first = start or _BEGINNING.replace(tzinfo=(end or now).tzinfo)
    days = ((end or now) - first) // timedelta(days=1)
    for cap in _CAPS:
        if days > cap.days and asked.level < cap.floor.level:
            return cap.floor
    return asked
