"""What the formats share: kinds, shapes that are remembered, times, and reasons that stay short."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattwire.formats import kinds, shapes, times
from wattwire.formats.refusals import decode_json, refused, shown
from wattwire.formats.remembering import ENTRY_WEIGHT, Memory
from wattwire.formats.shapes import shape_of
from wattwire.model import ChannelKind, RefusedError


@pytest.mark.parametrize(
    ("name", "unit", "kind"),
    [
        ("energy_import_wh", "", "accumulating"),
        ("e_kwh", "", "accumulating"),
        ("q_varh", "", "accumulating"),
        ("s_vah", "", "accumulating"),
        ("gas_m3", "", "accumulating"),
        ("ENERGY_KWH", "", "accumulating"),
        ("_wh", "", "instantaneous"),
        ("wh", "", "instantaneous"),
        ("growth", "", "instantaneous"),
        ("active_power_w", "", "instantaneous"),
        ("anything", "kWh", "accumulating"),
        ("anything", "MWh", "accumulating"),
        ("anything", "kvarh", "accumulating"),
        ("anything", "m³", "accumulating"),
        ("anything", "h", "instantaneous"),
        ("energy_import_wh", "W", "instantaneous"),
    ],
)
def test_the_rule_of_kinds(name, unit, kind):
    """The unit decides, and without one the end of the name."""
    assert kinds.kind_of(name, unit) == kind
    assert kinds.kind_of(name, unit, text=True) is ChannelKind.STATUS


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("active_power_w", "W"),
        ("voltage_l1_v", "V"),
        ("temperature_celsius", "°C"),
        ("x", ""),
        ("power_factor", ""),
        ("_w", ""),
        ("frequency_hz", "Hz"),
    ],
)
def test_a_name_may_end_in_its_unit(name, unit):
    """The house's names carry the unit."""
    assert kinds.unit_of(name) == unit


def test_the_same_shape_is_the_same_object():
    """Whatever objects its parts are; another unit, kind or text makes another shape."""
    one = shape_of("d", "/s", ("a", "b"), (1,), units=(("a", "V"),))
    assert shape_of("".join("d"), "/s", tuple("ab"), (1,), units=(("a", "V"),)) is one
    assert shape_of("d", "/s", ("a", "b"), (1,)) != one
    assert shape_of("d", "/s", ("a", "b"), units=(("a", "V"),)) != one
    assert shape_of("d", "/s", ("b", "a"), (1,), units=(("a", "V"),)) != one


@pytest.mark.parametrize(
    ("device", "stream", "names"),
    [
        ("", "/s", ("a",)),
        ("d" * 256, "/s", ("a",)),
        ("d\n", "/s", ("a",)),
        ("d", "s", ("a",)),
        ("d", "/", ("a",)),
        ("d", "", ("a",)),
        ("d", "/" + "s" * 255, ("a",)),
        ("d", "/\0", ("a",)),
        ("d", "/s", ()),
        ("d", "/s", ("a", "a")),
        ("d", "/s", ("",)),
        ("d", "/s", ("a\x7f",)),
        ("d", "/s", ("a" * 201,)),
        ("d", "/s", tuple(map(str, range(1001)))),
        ("\ud800", "/s", ("a",)),
    ],
)
def test_names_that_cannot_be_kept_are_refused(device, stream, names):
    """What the store has no room or no character for."""
    with pytest.raises(RefusedError):
        shape_of(device, stream, names)


def test_shapes_without_end_do_not_fill_the_memory(monkeypatch):
    """New names in every message push out old ones; each counts with the length of its names."""
    monkeypatch.setattr(shapes, "_REMEMBERED", Memory(1_000_000))
    monkeypatch.setattr(shapes, "_LAYOUTS", Memory(1_000_000))
    for at in range(300):
        shape_of(f"flood-{at}", "/s", tuple(f"{at}-{'x' * 180}-{i}" for i in range(100)))
    assert len(shapes._REMEMBERED) < 2 * 1_000_000 // (100 * 180)
    assert len(shapes._LAYOUTS) < 2 * 1_000_000 // (100 * 180)


