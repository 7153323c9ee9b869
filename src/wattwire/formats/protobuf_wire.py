"""The wire encoding of protocol buffers: fields in, fields out, without a schema.

By hand rather than by the `protobuf` library, for one small fixed schema: every refusal names the
place, what is not needed is stepped over instead of built, bounds are ours, and there is no
compiled dependency to carry. https://protobuf.dev/programming-guides/encoding/
"""

import struct
from collections.abc import Iterator
from typing import Final

from wattwire.formats.refusals import refused
from wattwire.model import RefusedError

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5

SEVEN_BITS: Final = 0x7F
_FIXED_LENGTHS: Final = {FIXED64: 8, FIXED32: 4}
_UINT64: Final = 1 << 64
_MAX_SHIFT: Final = 63
#: Numbers of six bytes seen lately: the milliseconds of today, alike in all metrics of a message.
_MILLIS: Final[dict[bytes, int]] = {}
_MILLIS_BYTES: Final = 6
_MAX_MILLIS: Final = 1024
_FLOAT: Final = struct.Struct("<f")
_DOUBLE: Final = struct.Struct("<d")


def key_of(number: int, wire_type: int) -> int:
    """Return the key that announces a field on the wire."""
    return number << 3 | wire_type


def fields(data: bytes, where: str) -> Iterator[tuple[int, int | bytes]]:
    """Yield (key, value) of each field: an int for a varint, else the field's bytes.

    Raises RefusedError at `where` for data that ends early or is no protocol buffer; also for
    groups, which proto2 has long given up.
    """
    at, size = 0, len(data)
    while at < size:
        key, at = data[at], at + 1
        if key > SEVEN_BITS:
            key, at = _varint(data, at - 1, where)
        wire_type = key & 7
        if wire_type == VARINT:
            value, at = _varint(data, at, where)
            yield key, value
            continue
        if wire_type == BYTES:
            length, at = _varint(data, at, where)
        else:
            length = _FIXED_LENGTHS.get(wire_type, size)
        end = at + length
        if end > size:
            raise _wrong(wire_type, where)
        yield key, data[at:end]
        at = end


def _varint(data: bytes, at: int, where: str) -> tuple[int, int]:
    """Return the number that begins at `at`, and where the next thing begins."""
    try:
        byte = data[at]
        if byte <= SEVEN_BITS:
            return byte, at + 1
        known = _MILLIS.get(data[at : at + _MILLIS_BYTES])
        if known is not None:
            return known, at + _MILLIS_BYTES
        value, end = _long_varint(data, at, where)
    except IndexError:
        raise _wrong(BYTES, where) from None
    if end - at == _MILLIS_BYTES:
        if len(_MILLIS) >= _MAX_MILLIS:
            _MILLIS.clear()
        _MILLIS[data[at:end]] = value
    return value, end


def _long_varint(data: bytes, at: int, where: str) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & SEVEN_BITS) << shift
        if byte <= SEVEN_BITS:
            break
        shift += 7
        if shift > _MAX_SHIFT:
            raise refused("no protocol buffer: a number of more than 10 bytes", where)
    if value >= _UINT64:
        raise refused("no protocol buffer: a number of more than 64 bits", where)
    return value, at


def _wrong(wire_type: int, where: str) -> RefusedError:
    if wire_type == BYTES or wire_type in _FIXED_LENGTHS:
        return refused("the message ends in the middle of a field", where)
    return refused(f"no protocol buffer: there is no wire type {wire_type}", where)


def text(value: bytes, where: str) -> str:
    """Return a field's text. Raises RefusedError when it is not UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise refused("the text is not UTF-8", where) from None


def float32(value: bytes) -> float:
    """Return the number in four bytes."""
    return float(_FLOAT.unpack(value)[0])


def float64(value: bytes) -> float:
    """Return the number in eight bytes."""
    return float(_DOUBLE.unpack(value)[0])


def put_varint(number: int, value: int) -> bytes:
    """Return a field that holds a whole number from 0 to 2^64 - 1, or a bool."""
    return _pack(key_of(number, VARINT)) + _pack(int(value))


def put_bytes(number: int, value: bytes) -> bytes:
    """Return a field that holds bytes or another message."""
    return _pack(key_of(number, BYTES)) + _pack(len(value)) + value


def put_text(number: int, value: str) -> bytes:
    """Return a field that holds text."""
    return put_bytes(number, value.encode())


def put_float(number: int, value: float) -> bytes:
    """Return a field that holds a number in four bytes. Raises OverflowError for a large one."""
    return _pack(key_of(number, FIXED32)) + _FLOAT.pack(value)


def put_double(number: int, value: float) -> bytes:
    """Return a field that holds a number in eight bytes."""
    return _pack(key_of(number, FIXED64)) + _DOUBLE.pack(value)


def _pack(value: int) -> bytes:
    packed = bytearray()
    while value > SEVEN_BITS:
        packed.append(value & 0x7F | 0x80)
        value >>= 7
    packed.append(value)
    return bytes(packed)
