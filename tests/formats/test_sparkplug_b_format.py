"""Sparkplug B payloads on the wire, checked against bytes of an independent implementation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattwire.formats import protobuf_wire as wire
from wattwire.formats.sparkplug_b import (
    MAX_METRICS,
    Metric,
    Payload,
    decode_payload,
    encode_payload,
    metric_of,
)
from wattwire.formats.sparkplug_values import DataType as T
from wattwire.model import RefusedError

MS = 1713897600000

# Made with npm sparkplug-payload 1.0.3, `get("spBv1.0").encodePayload({...})` (Eclipse Tahu's
# JavaScript): bdSeq Int64 7, Node Control/Rebirth false, and voltage Float 230.5 with alias 1 and
# the properties engUnit String "V" and Quality Int32 192; timestamp 1713897600000, seq 0.
NBIRTH = bytes.fromhex(
    "0880e887e2f03112120a0562645365711880e887e2f0312004580712210a144e6f646520436f6e74726f6c2f526562"
    "697274681880e887e2f031200b7000123b0a07766f6c7461676510011880e887e2f03120094a200a07656e67556e69"
    "740a075175616c6974791205080c4201561205080318c00165008066431800"
)
# The same with one metric of each data type (see ALL_VALUES), seq 255, uuid "asset-1".
ALL = bytes.fromhex(
    "0880e887e2f03112130a0269381880e887e2f031200150fbffffff0f12140a036931361880e887e2f031200250d4fd"
    "ffff0f12140a036933321880e887e2f03120035090ddfbff0f12190a036936341880e887e2f031200458ffffffffff"
    "ffffefff0112100a0275381880e887e2f031200550c80112120a037531361880e887e2f031200650e0d40312140a03"
    "7533321880e887e2f03120075880d0acf30e12190a037536341880e887e2f031200858ffffffffffffffffff011211"
    "0a01661880e887e2f0312009650000c03f12150a01641880e887e2f031200a6900000000000002c0120e0a01621880"
    "e887e2f031200b700112130a01731880e887e2f031200c7a056772c3bc6e12140a0264741880e887e2f031200d5880"
    "e887e2f03112170a01741880e887e2f031200e7a096c6f6e67207465787412330a0275751880e887e2f031200f7a24"
    "36656465343461342d656132312d346331372d623563342d33376562333837356535353412130a0262791880e887e2"
    "f03120118201030102ff12130a0266691880e887e2f031201282010361626312110a046e756c6c1880e887e2f03120"
    "0a380112320a0264731880e887e2f03120108a012208021201611201621803180c22090a0208010a0332017822090a"
    "0208020a0332017912280a0274701880e887e2f03120139201180a013112070a016d200350031a080a0170100c4201"
    "71280118ff01220761737365742d31"
)
ALL_VALUES = {
    "i8": (T.INT8, -5),
    "i16": (T.INT16, -300),
    "i32": (T.INT32, -70000),
    "i64": (T.INT64, -9007199254740993),
    "u8": (T.UINT8, 200),
    "u16": (T.UINT16, 60000),
    "u32": (T.UINT32, 4000000000),
    "u64": (T.UINT64, 2**64 - 1),
    "f": (T.FLOAT, 1.5),
    "d": (T.DOUBLE, -2.25),
    "b": (T.BOOLEAN, True),
    "s": (T.STRING, "grün"),
    "dt": (T.DATETIME, MS),
    "t": (T.TEXT, "long text"),
    "uu": (T.UUID, "6ede44a4-ea21-4c17-b5c4-37eb3875e554"),
    "by": (T.BYTES, b"\1\2\xff"),
    "fi": (T.FILE, b"abc"),
    "null": (T.DOUBLE, None),
}
# Two metrics by alias: Float 231.25 at +1 s, and a historical Int32 -1 at -5 s; seq 1.
DATA = bytes.fromhex(
    "08e8ef87e2f0311210100118e8ef87e2f031200965004067431213100218f8c087e2f0312003280150ffffffff0f1801"
)


def refusal(payload):
    with pytest.raises(RefusedError) as caught:
        decode_payload(payload)
    return caught.value


def payload_of(*metrics):
    return encode_payload(Payload(metrics))


def only(metric):
    (decoded,) = decode_payload(payload_of(metric)).metrics
    return decoded


def test_a_birth_of_another_implementation():
    """Names, alias, types, values and properties of an NBIRTH made by Eclipse Tahu's JavaScript."""
    payload = decode_payload(NBIRTH)
    assert (payload.timestamp, payload.seq, payload.uuid) == (MS, 0, None)
    assert [metric.name for metric in payload.metrics] == [
        "bdSeq",
        "Node Control/Rebirth",
        "voltage",
    ]
    bd_seq, rebirth, voltage = payload.metrics
    assert (bd_seq.datatype, bd_seq.value(T.INT64, "")) == (T.INT64, 7)
    assert rebirth.value(T.BOOLEAN, "") is False
    assert (voltage.alias, voltage.value(T.FLOAT, "")) == (1, 230.5)
    assert voltage.properties == {"engUnit": "V", "Quality": 192}


