"""Bodies of readings: read whole, unpacked within bounds."""

import zlib
from typing import Final

from fastapi import Request

from wattwire.api.problems import Problem

#: What a body may grow to when it is unpacked: 10,000 readings of several kilobytes each.
MAX_UNPACKED_BYTES: Final = 64 * 1024 * 1024
#: JSON and line protocol repeat themselves; a bomb repeats itself a thousand times.
MAX_RATIO: Final = 200
_STEP: Final = 256 * 1024


async def read_body(request: Request) -> bytes:
    """Return the body, unpacked when it says gzip. Raises Problem 400, 413 or 415."""
    body = await request.body()
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip"}:
        raise Problem(415, f"The content encoding {encoding[:40]!r} is not gzip or identity.")
    return unpack(body)


def unpack(packed: bytes) -> bytes:
    """Return what gzip members hold. Never makes more than the bound, whatever they claim."""
    bound = min(MAX_UNPACKED_BYTES, max(1024 * 1024, len(packed) * MAX_RATIO))
    parts: list[bytes] = []
    size = 0
    while packed:
        stream = zlib.decompressobj(wbits=31)
        while not stream.eof:
            part = _inflate(stream, packed)
            size += len(part)
            if size > bound:
                raise Problem(413, "The body unpacks to more than this address takes.")
            if not part and not stream.unconsumed_tail and not stream.eof:
                raise Problem(400, "The gzip body ends too early.")
            parts.append(part)
            packed = stream.unconsumed_tail
        packed = stream.unused_data
    return b"".join(parts)


def _inflate(stream: "zlib._Decompress", packed: bytes) -> bytes:
    try:
        return stream.decompress(packed, _STEP)
    except zlib.error as error:
        raise Problem(400, "The body is not gzip.") from error
