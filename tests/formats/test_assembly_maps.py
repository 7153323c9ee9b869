"""Assembly maps: what is read where, what is refused, and maps that make no sense."""

import struct
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from math import isfinite

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattwire.formats.assembly_maps import (
    DEFAULT_MAP,
    MAPS,
    AssemblyMap,
    Element,
    read_numbers,
    read_values,
    write_values,
)
from wattwire.model import RefusedError
from wattwire.payloads import line_protocol
from wattwire.payloads._metrics import POWERMONITOR_500

MANUAL = MAPS["ab-pm500-manual"]
QUICK = settings(max_examples=150, deadline=None)
TYPES = ("REAL", "LREAL", "SINT", "USINT", "INT", "UINT", "DINT", "UDINT", "LINT", "ULINT")


def a_map(*elements, size=16):
    return AssemblyMap("m", "", {1: size}, elements)


def reals(*numbers):
    return struct.pack(f"<{len(numbers)}f", *numbers)


def test_the_default_map_reads_the_manuals_assemblies():
    """101, 102 and 107 as the contract orders them: V, A, kW, kVA, kVAR, Hz and registers."""
    values = read_values(
        MANUAL,
        {
            101: reals(480.25, 481, 482, 481, 831, 832, 833, 832, 12.5, 13, 14, 0.5),
            102: reals(*(4200, 1, 2, 3), *range(8), 0.5, 0.6, 0.7, 0.8, 1, 50),
            107: reals(3, 141592.5, *([0] * 14), 1200, 30),
        },
    )

    assert DEFAULT_MAP == MANUAL.name
    assert (480.25, 481, 831, 832) == (
        *(values["voltageAN"], values["voltageAverage"]),
        *(values["voltageAB"], values["voltageLineAverage"]),
    )
    assert (12.5, 0.5) == (values["currentA"], values["currentN"])
    assert (4.2, 0.003) == (values["realPowerA"], values["realPower"])
    assert (0.003, 0.007) == (values["apparentPower"], values["reactivePower"])
    assert (0.5, pytest.approx(0.8), 1, 50) == (
        *(values["powerFactorA"], values["powerFactor"]),
        *(values["phaseSequence"], values["frequency"]),
    )
    assert (3_141_592.5, 1200.5) == (values["realEnergy"], values["operatingHours"])
    assert [*MANUAL.units] == [*values]


def test_the_default_map_has_the_sizes_of_the_manual():
    """12, 18 and 18 REALs, every byte of them an element."""
    assert {101: 48, 102: 72, 107: 72} == dict(MANUAL.sizes)
    for instance, size in MAPS["ab-pm500-manual-full"].sizes.items():
        offsets = [
            e.offset for e in MAPS["ab-pm500-manual-full"].elements if e.instance == instance
        ]
        assert list(range(0, size, 4)) == offsets
    assert {103: 48, 104: 68, 105: 48, 106: 68}.items() <= MAPS[
        "ab-pm500-manual-full"
    ].sizes.items()


def test_channels_are_those_that_payloads_name():
    """The Sparkplug metrics and the fields of the InfluxDB preset are in the default map."""
    assert set(POWERMONITOR_500) <= set(MANUAL.units)
    assert all(unit == MANUAL.units[name] for name, (_, unit) in POWERMONITOR_500.items())
    lines = line_protocol.PRESETS["powermonitor_500"]["lines"]
    fields = {channel for line in lines for channel in line.fields.values()}
    assert {"currentAverage"} == fields - set(MANUAL.units)  # no such figure in the device


def test_what_is_inferred_is_said():
    """Notes tell people what nobody has verified."""
    assert "INFERRED" in MANUAL.note
    assert "NOT VERIFIED" in MAPS["pm500-seed-legacy"].note


def test_the_legacy_map_reads_words_and_watts():
    """Instance 100 as watts, 101 as four words with powers times ten."""
    values = read_values(
        MAPS["pm500-seed-legacy"], {100: reals(4200), 101: struct.pack("<4H", 7, 42, 11, 2)}
    )

    assert (4.2, 7, 4.2, 1.1, 2) == tuple(pytest.approx(value) for value in values.values())


