"""What simulated households and feeders draw."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from wattwire.simulate.curves import day_readings, electrical, household, switchboard

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("day", "count"),
    [(date(2025, 3, 29), 96), (date(2025, 3, 30), 92), (date(2025, 10, 26), 100)],
)
def test_a_day_has_its_intervals(day, count):
    """Days of 23, 24 and 25 hours have 92, 96 and 100 quarters."""
    assert count == len(day_readings(household("m", 1), day, 15, BERLIN))


def test_the_same_seed_gives_the_same_day():
    """Readings depend on seed, meter and day alone, so that a day sent again is the same day."""
    first = day_readings(household("m", 1), date(2025, 6, 1), 15, BERLIN)
    day_readings(household("m", 1), date(2025, 6, 2), 15, BERLIN)

    assert first == day_readings(household("m", 1), date(2025, 6, 1), 15, BERLIN)
    assert first != day_readings(household("m", 2), date(2025, 6, 1), 15, BERLIN)
    assert first != day_readings(household("n", 1), date(2025, 6, 1), 15, BERLIN)


def test_households_look_like_households():
    """Between 1 and 100 kWh a day, nothing negative, more in the evening than at night; some PV."""
    fleet = [household(f"m-{n}", 1) for n in range(40)]
    days = [day_readings(home, date(2025, 6, 3), 60, ZoneInfo("UTC")) for home in fleet]
    totals = [sum(kwh for _start, kwh in day) for day in days]

    assert all(1 < total < 100 for total in totals)
    month = [date(2025, 6, number) for number in range(1, 31)]
    sunny = [day_readings(h, day, 60, ZoneInfo("UTC")) for h in fleet if h.pv for day in month]
    assert {0.0} < {kwh for day in sunny for _start, kwh in day}
    assert all(kwh >= 0 for day in days + sunny for _start, kwh in day)
    assert sum(day[19][1] for day in days) > 2 * sum(day[3][1] for day in days)
    assert {True, False} == {home.pv > 0 for home in fleet} == {home.ev > 0 for home in fleet}


def test_panels_feed_noon():
    """A household with panels draws less at noon in June than the same one in December."""
    home = next(h for h in (household(f"m-{n}", 1) for n in range(99)) if h.pv > 5 and not h.ev)

    def noon(month):
        days = [day_readings(home, date(2025, month, n), 60, ZoneInfo("UTC")) for n in range(1, 29)]
        return sum(day[12][1] for day in days)

    assert noon(6) < noon(12) / 2


def test_registers_only_rise():
    """The energy register is the integral of the load, whatever instants are asked for."""
    board = switchboard("pm-1", 1)
    at = [1_750_000_000 + 900 * n for n in range(200)]
    energy = [electrical(board, moment)["realEnergy"] for moment in at]

    assert sorted(energy) == energy
    assert energy[-1] > energy[0]
    power = [electrical(board, moment)["realPower"] for moment in at]
    assert (energy[-1] - energy[0]) == pytest.approx(sum(power) * 0.25, rel=0.02)


def test_electrical_quantities_agree():
    """Apparent power is the root of the squares, and what the phases carry."""
    shown = electrical(switchboard("pm-1", 1), 1_750_000_000)

    expected = (shown["realPower"] ** 2 + shown["reactivePower"] ** 2) ** 0.5
    carried = sum(shown[f"voltage{p}N"] * shown[f"current{p}"] for p in "ABC") / 1000
    assert shown["apparentPower"] == pytest.approx(expected, rel=1e-3)
    assert shown["apparentPower"] == pytest.approx(carried, rel=1e-3)
    assert shown == electrical(switchboard("pm-1", 1), 1_750_000_000)
