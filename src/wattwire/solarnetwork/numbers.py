"""Numbers as SolarNetwork shows them: decimals without trailing zeros, whole ones without a point.

The hub keeps floats. What was read is shown with the fewest digits that give the same float again;
what was computed is rounded to the 15 digits that a float is good for, so that the noise of binary
fractions (`0.30000000000000004`) is not taken for a measurement.
"""

import math
from typing import Final

_WHOLE: Final = 2**53  #: up to here a float names every whole number


def as_read(value: float | None) -> int | float | None:
    """Return a stored value for JSON; None for what JSON has no number for."""
    if value is None or not math.isfinite(value):
        return None
    return int(value) if value == int(value) and abs(value) <= _WHOLE else value


def as_computed(value: float | None) -> int | float | None:
    """Return a computed value for JSON, rounded to 15 digits."""
    if value is None or not math.isfinite(value):
        return None
    return as_read(float(f"{value:.15g}"))
