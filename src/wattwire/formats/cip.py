"""CIP's explicit messages: a service asked of an attribute, and what came of it.

    0E 03 20 04 24 66 30 03    Get_Attribute_Single of class 4, instance 102, attribute 3
    8E 00 00 00 …              its answer: status 0 and the data

Only logical paths are read and written: class, instance, attribute, in 8 or 16 bits. Decoders take
bytes from anybody and raise RefusedError with a reason and the place.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from wattwire.formats.refusals import refused

GET_ATTRIBUTES_ALL: Final = 0x01
GET_ATTRIBUTE_SINGLE: Final = 0x0E
SET_ATTRIBUTE_SINGLE: Final = 0x10
FORWARD_CLOSE: Final = 0x4E
FORWARD_OPEN: Final = 0x54
LARGE_FORWARD_OPEN: Final = 0x5B

IDENTITY_CLASS: Final = 0x01
ASSEMBLY_CLASS: Final = 0x04
CONNECTION_MANAGER_CLASS: Final = 0x06
ASSEMBLY_DATA: Final = 3  #: attribute: the bytes
ASSEMBLY_SIZE: Final = 4  #: attribute: how many they are, UINT

SUCCESS: Final = 0x00
CONNECTION_FAILURE: Final = 0x01
PATH_SEGMENT_ERROR: Final = 0x04
PATH_DESTINATION_UNKNOWN: Final = 0x05
SERVICE_NOT_SUPPORTED: Final = 0x08
ATTRIBUTE_NOT_SETTABLE: Final = 0x0E
NOT_ENOUGH_DATA: Final = 0x13
ATTRIBUTE_NOT_SUPPORTED: Final = 0x14

#: What a general status means: the codes of the CIP specification, as pycomm3 1.2.16 lists them.
GENERAL_STATUS: Final[Mapping[int, str]] = MappingProxyType(
    {
        0x00: "success",
        0x01: "connection failure",
        0x02: "resource unavailable",
        0x03: "invalid parameter value",
        0x04: "path segment error",
        0x05: "path destination unknown",
        0x06: "partial transfer",
        0x07: "connection lost",
        0x08: "service not supported",
        0x09: "invalid attribute value",
        0x0A: "attribute list error",
        0x0B: "already in the requested state",
        0x0C: "object state conflict",
        0x0D: "object already exists",
        0x0E: "attribute not settable",
        0x0F: "privilege violation",
        0x10: "device state conflict",
        0x11: "reply data too large",
        0x12: "fragmentation of a primitive value",
        0x13: "not enough data",
        0x14: "attribute not supported",
        0x15: "too much data",
        0x16: "object does not exist",
        0x1A: "request too large for a bridge",
        0x1B: "response too large for a bridge",
        0x1C: "attribute list shortage",
        0x1D: "invalid attribute list",
        0x1E: "embedded service error",
        0x1F: "connection-related failure",
        0x20: "invalid parameter",
        0x22: "invalid reply received",
        0x25: "key failure in path",
        0x26: "path size invalid",
        0x27: "unexpected attribute in list",
        0x28: "invalid member id",
        0x29: "member not settable",
        0xD1: "module not in run state",
        0xFB: "message port not supported",
        0xFC: "message of an unsupported data type",
        0xFD: "message uninitialized",
        0xFE: "message timeout",
        0xFF: "general error",
    }
)

_CONNECTION_FAILURES: Final[Mapping[int, str]] = MappingProxyType(
    {
        0x0100: "connection in use",
        0x0103: "transport not supported",
        0x0106: "ownership conflict",
        0x0107: "connection not found",
        0x0108: "invalid connection type",
        0x0109: "invalid connection size",
        0x0113: "no more connections",
        0x0203: "connection timed out",
        0x0204: "unconnected request timed out",
        0x0311: "port not available",
        0x0312: "link address not available",
        0x0315: "invalid segment in path",
    }
)

_REPLY: Final = 0x80
_REPLY_HEAD: Final = 4
_WORD: Final = 2
_UINT8: Final = 0xFF
_UINT16: Final = 0xFFFF
_WIDE: Final = 1  #: this bit of a segment says that its number has 16 bits
_CLASS, _INSTANCE, _ATTRIBUTE = 0x20, 0x24, 0x30
_SEGMENTS: Final = MappingProxyType(
    {_CLASS: "class", _INSTANCE: "instance", _ATTRIBUTE: "attribute"}
)


@dataclass(frozen=True, slots=True)
class Request:
    """A service asked of a class, an instance (0: the class itself), perhaps an attribute."""

    service: int
    class_id: int
    instance: int
    attribute: int | None = None
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """What came of a request of that service. Data are there only with status 0, as a rule."""

    service: int
    status: int = SUCCESS
    extended: tuple[int, ...] = ()
    data: bytes = b""


def get_attribute_single(class_id: int, instance: int, attribute: int) -> bytes:
    """Return the request that reads one attribute. Raises ValueError for numbers over 65,535."""
    return encode_request(Request(GET_ATTRIBUTE_SINGLE, class_id, instance, attribute))


def encode_request(request: Request) -> bytes:
    """Return a request. Raises ValueError for a number that does not fit its place."""
    if not 0 <= request.service < _REPLY:
        raise ValueError(f"a service is a number from 0 to 127, not {request.service}")
    path = _segment(_CLASS, request.class_id) + _segment(_INSTANCE, request.instance)
    if request.attribute is not None:
        path += _segment(_ATTRIBUTE, request.attribute)
    return bytes((request.service, len(path) // _WORD)) + path + request.data


def decode_request(message: bytes) -> Request:
    """Return what is asked. Refuses an answer, a path without class or with other segments."""
    if len(message) < _WORD:
        raise refused("the request ends before its path", "request")
    service, words = message[0], message[1]
    if service & _REPLY:
        raise refused(f"an answer (0x{service:02X}), not a request", "request.service")
    end = _WORD + words * _WORD
    if len(message) < end:
        raise refused("the request ends in the middle of its path", "request.path")
    found = _decode_path(message[_WORD:end])
    if _CLASS not in found:
        raise refused("the path names no class", "request.path")
    return Request(
        service, found[_CLASS], found.get(_INSTANCE, 0), found.get(_ATTRIBUTE), message[end:]
    )


def encode_response(response: Response) -> bytes:
    """Return an answer."""
    head = bytes((response.service | _REPLY, 0, response.status, len(response.extended)))
    return head + struct.pack(f"<{len(response.extended)}H", *response.extended) + response.data


def decode_response(message: bytes) -> Response:
    """Return an answer, whatever its status. Refuses a request and what ends early."""
    if len(message) < _REPLY_HEAD:
        raise refused("the answer ends before its status", "response")
    service, _reserved, status, words = message[:_REPLY_HEAD]
    if not service & _REPLY:
        raise refused(f"a request (0x{service:02X}), not an answer", "response.service")
    end = _REPLY_HEAD + words * _WORD
    if len(message) < end:
        raise refused("the answer ends in the middle of its extended status", "response.status")
    extended = struct.unpack_from(f"<{words}H", message, _REPLY_HEAD)
    return Response(service & ~_REPLY, status, extended, message[end:])


def status_text(status: int, extended: Sequence[int] = ()) -> str:
    """Return what a status means, such as "path destination unknown (0x05)"."""
    text = f"{GENERAL_STATUS.get(status, 'unknown status')} (0x{status:02X})"
    if not extended:
        return text
    codes = ", ".join(_extended_text(status, code) for code in extended[:4])
    return f"{text}: {codes}"


def _extended_text(status: int, code: int) -> str:
    known = _CONNECTION_FAILURES.get(code) if status == CONNECTION_FAILURE else None
    return f"{known} (0x{code:04X})" if known else f"0x{code:04X}"


def _segment(kind: int, number: int) -> bytes:
    if not 0 <= number <= _UINT16:
        raise ValueError(f"{_SEGMENTS[kind]} is a number from 0 to {_UINT16}, not {number}")
    if number <= _UINT8:
        return bytes((kind, number))
    return bytes((kind | _WIDE, 0, number & _UINT8, number >> 8))


def _decode_path(path: bytes) -> dict[int, int]:
    """Return the numbers of a path by the kind of their segments."""
    found: dict[int, int] = {}
    at = 0
    while at < len(path):
        kind, wide = path[at] & ~_WIDE, path[at] & _WIDE
        if kind not in _SEGMENTS:
            raise refused(f"a path segment 0x{path[at]:02X} is not supported", f"path[{at}]")
        if kind in found:
            raise refused(f"the path names the {_SEGMENTS[kind]} twice", f"path[{at}]")
        size = 2 * _WORD if wide else _WORD
        if len(path) < at + size:
            raise refused("the path ends in the middle of a segment", f"path[{at}]")
        found[kind] = int.from_bytes(path[at + size // 2 : at + size], "little")
        at += size
    return found
