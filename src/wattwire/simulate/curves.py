"""What a household and a switchboard draw, as pure functions of a seed and a time.

The same seed, meter and interval always give the same figure, in whatever order they are asked
for, so that a day that is sent again is the same day. Shapes and sizes are plausible, not measured.
"""

import math
import random
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from wattwire.formats.days import day_intervals

HOUR_SECONDS: Final = 3600
DAYS_PER_YEAR: Final = 365.25
MIDSUMMER: Final = 172  # day of the year, northern half
SATURDAY: Final = 5


@dataclass(frozen=True, slots=True)
class Household:
    """A meter and the habits behind it. Powers in kW, hours of the local clock."""

    key: str
    seed: int
    base: float  #: fridge, standby, router
    morning: float
    morning_hour: float
    evening: float
    evening_hour: float
    heating: float  #: at midwinter
    pv: float  #: peak of the panels; 0 without
    ev: float  #: power of the charger; 0 without


def household(key: str, seed: int) -> Household:
    """Return the household behind a meter."""
    draw = random.Random(f"{seed}/{key}")
    return Household(
        key=key,
        seed=seed,
        base=draw.uniform(0.08, 0.25),
        morning=draw.uniform(0.4, 1.6),
        morning_hour=draw.uniform(6.3, 8.2),
        evening=draw.uniform(0.8, 2.8),
        evening_hour=draw.uniform(18.0, 20.5),
        heating=draw.choice((0.0, 0.0, draw.uniform(0.5, 2.0))),
        pv=draw.choice((0.0, 0.0, draw.uniform(3.0, 9.0))),
        ev=draw.choice((0.0, 0.0, 3.7, 11.0)),
    )


def day_readings(
    home: Household, day: date, minutes: int, zone: ZoneInfo
) -> list[tuple[int, float]]:
    """Return (start in epoch seconds, kWh drawn from the grid) for each interval of a local day."""
    weather = _weather(home.seed, day)
    draw = random.Random(f"{home.seed}/{home.key}/{day}")
    charging = _charging(home, day, draw)
    readings = []
    for start in day_intervals(day, minutes, zone):
        local = datetime.fromtimestamp(start, UTC).astimezone(zone)
        hour = local.hour + local.minute / 60
        load = _load(home, hour, day, draw) + _charge(home, hour, charging)
        power = max(load - _sun(home, hour, day, weather, draw), 0.0)
        readings.append((start, round(power * minutes / 60, 3)))
    return readings


def _load(home: Household, hour: float, day: date, draw: random.Random) -> float:
    late = 1.5 if day.weekday() >= SATURDAY else 0.0
    peaks = home.morning * _bump(hour, home.morning_hour + late, 1.0)
    peaks += home.evening * _bump(hour, home.evening_hour, 1.8)
    heat = home.heating * max(-_season(day), 0.0)
    kettle = draw.uniform(0.8, 2.2) if draw.random() < 0.03 else 0.0  # noqa: PLR2004 - now and then
    return (home.base + peaks + heat) * draw.uniform(0.8, 1.2) + kettle


def _charging(home: Household, day: date, draw: random.Random) -> tuple[float, float]:
    """Return from which hour to which the car charges that day; nothing on most days."""
    if not home.ev or draw.random() > (0.2 if day.weekday() >= SATURDAY else 0.45):
        return (0.0, 0.0)
    start = draw.uniform(17.5, 21.5)
    return (start, start + draw.uniform(5.0, 30.0) / home.ev)


def _charge(home: Household, hour: float, charging: tuple[float, float]) -> float:
    return home.ev if charging[0] <= hour < min(charging[1], 24.0) else 0.0


def _sun(home: Household, hour: float, day: date, weather: float, draw: random.Random) -> float:
    """Return what the panels give: a half sine over a day whose length follows the season."""
    half_day = 6.0 + 2.2 * _season(day)
    from_noon = (hour - 12.5) / half_day
    if not home.pv or abs(from_noon) >= 1:
        return 0.0
    height = 0.65 + 0.35 * _season(day)
    cloud = weather * draw.uniform(0.85, 1.0)
    return home.pv * height * cloud * math.cos(from_noon * math.pi / 2)


def _weather(seed: int, day: date) -> float:
    """Return how clear a day is, from 0.1 to 1, the same for all meters of a fleet."""
    return random.Random(f"{seed}/{day}").choice((0.1, 0.3, 0.6, 0.85, 1.0))


def _season(day: date) -> float:
    """Return 1 at midsummer and -1 at midwinter."""
    return math.cos((day.timetuple().tm_yday - MIDSUMMER) / DAYS_PER_YEAR * 2 * math.pi)


def _bump(hour: float, middle: float, width: float) -> float:
    return math.exp(-(((hour - middle) / width) ** 2))


@dataclass(frozen=True, slots=True)
class Switchboard:
    """A three-phase feeder as a power monitor sees it."""

    key: str
    seed: int
    rated_kw: float
    volts: float  #: phase to neutral
    start_kwh: float


def switchboard(key: str, seed: int) -> Switchboard:
    """Return the feeder behind a power monitor."""
    draw = random.Random(f"{seed}/{key}")
    return Switchboard(
        key=key,
        seed=seed,
        rated_kw=draw.choice((15.0, 45.0, 90.0)),
        volts=draw.choice((230.0, 277.0)),
        start_kwh=round(draw.uniform(1_000, 90_000), 1),
    )


def electrical(board: Switchboard, seconds: float) -> dict[str, float]:
    """Return what the monitor shows at an instant, given in epoch seconds.

    Voltages in V, currents in A, realPower in kW, reactivePower in kVAR, apparentPower in kVA,
    frequency in Hz, realEnergy in kWh. The register is the exact integral of the mean load, so it
    only rises, whatever instants are asked for.
    """
    draw = random.Random(f"{board.key}/{int(seconds)}")
    factor = 0.88 + 0.08 * math.sin(seconds / 1700)
    real = board.rated_kw * _share(seconds) * draw.uniform(0.97, 1.03)
    apparent = real / factor
    shown = {"realPower": real, "reactivePower": math.sqrt(apparent**2 - real**2)}
    shown |= {"apparentPower": apparent, "powerFactor": factor}
    for phase, lean in (("A", 1.02), ("B", 0.99), ("C", 0.99)):
        voltage = board.volts * draw.uniform(0.99, 1.01)
        shown[f"voltage{phase}N"] = voltage
        shown[f"current{phase}"] = apparent * 1000 / 3 * lean / voltage
    shown["frequency"] = 50.0 + draw.uniform(-0.03, 0.03)
    shown["realEnergy"] = board.start_kwh + board.rated_kw * _integral(seconds) / HOUR_SECONDS
    return {name: round(value, 3) for name, value in shown.items()}


_OMEGA: Final = 2 * math.pi / 86_400
_EPOCH: Final = 1_704_067_200.0  # 2024-01-01T00:00Z: registers began then


def _share(seconds: float) -> float:
    """Return the mean load as a share of the rated one: more by day than by night."""
    return 0.5 - 0.3 * math.cos(_OMEGA * seconds)


def _integral(seconds: float) -> float:
    """Return the integral of `_share` from 2024 on, in seconds at rated load."""
    elapsed = seconds - _EPOCH
    waves = math.sin(_OMEGA * seconds) - math.sin(_OMEGA * _EPOCH)
    return 0.5 * elapsed - 0.3 / _OMEGA * waves
