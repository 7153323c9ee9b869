"""What a reading must be before it enters the log. Pure: readings in, a fault or nothing out."""

import math
from collections.abc import Sequence
from typing import Final

from wattwire.model import Reading, RefusedError, Shape, to_instant

#: Earlier clocks are not set: many devices start at 1970 or 2000 after a power cut.
EARLIEST: Final = 946_684_800_000_000 + 86_400_000_000  # 2000-01-02T00:00Z
#: A clock may run ahead this much before its readings are refused.
AHEAD: Final = 86_400_000_000
MAX_CHANNELS: Final = 1000
MAX_NAME: Final = 200
MAX_PATH: Final = 255


def find_fault(readings: Sequence[Reading], now: int) -> RefusedError | None:
    """Return what is wrong with the first faulty reading, or None.

    `now` is in microseconds since the epoch. Numbers are looked at once more here, whatever the
    decoder promised: an infinity in the store would spoil every sum above it.
    """
    latest = now + AHEAD
    isfinite = math.isfinite
    for index, (shape, time, values, _texts, _quality) in enumerate(readings):
        if not EARLIEST <= time <= latest:
            return _implausible(index, time, latest)
        for value in values:
            if value is not None and not isfinite(value):
                return RefusedError("a value is not a finite number", f"readings[{index}]")
        if len(values) != len(shape.channels):
            return RefusedError("values and channels differ in number", f"readings[{index}]")
    return None


def _implausible(index: int, time: int, latest: int) -> RefusedError:
    bounds = f"between {to_instant(EARLIEST).isoformat()} and {to_instant(latest).isoformat()}"
    try:
        said = to_instant(time).isoformat()
    except OverflowError:
        said = f"{time} µs"
    return RefusedError(
        f"the time {said} is not plausible: it must be {bounds}", f"readings[{index}]"
    )


def find_shape_fault(shape: Shape) -> RefusedError | None:
    """Return what is wrong with a device key, a path or channel names, or None."""
    if not 1 <= len(shape.device) <= MAX_PATH or "\x00" in shape.device:
        return RefusedError("a device key has 1 to 255 characters and no NUL", "device")
    if not 1 <= len(shape.stream) <= MAX_PATH or "\x00" in shape.stream:
        return RefusedError("a stream path has 1 to 255 characters and no NUL", "stream")
    if not 1 <= len(shape.channels) <= MAX_CHANNELS:
        return RefusedError("a reading has 1 to 1000 channels", "values")
    names = [channel.name for channel in shape.channels]
    if len(set(names)) != len(names):
        return RefusedError("a channel is named twice", "values")
    for name in names:
        if not 1 <= len(name) <= MAX_NAME or "\x00" in name:
            return RefusedError("a channel name has 1 to 200 characters and no NUL", "values")
    return None
