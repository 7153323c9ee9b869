"""Sparkplug data types: what stands on the wire for a value, and back. Pure.

The specification carries whole numbers up to 32 bits as a uint32 in two's complement, 64 bits and
times as a uint64, arrays as packed little-endian bytes.
https://sparkplug.eclipse.org/specification/version/3.0/documents/sparkplug-specification-3.0.0.pdf
(chapter 6.4.16)
"""

import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from wattwire.formats.refusals import refused, shown

Scalar = float | int | bool | str
#: A value as the specification means it; None is null.
MetricValue = Scalar | bytes | Sequence[Scalar] | None


class DataType(IntEnum):
    """The specification's numbers."""

    UNKNOWN = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14
    UUID = 15
    DATASET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTY_SET = 20
    PROPERTY_SET_LIST = 21
    INT8_ARRAY = 22
    INT16_ARRAY = 23
    INT32_ARRAY = 24
    INT64_ARRAY = 25
    UINT8_ARRAY = 26
    UINT16_ARRAY = 27
    UINT32_ARRAY = 28
    UINT64_ARRAY = 29
    FLOAT_ARRAY = 30
    DOUBLE_ARRAY = 31
    BOOLEAN_ARRAY = 32
    STRING_ARRAY = 33
    DATETIME_ARRAY = 34


class Carrier(IntEnum):
    """The field of a metric that holds its value; the number is the field's."""

    NONE = 0
    INT = 10
    LONG = 11
    FLOAT = 12
    DOUBLE = 13
    BOOLEAN = 14
    STRING = 15
    BYTES = 16
    DATASET = 17
    TEMPLATE = 18
    EXTENSION = 19


_T = DataType
SIGNED: Final[Mapping[int, int]] = {_T.INT8: 8, _T.INT16: 16, _T.INT32: 32, _T.INT64: 64}
UNSIGNED: Final[Mapping[int, int]] = {
    _T.UINT8: 8,
    _T.UINT16: 16,
    _T.UINT32: 32,
    _T.UINT64: 64,
    _T.DATETIME: 64,
}
INTEGERS: Final = frozenset(SIGNED) | frozenset(UNSIGNED)
FLOATS: Final = frozenset({_T.FLOAT, _T.DOUBLE})
TEXTS: Final = frozenset({_T.STRING, _T.TEXT, _T.UUID})
PACKED: Final[Mapping[int, struct.Struct]] = MappingProxyType(
    {
        _T.INT8_ARRAY: struct.Struct("<b"),
        _T.INT16_ARRAY: struct.Struct("<h"),
        _T.INT32_ARRAY: struct.Struct("<i"),
        _T.INT64_ARRAY: struct.Struct("<q"),
        _T.UINT8_ARRAY: struct.Struct("<B"),
        _T.UINT16_ARRAY: struct.Struct("<H"),
        _T.UINT32_ARRAY: struct.Struct("<I"),
        _T.UINT64_ARRAY: struct.Struct("<Q"),
        _T.FLOAT_ARRAY: struct.Struct("<f"),
        _T.DOUBLE_ARRAY: struct.Struct("<d"),
        _T.DATETIME_ARRAY: struct.Struct("<Q"),
    }
)
ARRAYS: Final = frozenset(PACKED) | {_T.BOOLEAN_ARRAY, _T.STRING_ARRAY}
OPAQUE: Final = frozenset({
    _T.UNKNOWN, _T.DATASET, _T.BYTES, _T.FILE, _T.TEMPLATE, _T.PROPERTY_SET, _T.PROPERTY_SET_LIST,
})  # fmt: skip

#: The carrier that the specification gives to each type of number.
NUMBER_CARRIERS: Final[Mapping[int, int]] = MappingProxyType(
    {
        _T.INT8: Carrier.INT,
        _T.INT16: Carrier.INT,
        _T.INT32: Carrier.INT,
        _T.INT64: Carrier.LONG,
        _T.UINT8: Carrier.INT,
        _T.UINT16: Carrier.INT,
        _T.UINT32: Carrier.INT,
        _T.UINT64: Carrier.LONG,
        _T.FLOAT: Carrier.FLOAT,
        _T.DOUBLE: Carrier.DOUBLE,
        _T.BOOLEAN: Carrier.BOOLEAN,
    }
)

_WHOLE: Final = frozenset({Carrier.INT, Carrier.LONG})
_REAL: Final = frozenset({Carrier.FLOAT, Carrier.DOUBLE})
_COUNT_BYTES: Final = 4