def test_every_data_type_of_another_implementation():
    """One metric of each type that can be a value, and a null."""
    payload = decode_payload(ALL)
    values = {
        metric.name: (metric.datatype, metric.value(metric.datatype, ""))
        for metric in payload.metrics
        if metric.datatype not in (T.DATASET, T.TEMPLATE)
    }
    assert values == ALL_VALUES
    assert (payload.seq, payload.uuid) == (255, "asset-1")
    assert [m.name for m in payload.metrics if m.datatype in (T.DATASET, T.TEMPLATE)] == [
        "ds",
        "tp",
    ]


def test_data_of_another_implementation():
    """Alias without name, own timestamps, the historical flag, two's complement."""
    first, second = decode_payload(DATA).metrics
    assert (first.name, first.alias, first.timestamp) == (None, 1, MS + 1000)
    assert (second.is_historical, second.value(T.INT32, "")) == (True, -1)


@pytest.mark.parametrize("payload", [NBIRTH, DATA])
def test_what_was_decoded_encodes_to_the_same_bytes(payload):
    """The other implementation's bytes come out again, bit by bit."""
    assert encode_payload(decode_payload(payload)) == payload


@pytest.mark.parametrize("name", ALL_VALUES)
def test_a_metric_of_a_value_has_the_other_implementations_bytes(name):
    """`metric_of` chooses carriers as Tahu does (but for UInt32, which Tahu puts into a long)."""
    datatype, value = ALL_VALUES[name]
    metric = metric_of(datatype, value, name=name, timestamp=MS)
    if name == "u32":
        assert only(metric).value(datatype, "") == value
    else:
        assert payload_of(metric) in ALL


ARRAYS = [
    (T.INT8_ARRAY, [-23, 123], "e97b"),
    (T.INT16_ARRAY, [-30000, 30000], "d08a3075"),
    (T.INT32_ARRAY, [123456789, -1], "15cd5b07ffffffff"),
    (T.INT64_ARRAY, [-2], "feffffffffffffff"),
    (T.UINT8_ARRAY, [23, 250], "17fa"),
    (T.UINT16_ARRAY, [30, 52360], "1e0088cc"),
    (T.UINT32_ARRAY, [52, 3293969225], "3400000049fb55c4"),
    (T.UINT64_ARRAY, [2**64 - 1], "ffffffffffffffff"),
    (T.FLOAT_ARRAY, [1.5, -2.0], "0000c03f000000c0"),
    (T.DOUBLE_ARRAY, [1.5], "000000000000f83f"),
    (T.BOOLEAN_ARRAY, [c == "1" for c in "001101001101"], "0c00000034d0"),
    (T.STRING_ARRAY, ["ABC", "hello"], "4142430068656c6c6f00"),
    (T.DATETIME_ARRAY, [MS], (MS).to_bytes(8, "little").hex()),
]


