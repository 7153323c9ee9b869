"""EtherNet/IP's encapsulation: the frame around every message, over TCP and UDP, little-endian.

A frame is a header of 24 bytes and its data. Data that carry CIP are a list of items, the *common
packet format*: an address, then a message. Decoders take bytes from anybody and raise RefusedError
with a reason and the place; encoders raise ValueError for what the caller got wrong.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from wattwire.formats.refusals import refused

HEADER_BYTES: Final = 24
CONTEXT_BYTES: Final = 8
#: Longest data of a frame that is taken: explicit messages have some 500 bytes, large ones 4,000.
MAX_DATA_BYTES: Final = 4096
PROTOCOL_VERSION: Final = 1
DEFAULT_PORT: Final = 44818  #: of TCP and UDP
MAX_ITEMS: Final = 8

_HEADER: Final = struct.Struct("<HHII8sI")
_CIP: Final = struct.Struct("<IH")  # interface handle, timeout
_COUNT: Final = struct.Struct("<H")
_ITEM: Final = struct.Struct("<HH")  # type, length
_CONNECTION: Final = struct.Struct("<I")
_REGISTRATION: Final = struct.Struct("<HH")  # version, options
_SOCKET: Final = struct.Struct(">HHI8x")  # the one thing in network order
_IDENTITY: Final = struct.Struct("<HHHBBHI")
_VERSION_AND_SOCKET: Final = 2 + _SOCKET.size
_SERVICE: Final = struct.Struct("<HH16s")  # version, capabilities, name

_NULL_ADDRESS: Final = 0x0000
_IDENTITY_ITEM: Final = 0x000C
_CONNECTED_ADDRESS: Final = 0x00A1
_CONNECTED_DATA: Final = 0x00B1
_UNCONNECTED_DATA: Final = 0x00B2
_SERVICES_ITEM: Final = 0x0100
_CIP_OVER_TCP: Final = 0x0020
_INTERNET: Final = 2  # AF_INET, as every system has it


class Command(IntEnum):
    """What a frame asks for; the answer bears the same number."""

    NOP = 0x00  #: no answer is given
    LIST_SERVICES = 0x04
    LIST_IDENTITY = 0x63
    REGISTER_SESSION = 0x65
    UNREGISTER_SESSION = 0x66
    SEND_RR_DATA = 0x6F  #: unconnected: one request, one answer
    SEND_UNIT_DATA = 0x70  #: over a connection that Forward Open made


#: What the status in a header means.
ENCAPSULATION_STATUS: Final[Mapping[int, str]] = MappingProxyType(
    {
        0x00: "success",
        0x01: "invalid or unsupported command",
        0x02: "insufficient memory",
        0x03: "faulty data",
        0x64: "invalid session handle",
        0x65: "invalid length",
        0x69: "unsupported protocol version",
    }
)


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a frame. `length` is that of the data behind it, in bytes."""

    command: int  #: a `Command`, or a number that is none
    length: int
    session: int
    status: int
    context: bytes  #: 8 bytes that come back as they were sent
    options: int


@dataclass(frozen=True, slots=True)
class Connected:
    """A message over a connection. The answer bears the sequence of its request."""

    connection_id: int
    sequence: int
    message: bytes


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a device says it is, as ListIdentity and the identity object (class 1) tell it."""

    vendor: int
    device_type: int
    product_code: int
    revision: tuple[int, int]  #: major, minor
    status: int
    serial: int
    name: str  #: at most 255 characters of ISO 8859-1
    state: int  #: 3: operational; 255: not said


def status_text(status: int) -> str:
    """Return what a header's status means, such as "invalid session handle (0x64)"."""
    return f"{ENCAPSULATION_STATUS.get(status, 'unknown status')} (0x{status:02X})"


def encode_frame(
    command: int,
    data: bytes = b"",
    *,
    session: int = 0,
    status: int = 0,
    context: bytes = bytes(8),
    options: int = 0,
) -> bytes:
    """Return a frame. Raises ValueError for data over the limit or a context not of 8 bytes."""
    if len(data) > MAX_DATA_BYTES:
        raise ValueError(f"a frame has at most {MAX_DATA_BYTES} bytes of data, not {len(data)}")
    if len(context) != CONTEXT_BYTES:
        raise ValueError(f"a context has 8 bytes, not {len(context)}")
    return _HEADER.pack(command, len(data), session, status, context, options) + data


def decode_header(raw: bytes) -> Header:
    """Return what the first 24 bytes of a frame say; what follows them is not looked at.

    Raises RefusedError for fewer bytes, and for a frame that claims more than 4 KiB of data: the
    connection it came over is best closed then.
    """
    if len(raw) < HEADER_BYTES:
        raise refused(f"a header has {HEADER_BYTES} bytes, not {len(raw)}", "header")
    header = Header(*_HEADER.unpack_from(raw))
    if header.length > MAX_DATA_BYTES:
        reason = f"the frame claims {header.length} bytes of data, more than {MAX_DATA_BYTES}"
        raise refused(reason, "header.length")
    return header


def encode_registration(version: int = PROTOCOL_VERSION) -> bytes:
    """Return the data of RegisterSession."""
    return _REGISTRATION.pack(version, 0)


def decode_registration(data: bytes) -> int:
    """Return the protocol version asked for by RegisterSession, or granted by its answer."""
    if len(data) != _REGISTRATION.size:
        raise refused(f"a registration has {_REGISTRATION.size} bytes, not {len(data)}", "data")
    version, _options = _REGISTRATION.unpack(data)
    return int(version)


