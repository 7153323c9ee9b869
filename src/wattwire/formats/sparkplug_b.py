"""Sparkplug B payloads, both ways: bytes and metrics, without any state between messages.

Facts of the format: proto2, package org.eclipse.tahu.protobuf, as in the Sparkplug 3.0
specification, chapter 6. What a metric means is decided where its birth is known, in
`sparkplug_births`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from wattwire.formats import protobuf_wire as wire
from wattwire.formats.protobuf_wire import BYTES, FIXED32, FIXED64, VARINT, key_of
from wattwire.formats.refusals import check_size, refused
from wattwire.formats.sparkplug_values import (
    INTEGERS,
    Carrier,
    DataType,
    MetricValue,
    Scalar,
    raw_of,
    value_of,
)
from wattwire.model import RefusedError

MAX_METRICS: Final = 5000
MAX_PROPERTIES: Final = 100
UINT32: Final = 0xFFFFFFFF

Properties = Mapping[str, Scalar | None]
_NO_PROPERTIES: Final[Properties] = {}


#: Where a metric is, for reasons.
PLACES: Final = tuple(f"metrics[{at}]" for at in range(MAX_METRICS))

_TIMESTAMP: Final = key_of(1, VARINT)
_METRICS: Final = key_of(2, BYTES)
_SEQ: Final = key_of(3, VARINT)
_UUID: Final = key_of(4, BYTES)
_PAYLOAD_NUMBERS: Final = frozenset({1, 2, 3, 4})  # 5 is a body of the publisher's own

_PROPERTIES: Final = key_of(9, BYTES)
_METRIC_NUMBERS: Final = frozenset({*range(1, 20)} - {8})  # 8 is metadata of files
_RAW: Final = 9
#: The position of a wire field among those of `Metric`, and how its value is read.
_METRIC_FIELDS: Final[Mapping[int, tuple[int, Callable[[Any, str], Any] | None]]] = {
    key_of(1, BYTES): (0, wire.text),
    key_of(2, VARINT): (1, None),
    key_of(3, VARINT): (2, None),
    key_of(4, VARINT): (3, lambda value, _: value & UINT32),
    key_of(5, VARINT): (4, lambda value, _: value != 0),
    key_of(6, VARINT): (5, lambda value, _: value != 0),
    key_of(7, VARINT): (6, lambda value, _: value != 0),
    key_of(10, VARINT): (_RAW, lambda value, _: value & UINT32),
    key_of(11, VARINT): (_RAW, None),
    key_of(12, FIXED32): (_RAW, lambda value, _: wire.float32(value)),
    key_of(13, FIXED64): (_RAW, lambda value, _: wire.float64(value)),
    key_of(14, VARINT): (_RAW, lambda value, _: value != 0),
    key_of(15, BYTES): (_RAW, wire.text),
    key_of(16, BYTES): (_RAW, None),
    key_of(17, BYTES): (_RAW, None),
    key_of(18, BYTES): (_RAW, None),
    key_of(19, BYTES): (_RAW, None),
}
#: The value fields of a property are those of a metric, seven numbers lower.
_PROPERTY_SHIFT: Final = 7
_PROPERTY_CARRIERS: Final = frozenset(range(Carrier.INT, Carrier.BYTES))


class Metric(msgspec.Struct, frozen=True, gc=False):
    """One metric as it stands on the wire; `metric_of` makes one from a value."""

    name: str | None = None
    alias: int | None = None
    timestamp: int | None = None  #: epoch milliseconds
    datatype: int | None = None  #: births have it, data need not
    is_historical: bool = False
    is_transient: bool = False
    is_null: bool = False
    properties: Properties = _NO_PROPERTIES
    carrier: int = Carrier.NONE  #: the field that holds the value
    raw: Scalar | bytes = 0  #: what stands there

    def value(self, datatype: int, where: str) -> MetricValue:
        """Return the value as one of `datatype`; None is null. Raises RefusedError."""
        if self.is_null or self.carrier == Carrier.NONE:
            return None
        return value_of(datatype, self.carrier, self.raw, where)


class Payload(msgspec.Struct, frozen=True):
    """One message."""

    metrics: Sequence[Metric] = ()
    timestamp: int | None = None  #: epoch milliseconds
    seq: int | None = None
    uuid: str | None = None


def metric_of(
    datatype: DataType,
    value: MetricValue,
    *,
    name: str | None = None,
    alias: int | None = None,
    timestamp: int | None = None,
    properties: Properties = _NO_PROPERTIES,
    historical: bool = False,
    typed: bool = True,
) -> Metric:
    """Return the metric of a value; None is null. `typed=False` omits the data type, as data do.

    Raises ValueError for a value that does not fit its type.
    """
    carrier, raw = (Carrier.NONE, 0) if value is None else raw_of(datatype, value)
    return Metric(
        name=name,
        alias=alias,
        timestamp=timestamp,
        datatype=datatype if typed else None,
        is_historical=historical,
        is_null=value is None,
        properties=properties,
        carrier=carrier,
        raw=raw,
    )


def decode_payload(payload: bytes) -> Payload:
    """Return what one message says. Raises RefusedError for bytes that are no such message."""
    check_size(payload)
    metrics: list[Metric] = []
    timestamp = seq = uuid = None
    for key, value in wire.fields(payload, "payload"):
        if key == _METRICS:
            if len(metrics) == MAX_METRICS:
                raise refused(f"a payload has at most {MAX_METRICS} metrics", "metrics")
            metrics.append(_metric(cast("bytes", value), PLACES[len(metrics)]))
        elif key == _TIMESTAMP:
            timestamp = cast("int", value)
        elif key == _SEQ:
            seq = cast("int", value)
        elif key == _UUID:
            uuid = wire.text(cast("bytes", value), "uuid")
        elif key >> 3 in _PAYLOAD_NUMBERS:
            raise _wrong_type(key, "payload")
    return Payload(metrics, timestamp, seq, uuid)


def encode_payload(payload: Payload) -> bytes:
    """Return one message as bytes."""
    parts = []
    if payload.timestamp is not None:
        parts.append(wire.put_varint(1, payload.timestamp))
    parts += [wire.put_bytes(2, _encode_metric(metric)) for metric in payload.metrics]
    if payload.seq is not None:
        parts.append(wire.put_varint(3, payload.seq))
    if payload.uuid is not None:
        parts.append(wire.put_text(4, payload.uuid))
    return b"".join(parts)


def _metric(data: bytes, where: str) -> Metric:
    found: list[Any] = [None, None, None, None, False, False, False, _NO_PROPERTIES, 0, 0]
    properties: list[bytes] = []
    for key, value in wire.fields(data, where):
        field = _METRIC_FIELDS.get(key)
        if field is not None:
            at, read = field
            found[at] = value if read is None else read(value, where)
            if at == _RAW:
                found[_RAW - 1] = key >> 3
        elif key == _PROPERTIES:
            properties.append(cast("bytes", value))
        elif key >> 3 in _METRIC_NUMBERS:
            raise _wrong_type(key, where)
    if properties:
        found[_RAW - 2] = _properties(b"".join(properties), f"{where}.properties")
    return Metric(*found)


def _properties(data: bytes, where: str) -> Properties:
    """Return the properties by name; those that are sets of properties are left out."""
    names: list[str] = []
    values: list[bytes] = []
    for key, value in wire.fields(data, where):
        if key == key_of(1, BYTES):
            names.append(wire.text(cast("bytes", value), where))
        elif key == key_of(2, BYTES):
            values.append(cast("bytes", value))
    if len(names) != len(values):
        raise refused(f"{len(names)} keys, but {len(values)} values", where)
    if len(names) > MAX_PROPERTIES:
        raise refused(f"a metric has at most {MAX_PROPERTIES} properties", where)
    read = {n: _property(v, where) for n, v in zip(names, values, strict=True)}
    return {name: value for name, value in read.items() if not isinstance(value, bytes)}


def _property(data: bytes, where: str) -> Scalar | bytes | None:
    """Return a property's value; bytes for one that is left out."""
    datatype, null, carrier, raw = 0, False, 0, cast("Scalar | bytes", b"")
    for key, value in wire.fields(data, where):
        number = (key >> 3) + _PROPERTY_SHIFT
        field = _METRIC_FIELDS.get(key_of(number, key & 7))
        if key == key_of(1, VARINT):
            datatype = cast("int", value) & UINT32
        elif key == key_of(2, VARINT):
            null = value != 0
        elif field is not None and number in _PROPERTY_CARRIERS:
            read = field[1]
            carrier, raw = number, value if read is None else read(value, where)
    if null:
        return None
    if datatype in INTEGERS and carrier in (Carrier.INT, Carrier.LONG):
        return cast("int", value_of(datatype, carrier, raw, where))
    return raw