@pytest.mark.parametrize(("datatype", "values", "packed"), ARRAYS)
def test_arrays(datatype, values, packed):
    """Packed little-endian; booleans as bits behind a count, texts with a NUL behind each."""
    metric = metric_of(datatype, values, name="a")
    assert metric.raw.hex() == packed
    assert only(metric).value(datatype, "") == values
    assert only(metric_of(datatype, [], name="a")).value(datatype, "") == []


@pytest.mark.parametrize(
    ("datatype", "raw"),
    [
        (T.INT16_ARRAY, b"abc"),
        (T.BOOLEAN_ARRAY, b"\1"),
        (T.BOOLEAN_ARRAY, b"\xff\xff\xff\xff"),
        (T.BOOLEAN_ARRAY, b"\1\0\0\0"),
        (T.STRING_ARRAY, b"abc"),
        (T.STRING_ARRAY, b"\xff\0"),
    ],
)
def test_arrays_that_are_refused(datatype, raw):
    """Bytes that make no whole number of items."""
    with pytest.raises(RefusedError):
        Metric(name="a", carrier=16, raw=raw).value(datatype, "metrics[0]")


@pytest.mark.parametrize(
    ("datatype", "raw", "value"),
    [
        (T.INT8, 0xFB, -5),
        (T.INT8, 0xFFFFFFFB, -5),
        (T.INT16, 0xFFFF, -1),
        (T.INT8, 127, 127),
        (T.INT32, 2**64 - 1, -1),
        (T.INT64, 2**63, -(2**63)),
    ],
)
def test_negative_numbers_in_every_width_met(datatype, raw, value):
    """Two's complement of the type's own width, of the carrier's, and sign-extended to 64 bits."""
    assert Metric(carrier=11, raw=raw).value(datatype, "") == value


@pytest.mark.parametrize(
    ("datatype", "carrier", "raw"),
    [
        (T.INT8, 10, 300),
        (T.UINT8, 10, 256),
        (T.UINT16, 10, 65536),
        (T.UINT32, 11, 2**32),
        (T.INT32, 12, 1.5),
        (T.DOUBLE, 10, 1),
        (T.STRING, 10, 1),
        (T.BOOLEAN, 10, 1),
        (T.DOUBLE, 15, "1"),
        (T.DATASET, 17, b""),
        (99, 10, 1),
        (T.INT8_ARRAY, 15, "x"),
    ],
)
def test_values_that_do_not_fit_their_type_are_refused(datatype, carrier, raw):
    """A number out of its type's range, or a value in the wrong field."""
    with pytest.raises(RefusedError) as caught:
        Metric(carrier=carrier, raw=raw).value(datatype, "metrics[3]")
    assert caught.value.where == "metrics[3]"


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        (T.INT8, 128),
        (T.UINT8, -1),
        (T.UINT64, 2**64),
        (T.STRING, 5),
        (T.BOOLEAN, 1),
        (T.DOUBLE, "x"),
        (T.INT32, 1.5),
        (T.DATASET, 1),
    ],
)
def test_metric_of_refuses_what_does_not_fit(datatype, value):
    """Our own side never writes a value that its type cannot hold."""
    with pytest.raises(ValueError, match=r"fit|no value"):
        metric_of(datatype, value)


def test_properties_of_every_kind_come_back():
    """Numbers, text, truth and null; what is a set of properties is left out."""
    properties = {"unit": "V", "Quality": -3, "scale": 0.1, "on": True, "none": None}
    assert only(metric_of(T.DOUBLE, 1.0, name="x", properties=properties)).properties == properties
    nested = wire.put_text(1, "set") + wire.put_bytes(
        2, wire.put_varint(1, 20) + wire.put_bytes(9, b"")
    )
    metric = wire.put_text(1, "x") + wire.put_bytes(9, nested)
    assert decode_payload(wire.put_bytes(2, metric)).metrics[0].properties == {}