def value_of(datatype: int, carrier: int, raw: Scalar | bytes, where: str) -> MetricValue:
    """Return what a carrier means for a data type.

    Whole numbers are taken from either whole carrier and reals from either real one, as publishers
    differ there; anything else that does not fit raises RefusedError.
    """
    if carrier in _REAL and datatype in FLOATS:
        return raw
    if carrier in _WHOLE and datatype in INTEGERS and isinstance(raw, int):
        return _whole(datatype, raw, where)
    if (
        (carrier == Carrier.BOOLEAN and datatype == DataType.BOOLEAN)
        or (carrier == Carrier.STRING and datatype in TEXTS)
        or (carrier == Carrier.BYTES and datatype in (DataType.BYTES, DataType.FILE))
    ):
        return raw
    if carrier == Carrier.BYTES and datatype in ARRAYS and isinstance(raw, bytes):
        return _array(datatype, raw, where)
    raise refused(f"a value in field {carrier} does not fit the data type {datatype}", where)


def raw_of(datatype: int, value: MetricValue) -> tuple[Carrier, Scalar | bytes]:
    """Return the carrier of a value, and what stands in it. Raises ValueError for a misfit."""
    if datatype in INTEGERS and isinstance(value, int):
        return _carried(datatype, value)
    if datatype in FLOATS and isinstance(value, int | float):
        return (Carrier.FLOAT if datatype == DataType.FLOAT else Carrier.DOUBLE), float(value)
    if datatype == DataType.BOOLEAN and isinstance(value, bool):
        return Carrier.BOOLEAN, value
    if datatype in TEXTS and isinstance(value, str):
        return Carrier.STRING, value
    if isinstance(value, bytes):
        return Carrier.BYTES, value
    if datatype in ARRAYS and isinstance(value, Sequence):
        return Carrier.BYTES, _packed(datatype, value)
    raise ValueError(f"{value!r} is no value of the data type {datatype}")


def _whole(datatype: int, raw: int, where: str) -> int:
    """Read two's complement of the type's own width, of 32 bits or of 64: all three are met."""
    bits = SIGNED.get(datatype)
    if bits is None:
        if raw >> UNSIGNED[datatype]:
            raise refused(f"the number does not fit its data type: {raw}", where)
        return raw
    low = raw & (1 << bits) - 1
    value = low - (1 << bits) if low >> bits - 1 else low
    if raw not in (low, value & 0xFFFFFFFF, value & 0xFFFFFFFFFFFFFFFF):
        raise refused(f"the number does not fit its data type: {raw}", where)
    return value


def _carried(datatype: int, value: int) -> tuple[Carrier, int]:
    bits = SIGNED.get(datatype)
    low, high = (-(1 << bits - 1), 1 << bits - 1) if bits else (0, 1 << UNSIGNED[datatype])
    if not low <= value < high:
        raise ValueError(f"{value} does not fit the data type {datatype}")
    long = (bits or UNSIGNED[datatype]) == 64  # noqa: PLR2004 - the carrier's width
    return (Carrier.LONG, value % (1 << 64)) if long else (Carrier.INT, value % (1 << 32))


def _array(datatype: int, raw: bytes, where: str) -> list[Scalar]:
    if datatype == DataType.BOOLEAN_ARRAY:
        return _booleans(raw, where)
    if datatype == DataType.STRING_ARRAY:
        return _strings(raw, where)
    item = PACKED[datatype]
    if len(raw) % item.size:
        raise refused(f"an array of {len(raw)} bytes has no whole number of items", where)
    return [value for (value,) in item.iter_unpack(raw)]


def _booleans(raw: bytes, where: str) -> list[Scalar]:
    count = int.from_bytes(raw[:_COUNT_BYTES], "little")
    bits = raw[_COUNT_BYTES:]
    if len(raw) < _COUNT_BYTES or len(bits) != (count + 7) // 8:
        raise refused(f"an array of {count} booleans cannot have {len(raw)} bytes", where)
    return [bool(bits[i >> 3] >> (7 - (i & 7)) & 1) for i in range(count)]


def _strings(raw: bytes, where: str) -> list[Scalar]:
    if raw and raw[-1]:
        raise refused("the last text of the array does not end with a NUL", where)
    try:
        return list(raw.decode().split("\0")[:-1])
    except UnicodeDecodeError:
        raise refused(f"the text is not UTF-8: {shown(raw)}", where) from None


def _packed(datatype: int, values: Sequence[Scalar]) -> bytes:
    if datatype == DataType.STRING_ARRAY:
        return b"".join(str(value).encode() + b"\0" for value in values)
    if datatype == DataType.BOOLEAN_ARRAY:
        bits = sum(1 << i + 7 - 2 * (i & 7) for i, value in enumerate(values) if value)
        return len(values).to_bytes(4, "little") + bits.to_bytes((len(values) + 7) // 8, "little")
    return b"".join(PACKED[datatype].pack(value) for value in values)