def encode_unconnected(message: bytes, *, timeout_seconds: int = 0) -> bytes:
    """Return the data of SendRRData, of the request as of the answer."""
    items = ((_NULL_ADDRESS, b""), (_UNCONNECTED_DATA, message))
    return _CIP.pack(0, timeout_seconds) + _encode_items(*items)


def decode_unconnected(data: bytes) -> bytes:
    """Return the message in the data of SendRRData."""
    address, message = _decode_pair(data)
    _expect(address, _NULL_ADDRESS, "items[0]")
    return _expect(message, _UNCONNECTED_DATA, "items[1]")


def encode_connected(sent: Connected) -> bytes:
    """Return the data of SendUnitData."""
    address = (_CONNECTED_ADDRESS, _CONNECTION.pack(sent.connection_id))
    message = (_CONNECTED_DATA, _COUNT.pack(sent.sequence) + sent.message)
    return _CIP.pack(0, 0) + _encode_items(address, message)


def decode_connected(data: bytes) -> Connected:
    """Return what the data of SendUnitData say."""
    address, item = _decode_pair(data)
    connection = _expect(address, _CONNECTED_ADDRESS, "items[0]")
    message = _expect(item, _CONNECTED_DATA, "items[1]")
    if len(connection) != _CONNECTION.size:
        raise refused(f"a connection id has 4 bytes, not {len(connection)}", "items[0]")
    if len(message) < _COUNT.size:
        raise refused("the sequence number is missing", "items[1]")
    return Connected(
        _CONNECTION.unpack(connection)[0],
        _COUNT.unpack_from(message)[0],
        message[_COUNT.size :],
    )


def encode_identity(identity: Identity, *, port: int = DEFAULT_PORT, address: int = 0) -> bytes:
    """Return the data of ListIdentity's answer; `address` is the device's IPv4 address."""
    where = _SOCKET.pack(_INTERNET, port, address)
    body = _COUNT.pack(PROTOCOL_VERSION) + where + encode_attributes(identity)
    return _encode_items((_IDENTITY_ITEM, body + bytes((identity.state,))))


def decode_identity(data: bytes) -> Identity:
    """Return the device in the data of ListIdentity's answer."""
    items = _decode_items(data, "data")
    if not items:
        raise refused("the answer names no device", "items")
    body = _expect(items[0], _IDENTITY_ITEM, "items[0]")
    return decode_attributes(body[_VERSION_AND_SOCKET:], "items[0]")


def encode_attributes(identity: Identity) -> bytes:
    """Return the identity object's attributes 1 to 7, as Get_Attributes_All has them."""
    name = identity.name.encode("latin-1", "replace")[:255]
    numbers = _IDENTITY.pack(
        identity.vendor,
        identity.device_type,
        identity.product_code,
        *identity.revision,
        identity.status,
        identity.serial,
    )
    return numbers + bytes((len(name),)) + name


def decode_attributes(data: bytes, where: str = "data") -> Identity:
    """Return what attributes 1 to 7 say, and the state if a byte follows them."""
    if len(data) <= _IDENTITY.size:
        raise refused("the identity ends early", where)
    vendor, device, product, major, minor, status, serial = _IDENTITY.unpack_from(data)
    begin = _IDENTITY.size + 1
    end = begin + data[begin - 1]
    if len(data) < end:
        raise refused("the product name ends early", where)
    name = "".join(c if c.isprintable() else "?" for c in data[begin:end].decode("latin-1"))
    state = data[end] if len(data) > end else 255
    return Identity(vendor, device, product, (major, minor), status, serial, name, state)


def encode_services() -> bytes:
    """Return the data of ListServices' answer of a device that speaks CIP over TCP."""
    service = _SERVICE.pack(PROTOCOL_VERSION, _CIP_OVER_TCP, b"Communications")
    return _encode_items((_SERVICES_ITEM, service))


_Item = tuple[int, bytes]


def _encode_items(*items: _Item) -> bytes:
    packed = [_ITEM.pack(kind, len(content)) + content for kind, content in items]
    return _COUNT.pack(len(items)) + b"".join(packed)


def _decode_pair(data: bytes) -> tuple[_Item, _Item]:
    """Return the address and the message; further items say where to answer by UDP."""
    if len(data) < _CIP.size:
        raise refused("the data end before the items", "data")
    handle, _timeout = _CIP.unpack_from(data)
    if handle:
        raise refused(f"interface {handle} is not CIP", "data.interface")
    items = _decode_items(data[_CIP.size :], "data")
    if len(items) < 2:  # noqa: PLR2004 - a pair
        raise refused(f"an address and a message are needed, not {len(items)} items", "items")
    return items[0], items[1]


def _decode_items(data: bytes, where: str) -> list[_Item]:
    if len(data) < _COUNT.size:
        raise refused("the number of items is missing", where)
    (count,) = _COUNT.unpack_from(data)
    if count > MAX_ITEMS:
        raise refused(f"{count} items are more than {MAX_ITEMS}", "items")
    items, at = [], _COUNT.size
    for number in range(count):
        begin = at + _ITEM.size
        if len(data) < begin:
            raise refused("the item ends early", f"items[{number}]")
        kind, length = _ITEM.unpack_from(data, at)
        at = begin + length
        if len(data) < at:
            raise refused("the item ends early", f"items[{number}]")
        items.append((kind, data[begin:at]))
    return items


def _expect(item: _Item, kind: int, where: str) -> bytes:
    if item[0] != kind:
        raise refused(f"an item of type 0x{kind:04X} is expected, not 0x{item[0]:04X}", where)
    return item[1]
