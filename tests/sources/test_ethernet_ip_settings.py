"""What may be configured, when polls are due, and what is counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wattwire.sources import TYPES
from wattwire.sources._poll_figures import Lateness, PollFigures
from wattwire.sources._poll_grid import Grid, Now, pause_before_retry, spread
from wattwire.sources.ethernet_ip import Settings, polled_by

PM = {"host": "10.0.5.17", "key": "pm-1"}
REAL = {"instance": 101, "offset": 0, "type": "REAL", "name": "v", "unit": "V"}
WRONG = [
    ({"period_ms": 99}, "greater than or equal to 100"),
    ({"devices": []}, "at least 1 item"),
    ({"devices": [PM | {"key": f"pm-{n}", "port": n + 1} for n in range(1001)]}, "at most 1000"),
    ({"devices": [PM, PM | {"host": "10.0.5.18"}]}, "the key pm-1 is there twice"),
    ({"devices": [PM, PM | {"key": "pm-2"}]}, "the address 10.0.5.17:44818 is there twice"),
    ({"devices": [PM, PM | {"key": "a\nb", "port": 1}]}, r"devices.1..key: a device key has 1 to"),
    ({"map": "other"}, "there is no map 'other': there are ab-pm500-manual"),
    ({"devices": [PM | {"map": "other"}]}, "there is no map 'other'"),
    ({"maps": {"ab-pm500-manual": [REAL]}}, "ab-pm500-manual is a map that is shipped"),
    ({"maps": {"mine": []}}, "maps.mine: sizes"),
    ({"maps": {"mine": [REAL, REAL]}}, "maps.mine: elements.1.: the same as"),
    ({"maps": {"mine": [REAL | {"type": "BOOL"}]}}, "Input should be 'REAL'"),
    ({"maps": {"mine": [REAL | {"scale": 0}]}}, "scale: a number other than 0"),
    ({"stream": "metrics"}, "should match pattern"),
    ({"write": True}, "Extra inputs"),
    ({"devices": [PM | {"password": "x"}]}, "Extra inputs"),
]


@pytest.mark.parametrize(("change", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_makes_no_sense_is_refused(change, said):
    """Before anything is polled, with the reason."""
    with pytest.raises(ValidationError, match=said):
        Settings.model_validate({"devices": [PM], **change})


def test_the_defaults():
    """A second, the manual's map, port 44818, spread over the period."""
    found = Settings.model_validate({"devices": [PM]})

    assert (1000, "ab-pm500-manual", False, "/metrics") == (
        found.period_ms, found.map, found.align_to_clock, found.stream,
    )  # fmt: skip
    assert 44818 == found.devices[0].port
    assert 1 == TYPES["ethernet_ip"].workers(found)


def test_a_device_has_a_map_of_its_own():
    """It goes before the map of the source. An address may be there again, if it is not polled."""
    found = Settings.model_validate(
        {
            "devices": [PM, PM | {"key": "pm-2", "map": "mine", "enabled": False}],
            "maps": {"mine": [REAL | {"offset": 4, "scale": 1000}, REAL]},
        }
    )

    assert ["ab-pm500-manual"] == [device.map.name for device in polled_by(found)]
    mine = found.find_map("mine")
    assert {101: 8} == mine.sizes
    assert ["v"] == [c.name for c in found.shape_of(found.devices[1], mine).channels]


MICROS = st.integers(0, 2**52)


@given(MICROS, MICROS, st.integers(100_000, 10**9), st.integers(0, 10**9), st.booleans())
def test_a_slot_is_on_the_grid_and_ahead(steady, wall, period, ahead, aligned):
    """The next slot is the first one after now: on the grid, at most a period away."""
    grid = Grid(period, phase=12_345, aligned=aligned)
    slot = grid.after(Now(steady, wall), not_before=steady + ahead)
    instant = slot.due - 12_345 if slot.instant is None else slot.instant

    assert 0 == instant % period
    assert 0 < slot.due - steady - ahead <= period
    assert aligned == (slot.instant is not None)
    assert not aligned or slot.instant - wall == slot.due - steady


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=50), st.integers(100_000, 10**6))
def test_every_slot_is_kept_or_counted(waits, period):
    """However long polls take: those made and those left out are all there were."""
    grid = Grid(period)
    now = 0
    first = last = grid.after(Now(now, 0))
    missed = 0
    for wait in waits:
        now = last.due + wait
        following = grid.after(Now(now, 0), last)
        missed += grid.skipped(last, following)
        last = following

    assert (last.due - first.due) // period == missed + len(waits)


def test_a_clock_that_is_set_counts_nothing():
    """An hour that somebody adds to the wall clock was no hour: nothing was missed."""
    grid = Grid(1_000_000, aligned=True)
    before = grid.after(Now(5_000_000, 7_100_000))
    after = grid.after(Now(6_000_000, 3_608_100_000))

    assert 0 == grid.skipped(before, after)
    assert 3_609_000_000 == after.instant


@given(MICROS, st.integers(-999_999, 999_999), st.booleans())
def test_no_instant_comes_twice(wall, skew, still):
    """Clocks that drift apart by less than a period: each instant is due once, none is left out."""
    grid = Grid(1_000_000, aligned=True)
    last = grid.after(Now(0, wall))
    now = Now(last.due, last.instant + (0 if still else skew))
    following = grid.after(now, last)

    assert following.instant == last.instant + 1_000_000
    assert following.due > last.due


def test_a_clock_that_is_set_back_is_followed():
    """Polling goes on at once, at the instants that the clock now says."""
    grid = Grid(1_000_000, aligned=True)
    last = grid.after(Now(5_000_000, 3_607_100_000))
    following = grid.after(Now(last.due + 1, 7_100_000), last)

    assert 8_000_000 == following.instant
    assert 0 == grid.skipped(last, following)


def test_devices_are_spread_over_the_period():
    """Each has a part of the period to itself."""
    phases = spread(200, 1_000_000)

    assert list(range(200)) == [phase // 5000 for phase in phases]


def test_pauses_grow_to_a_bound():
    """1, 2, 4 … s with a quarter of jitter, and never more than the longest."""
    for failures, expected in ((1, 1), (2, 2), (5, 16), (7, 60), (1000, 60)):
        pauses = {pause_before_retry(failures, first=1, longest=60) for _ in range(50)}

        assert expected * 0.75 <= min(pauses) <= max(pauses) <= min(expected * 1.25, 60)
        assert len(pauses) > 1


def test_lateness_of_the_last_minutes():
    """Percentiles are right to a tenth; what is older than two minutes is forgotten."""
    now = [0.0]
    seen = Lateness(lambda: now[0])
    for n in range(1, 101):
        seen.add(n / 1000)

    assert 0.050 <= seen.percentile(0.5) <= 0.055
    assert 0.099 <= seen.percentile(0.99) <= 0.109
    assert 0.100 <= seen.percentile(1.0) <= 0.110
    now[0] = 61
    seen.add(0.0)
    assert 0.050 <= seen.percentile(0.5) <= 0.055
    now[0] = 130
    assert 0.0001 == seen.percentile(0.99)
    seen.add(0.0)
    now[0] = 400
    assert 0 == seen.percentile(0.99)


def test_every_figure_is_shown_from_the_start():
    """A metric that is 0 is there: who asks for it does not have to wait for the first fault."""
    assert len(PollFigures().read()) == 16
    assert {0} == set(PollFigures().read().values())