def test_a_memory_keeps_what_is_used_and_stays_bounded():
    """Used entries survive, unused ones go, and the weight never exceeds twice the limit."""
    memory = Memory(limit=10 * (ENTRY_WEIGHT + 1))
    memory.put("used", 1, 1)
    memory.put("unused", 2, 1)
    for at in range(100):
        memory.put(at, at, 1)
        assert memory.get("used") == 1
        assert len(memory) <= 20
    assert memory.get("unused") is None


def test_a_memory_takes_what_is_heavier_than_its_limit():
    """One heavy entry is remembered until the next one comes."""
    memory = Memory(limit=10)
    memory.put("heavy", 1, 1000)
    assert memory.get("heavy") == 1
    memory.put("next", 2, 1000)
    memory.put("after", 3, 1000)
    assert memory.get("heavy") is None


@pytest.mark.parametrize(
    ("value", "micros"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        (0, 0),
        (1.0, 1000),
        ("2025-06-01T12:00:00.123456Z", 1_748_779_200_123_456),
        (253402214400000, times.LAST),
    ],
)
def test_times(value, micros):
    """Text with an offset and whole milliseconds, from 1970 to 9999."""
    assert times.from_either(value, "t") == micros


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1970-01-01T00:00:00",
        "1970-01-01",
        "12:00Z",
        "0001-01-01T00:00:00+14:00",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-12:00",
        -1,
        1.5,
        10**400,
        float("inf"),
        float("nan"),
        None,
        True,
        [],
        "now",
    ],
)
def test_times_that_are_refused(value):
    """Naive, ambiguous or out of bounds."""
    with pytest.raises(RefusedError) as caught:
        times.from_either(value, "t")
    assert caught.value.where == "t"


@given(
    st.one_of(
        st.text(),
        st.binary(),
        st.integers(),
        st.floats(),
        st.none(),
        st.booleans(),
        st.lists(st.integers()),
        st.dictionaries(st.text(), st.none()),
    )
)
def test_what_is_shown_is_short_and_printable(value):
    """A reason never carries control characters or a whole payload."""
    text = shown(value)
    assert text.isprintable()
    assert len(text) <= 4 * 80 + 10


def test_a_huge_number_is_described():
    """Python refuses to print numbers of thousands of digits, and nobody wants to read them."""
    assert shown(10**5000) == "a whole number of 16610 bits"


def test_reasons_and_places_are_cut():
    """300 and 200 characters, whatever goes in; control characters become question marks."""
    error = refused("x\n" * 500, "y\0" * 500)
    assert (len(error.reason), len(error.where)) == (300, 200)
    assert error.reason.startswith("x?x?")
    assert error.where.startswith("y?y?")


class _Inner(msgspec.Struct):
    n: int


class _Outer(msgspec.Struct, forbid_unknown_fields=True):
    rows: list[_Inner] = []
    by_name: dict[str, float] = {}


@pytest.mark.parametrize(
    ("document", "where", "reason"),
    [
        ({"rows": [{"n": 1}, {"n": "2"}]}, "rows[1].n", "expected a whole number, got text: '2'"),
        ({"rows": [{"n": 1}, {}]}, "rows[1]", "the object lacks the required field 'n'"),
        ({"rows": 3}, "rows", "expected a list, got a whole number: 3"),
        ({"by_name": {"a": 1, "b": []}}, "by_name.b", "expected a number, got a list: a list of 0"),
        ({"by_name": {"a": True}}, "by_name.*", "expected a number, got true or false"),
        ({"y" * 500: 1}, "", "the object has an unknown field"),
        ([], "", "expected an object, got a list: a list of 0"),
    ],
)
def test_json_faults_are_sentences_with_a_place(document, where, reason):
    """The rule, the offending value, and the path to it."""
    with pytest.raises(RefusedError) as caught:
        decode_json(msgspec.json.Decoder(_Outer), json.dumps(document).encode())
    assert caught.value.where == where
    assert caught.value.reason.startswith(reason)
    assert len(caught.value.reason) <= 300


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"rows": [{"n": 1, "x": ' + b"[" * 100_000, "the JSON is nested too deeply"),
        (b'{"by_name": {"\xff": 1}}', "not JSON: the text is not UTF-8"),
        (b'{"rows": [', "not JSON"),
    ],
)
def test_json_that_is_none(payload, reason):
    """Depth without end, broken text and broken syntax are reasons like all others."""
    with pytest.raises(RefusedError, match=reason):
        decode_json(msgspec.json.Decoder(_Outer), payload)