def test_what_later_versions_add_is_stepped_over():
    """Unknown fields of every wire type, at every level, do no harm."""
    extra = (
        wire.put_varint(30, 5)
        + wire.put_bytes(31, b"x")
        + wire.put_float(32, 1.0)
        + wire.put_double(1000, 1.0)
    )
    payload = extra + wire.put_bytes(2, extra + wire.put_text(1, "a")) + wire.put_bytes(5, b"body")
    assert decode_payload(payload).metrics[0].name == "a"


def test_the_last_of_a_repeated_field_counts():
    """As protocol buffers say; properties in two parts are one set."""
    parts = [
        wire.put_bytes(9, wire.put_text(1, n) + wire.put_bytes(2, wire.put_text(8, n)))
        for n in "ab"
    ]
    metric = (
        wire.put_text(1, "x") + b"".join(parts) + wire.put_text(1, "y") + wire.put_varint(10, 1)
    )
    decoded = decode_payload(wire.put_bytes(2, metric + wire.put_double(13, 2.0))).metrics[0]
    assert decoded.name == "y"
    assert decoded.properties == {"a": "a", "b": "b"}
    assert decoded.value(T.DOUBLE, "") == 2.0


@pytest.mark.parametrize(
    ("payload", "where"),
    [
        (b"\x08", "payload"),  # no value
        (b"\x12\x05abc", "payload"),  # too short
        (b"\x0d\x00\x00", "payload"),  # four bytes announced
        (b"\x08" + b"\xff" * 10 + b"\x01", "payload"),  # eleven bytes
        (b"\x08" + b"\x80" * 10 + b"\x00", "payload"),  # a zero of eleven bytes
        (b"\x08" + b"\xff" * 9 + b"\x02", "payload"),  # 65 bits
        (b"\x0b\x0c", "payload"),  # a group
        (b"\x0e", "payload"),  # wire type 6
        (b"\x0a\x00", "payload"),  # timestamp as bytes
        (b"\x10\x01", "payload"),  # metrics as a number
        (wire.put_bytes(2, b"\x08\x01"), "metrics[0]"),  # name as a number
        (wire.put_bytes(2, b"") + wire.put_bytes(2, b"\x0a\xff"), "metrics[1]"),
        (wire.put_bytes(2, wire.put_bytes(1, b"\xff")), "metrics[0]"),  # not UTF-8
        (wire.put_bytes(4, b"\xff"), "uuid"),
        (wire.put_bytes(2, wire.put_bytes(9, wire.put_text(1, "a"))), "metrics[0].properties"),
        (
            wire.put_bytes(
                2,
                wire.put_bytes(
                    9,
                    b"".join(wire.put_text(1, str(i)) + wire.put_bytes(2, b"") for i in range(101)),
                ),
            ),
            "metrics[0].properties",
        ),
        (b"\x12\x00" * (MAX_METRICS + 1), "metrics"),
        (b"\x00" * 1_048_577, ""),
    ],
)
def test_bytes_that_are_refused(payload, where):
    """Cut, lying, out of bounds: each with the place it was found at."""
    assert refusal(payload).where == where


def test_many_properties_take_their_time_in_proportion():
    """A mebibyte of split properties is read in one pass."""
    piece = wire.put_bytes(9, b"")
    payload = wire.put_bytes(2, piece * 500_000)
    assert decode_payload(payload).metrics[0].properties == {}


@given(
    st.lists(st.sampled_from(sorted(ALL_VALUES)), max_size=5),
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | st.integers(0, 255),
    st.booleans(),
)
def test_what_encode_writes_decode_reads(names, timestamp, seq, typed):
    """Any payload comes back as it went."""
    metrics = [
        metric_of(*ALL_VALUES[name], name=name, alias=at, timestamp=timestamp, typed=typed)
        for at, name in enumerate(names)
    ]
    payload = Payload(metrics, timestamp, seq)
    assert decode_payload(encode_payload(payload)) == payload