def _wrong_type(key: int, where: str) -> RefusedError:
    return refused(f"field {key >> 3} has the wire type {key & 7}, which it must not have", where)


def _encode_metric(metric: Metric) -> bytes:
    parts = []
    if metric.name is not None:
        parts.append(wire.put_text(1, metric.name))
    numbers = ((2, metric.alias), (3, metric.timestamp), (4, metric.datatype))
    parts += [wire.put_varint(number, value) for number, value in numbers if value is not None]
    flags = ((5, metric.is_historical), (6, metric.is_transient), (7, metric.is_null))
    parts += [wire.put_varint(number, 1) for number, value in flags if value]
    if metric.properties:
        parts.append(wire.put_bytes(9, _encode_properties(metric.properties)))
    if metric.carrier != Carrier.NONE and not metric.is_null:
        parts.append(_encode_raw(metric.carrier, metric.raw))
    return b"".join(parts)


def _encode_raw(number: int, raw: Scalar | bytes, shift: int = 0) -> bytes:
    """Return the field of a value; `shift` is how much lower its number is than in a metric."""
    field = number - shift
    if isinstance(raw, bytes):
        return wire.put_bytes(field, raw)
    if isinstance(raw, str):
        return wire.put_text(field, raw)
    if isinstance(raw, float):
        put = wire.put_float if number == Carrier.FLOAT else wire.put_double
        return put(field, raw)
    return wire.put_varint(field, raw)


def _encode_properties(properties: Properties) -> bytes:
    names = [wire.put_text(1, name) for name in properties]
    values = [wire.put_bytes(2, _encode_property(value)) for value in properties.values()]
    return b"".join([*names, *values])


def _encode_property(value: Scalar | None) -> bytes:
    if value is None:
        return wire.put_varint(1, DataType.STRING) + wire.put_varint(2, 1)
    datatype = next(d for kind, d in _PROPERTY_TYPES if isinstance(value, kind))
    carrier, raw = raw_of(datatype, value)
    return wire.put_varint(1, datatype) + _encode_raw(carrier, raw, _PROPERTY_SHIFT)


#: The data type of a property by its Python type; bool first, as it is an int, too.
_PROPERTY_TYPES: Final[Sequence[tuple[type, DataType]]] = (
    (bool, DataType.BOOLEAN),
    (int, DataType.INT32),
    (float, DataType.DOUBLE),
    (str, DataType.STRING),
)