@pytest.mark.parametrize(
    ("kind", "letter", "number"),
    [
        ("REAL", "f", 1.5),
        ("LREAL", "d", -2.5),
        ("SINT", "b", -1),
        ("USINT", "B", 255),
        ("INT", "h", -2),
        ("UINT", "H", 65535),
        ("DINT", "i", -3),
        ("UDINT", "I", 2**32 - 1),
        ("LINT", "q", -4),
        ("ULINT", "Q", 2**53),
    ],
)
def test_every_type_is_little_endian(kind, letter, number):
    """Each of CIP's types is read from its place and scaled."""
    found = a_map(Element(1, 3, kind, "x", "", 2.0))
    data = b"\xee" * 3 + struct.pack(f"<{letter}", number)

    assert {"x": number * 2.0} == read_values(found, {1: data.ljust(16, b"\xee")})


def test_elements_may_overlap_and_share_a_name():
    """A bit field may be read as words and as a whole; parts of a name are added up."""
    found = a_map(
        Element(1, 0, "UDINT", "all"),
        Element(1, 2, "UINT", "high"),
        Element(1, 0, "UINT", "low"),
        Element(1, 4, "UINT", "sum", "", 1000.0),
        Element(1, 6, "UINT", "sum"),
        size=8,
    )
    data = struct.pack("<4H", 5, 7, 2, 34)

    assert {"all": 7 * 65536 + 5, "high": 7, "low": 5, "sum": 2034} == read_values(found, {1: data})


@pytest.mark.parametrize(
    ("assemblies", "where", "reason"),
    [
        ({101: bytes(47)}, "instance 101", "47 bytes, where map ab-pm500-manual has 48"),
        ({101: bytes(49)}, "instance 101", "49 bytes"),
        ({100: bytes(20)}, "instance 100", "no such instance"),
        ({107: reals(*[0] * 17, float("nan"))}, "instance 107, byte 68 (operatingHours)", "nan"),
        ({101: reals(*[0] * 11, float("-inf"))}, "instance 101, byte 44 (currentN)", "-inf"),
    ],
)
def test_a_refusal_names_instance_and_element(assemblies, where, reason):
    """Wrong sizes and numbers that are none are refused with their place."""
    with pytest.raises(RefusedError) as refused:
        read_values(MANUAL, assemblies)

    assert (where, True) == (refused.value.where, reason in refused.value.reason)


def test_a_sum_that_overflows_is_refused():
    """Parts that are finite may add up to what is not."""
    found = a_map(Element(1, 0, "LREAL", "x"), Element(1, 8, "LREAL", "x"))
    with pytest.raises(RefusedError, match="x: the sum is not a finite number"):
        read_values(found, {1: struct.pack("<2d", 1.7e308, 1.7e308)})


def test_what_was_not_read_is_left_out():
    """One assembly alone gives its own values and no others."""
    values = read_values(MANUAL, {107: bytes(72)})

    assert {
        name for name, *_ in ((e.name, e) for e in MANUAL.elements if e.instance == 107)
    } == set(values)


def test_people_see_the_numbers_as_they_stand():
    """Elements with their unscaled numbers, in the map's order, even if they are none."""
    numbers = read_numbers(MANUAL, {102: reals(4200, float("nan"), *[0] * 16)})

    assert [102] * 18 == [element.instance for element in numbers]
    assert 4200 == next(iter(numbers.values()))


@QUICK
@given(st.dictionaries(st.sampled_from([*MANUAL.units]), st.floats(0, 9e9), max_size=50))
def test_written_values_are_read_again(values):
    """What a simulated device writes reads as it was, to a REAL's seven digits of each part."""
    found = read_values(MANUAL, write_values(MANUAL, values))

    for name in MANUAL.units:
        assert found[name] == pytest.approx(values.get(name, 0.0), rel=1e-7, abs=0.04)


