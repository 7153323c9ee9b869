"""The batch that travels in the intake log: many messages' worth of readings, packed once.

    byte 0      version, 1
    bytes 1-4   CRC-32 of the rest, big-endian
    rest        msgpack: [shapes, rows, statuses, quarantine], every structure as an array

A shape is packed apart, as bytes: it is the same in thousands of batches, so both sides remember
it, and decoding yields the identical object each time.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID
from zlib import crc32

import msgspec

from wattwire.formats.refusals import refused
from wattwire.formats.remembering import Memory
from wattwire.model import RefusedError, Shape

VERSION: Final = 1
HEADER_BYTES: Final = 5
MAX_BYTES: Final = 64 * 1024 * 1024
MEMORY_BYTES: Final = 96 * 1024 * 1024

#: Index of the shape, time, received at (both in microseconds), quality, values, texts.
Row = tuple[int, int, int, int, Sequence[float | None], Sequence[str | None] | None]
#: Organization, device, status, time in microseconds, detail.
Status = tuple[UUID, str, str, int, str]


class QuarantineEntry(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """Something that could not be understood, with all that is known of it."""

    organization_id: UUID
    received_at: int  #: microseconds since the epoch
    source: str
    format: str
    topic: str = ""
    raw: bytes
    reason: str
    where: str = ""
    device_key: str = ""
    credential_id: int | None = None


class LogBatch(msgspec.Struct):
    """One message of the log. Rows name their shape by its position in `shapes`."""

    shapes: list[tuple[UUID, Shape]] = msgspec.field(default_factory=list)
    rows: list[Row] = msgspec.field(default_factory=list)
    statuses: list[Status] = msgspec.field(default_factory=list)
    quarantine: list[QuarantineEntry] = msgspec.field(default_factory=list)


class _Wire(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    shapes: list[tuple[UUID, bytes]]
    rows: list[tuple[int, int, int, int, list[float | None], list[str | None] | None]]
    statuses: list[Status]
    quarantine: list[QuarantineEntry]


class _WireOut(msgspec.Struct, array_like=True, gc=False):
    shapes: list[tuple[UUID, bytes]]
    rows: list[Row]
    statuses: list[Status]
    quarantine: list[QuarantineEntry]


_ENCODER: Final = msgspec.msgpack.Encoder(uuid_format="bytes")
_DECODER: Final = msgspec.msgpack.Decoder(_Wire)
_SHAPE_DECODER: Final = msgspec.msgpack.Decoder(Shape)
#: By the object's id; the object is kept beside its bytes, so that the id stays its own.
_PACKED: Final[Memory[int, tuple[Shape, bytes]]] = Memory(MEMORY_BYTES)
_UNPACKED: Final[Memory[bytes, Shape]] = Memory(MEMORY_BYTES)


def encode(batch: LogBatch) -> bytes:
    """Return the batch as bytes."""
    shapes = [(organization_id, _packed(shape)) for organization_id, shape in batch.shapes]
    body = _ENCODER.encode(_WireOut(shapes, batch.rows, batch.statuses, batch.quarantine))
    return bytes((VERSION,)) + crc32(body).to_bytes(4) + body


def decode(body: bytes) -> LogBatch:
    """Return the batch that `encode` packed. Raises RefusedError for anything else."""
    if len(body) > MAX_BYTES:
        raise refused(f"the batch has {len(body)} bytes, more than the {MAX_BYTES} allowed")
    if len(body) < HEADER_BYTES or body[0] != VERSION:
        raise refused(f"not a batch of version {VERSION}")
    packed = memoryview(body)[HEADER_BYTES:]
    if crc32(packed).to_bytes(4) != body[1:HEADER_BYTES]:
        raise refused("the batch is damaged: its checksum does not fit")
    try:
        wire = _DECODER.decode(packed)
        shapes = [(organization_id, _unpacked(blob)) for organization_id, blob in wire.shapes]
    except (ValueError, RecursionError, MemoryError) as error:
        raise refused(f"the batch is not as it should be: {error}") from None
    _check_rows(wire.rows, [len(shape.channels) for _, shape in shapes])
    return LogBatch(shapes, wire.rows, wire.statuses, wire.quarantine)  # type: ignore[arg-type]


def _packed(shape: Shape) -> bytes:
    entry = _PACKED.get(id(shape))
    if entry is not None and entry[0] is shape:
        return entry[1]
    blob = _ENCODER.encode(shape)
    _PACKED.put(id(shape), (shape, blob), len(blob))
    return blob


def _unpacked(blob: bytes) -> Shape:
    shape = _UNPACKED.get(blob)
    if shape is None:
        shape = _SHAPE_DECODER.decode(blob)
        _UNPACKED.put(blob, shape, 2 * len(blob))
    return shape


def _check_rows(
    rows: list[tuple[int, int, int, int, list[float | None], list[str | None] | None]],
    widths: list[int],
) -> None:
    """Refuse rows that name no shape of the batch, or have not one value for each channel."""
    count = len(widths)
    for at, (index, _, _, _, values, texts) in enumerate(rows):
        if not 0 <= index < count:
            raise refused(f"there is no shape {index}", f"rows[{at}]")
        if len(values) != widths[index] or (texts is not None and len(texts) != widths[index]):
            raise _misfit(widths[index], len(values), at)


def _misfit(width: int, values: int, at: int) -> RefusedError:
    return refused(f"the shape has {width} channels, the row {values} values", f"rows[{at}]")
