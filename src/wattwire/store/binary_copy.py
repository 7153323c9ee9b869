"""Readings in PostgreSQL's binary COPY format, packed by the thousand with numpy.

The format: a signature, flags, and for each row the number of its fields, and for each field its
length in bytes and its value, big-endian (PostgreSQL documentation, COPY, *Binary Format*). An
array is its number of dimensions, whether it has nulls, the type of its elements, length, lower
bound, and its elements as fields. Rows of the same width have the same layout, so a batch is one
structured array.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np

from wattwire.model import EPOCH, MICROSECOND

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_FLOAT8: Final = 701  #: oid of float8
#: PostgreSQL counts microseconds from 2000-01-01T00:00Z.
_SHIFT: Final = 946_684_800_000_000


@cache
def _layout(width: int) -> np.dtype[Any]:
    element = np.dtype([("length", ">i4"), ("value", ">f8")])
    return np.dtype(
        [
            ("fields", ">i2"),
            ("stream_length", ">i4"), ("stream", ">i4"),
            ("time_length", ">i4"), ("time", ">i8"),
            ("received_length", ">i4"), ("received", ">i8"),
            ("quality_length", ">i4"), ("quality", ">i2"),
            ("values_length", ">i4"), ("dimensions", ">i4"), ("nulls", ">i4"), ("type", ">i4"),
            ("size", ">i4"), ("lower", ">i4"), ("values", element, (width,)),
            ("texts_length", ">i4"),
        ]
    )  # fmt: skip


def pack_readings(rows: Sequence[Any]) -> tuple[bytes, list[Any]]:
    """Return rows (stream_id, time, received_at, quality, values, texts) as the source of a COPY.

    Rows with texts or with missing values have another layout and are returned as they are, to be
    copied one by one; the first part is empty when all are of that kind.
    """
    groups: dict[int, list[Any]] = {}
    others: list[Any] = []
    for row in rows:
        if row[5] is None:
            groups.setdefault(len(row[4]), []).append(row)
        else:
            others.append(row)
    parts = [part for width, group in groups.items() if (part := _pack(width, group, others))]
    return (b"".join([_SIGNATURE, *parts, _TRAILER]) if parts else b""), others


def _pack(width: int, group: Sequence[Any], others: list[Any]) -> bytes:
    values = np.array([row[4] for row in group], dtype=np.float64).reshape(len(group), width)
    whole = np.atleast_1d(~np.isnan(values).any(axis=1))
    if not whole.all():
        others.extend(row for row, is_whole in zip(group, whole, strict=True) if not is_whole)
        group = [row for row, is_whole in zip(group, whole, strict=True) if is_whole]
        values = values[whole]
    table = np.zeros(len(group), dtype=_layout(width))
    table["fields"] = 6
    table["stream_length"], table["stream"] = 4, [row[0] for row in group]
    table["time_length"], table["time"] = 8, _instants(group, 1)
    table["received_length"], table["received"] = 8, _instants(group, 2)
    table["quality_length"], table["quality"] = 2, [row[3] for row in group]
    table["values_length"] = 20 + 12 * width
    table["dimensions"], table["type"], table["size"], table["lower"] = 1, _FLOAT8, width, 1
    table["values"]["length"], table["values"]["value"] = 8, values
    table["texts_length"] = -1
    return table.tobytes()


def _instants(group: Sequence[Any], column: int) -> list[int]:
    return [(row[column] - EPOCH) // MICROSECOND - _SHIFT for row in group]