def test_registers_rise_when_written_values_do():
    """A register split into giga and kilo never falls where it carries over."""
    rising = [999_999.9 + n / 16 for n in range(40)]
    read = [
        read_values(MANUAL, write_values(MANUAL, {"realEnergy": value}))["realEnergy"]
        for value in rising
    ]

    assert all(before <= after for before, after in pairwise(read))
    assert read[-1] == pytest.approx(rising[-1], abs=0.04)


def test_a_register_is_split_into_whole_giga_and_the_rest():
    """The first part takes whole units, so that the second keeps its digits."""
    written = write_values(MANUAL, {"realEnergy": 7_234_567.5, "operatingHours": 12.5})

    assert reals(7, 234_567.5) == written[107][:8]
    assert reals(12, 30) == written[107][-8:]


def test_a_value_that_does_not_fit_is_not_written():
    """A value error names the element."""
    for value in (300.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="x: "):
            write_values(a_map(Element(1, 0, "USINT", "x")), {"x": value})


GOOD = Element(1, 0, "REAL", "x", "V")


@pytest.mark.parametrize(
    ("sizes", "elements", "message"),
    [
        ({}, [GOOD], "sizes: between 1 and 64"),
        ({1: 0}, [GOOD], r"sizes\[1\]: a size"),
        ({1: 5000}, [GOOD], r"sizes\[1\]: a size"),
        ({70000: 4}, [GOOD], r"sizes\[70000\]: an instance"),
        ({1: 4}, [], "elements: 1 to 1000"),
        ({2: 4}, [GOOD], r"elements\[0\]\.instance: 1 has no entry"),
        ({1: 8}, [GOOD, replace(GOOD, offset=5)], r"elements\[1\]\.offset: REAL at byte 5"),
        ({1: 8}, [replace(GOOD, offset=-1)], r"elements\[0\]\.offset"),
        ({1: 8}, [replace(GOOD, type="FLOAT")], r"elements\[0\]\.type: 'FLOAT' is none of REAL"),
        ({1: 8}, [replace(GOOD, name="")], r"elements\[0\]\.name: 1 to 200"),
        ({1: 8}, [replace(GOOD, name="a\nb")], r"elements\[0\]\.name"),
        ({1: 8}, [replace(GOOD, scale=0.0)], r"elements\[0\]\.scale"),
        ({1: 8}, [replace(GOOD, scale=float("nan"))], r"elements\[0\]\.scale"),
        ({1: 8}, [GOOD, GOOD], r"elements\[1\]: the same as elements\[0\]"),
        (
            {1: 8},
            [GOOD, replace(GOOD, offset=4, unit="A")],
            r"elements\[1\]\.name: the parts of 'x'",
        ),
        ({1: 8, 2: 8}, [GOOD, replace(GOOD, instance=2)], r"elements\[1\]\.name: the parts of"),
    ],
)
def test_a_map_that_makes_no_sense_is_no_map(sizes, elements, message):
    """What is wrong is said with the place of the element."""
    with pytest.raises(ValueError, match=message):
        AssemblyMap("m", "", sizes, tuple(elements))


@st.composite
def maps_and_bytes(draw):
    """A sound map of one instance, and any bytes for it, of the right size most of the time."""
    size = draw(st.integers(8, 64))
    places = st.tuples(st.integers(0, size - 8), st.sampled_from(TYPES), st.floats(-1e300, 1e300))
    elements = [
        Element(1, offset, kind, f"e{offset % 5}-{offset}", "", scale or 1.0)
        for offset, kind, scale in draw(
            st.lists(places, min_size=1, max_size=12, unique_by=lambda p: p[0])
        )
    ]
    length = draw(st.just(size) | st.integers(0, 80))
    return AssemblyMap("m", "", {1: size}, tuple(elements)), draw(
        st.binary(min_size=length, max_size=length)
    )


@QUICK
@given(maps_and_bytes())
def test_any_bytes_are_values_or_refused(given_):
    """Under any sound map, any bytes give finite values or a refusal."""
    found, data = given_
    with suppress(RefusedError):
        values = read_values(found, {1: data})
        assert {element.name for element in found.elements} == set(values)
        assert all(map(isfinite, values.values()))
