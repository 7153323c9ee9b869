"""MQTT 3.1.1 on the wire, pure: bytes into packets and packets into bytes, strict.

Whatever the bytes, a `Framer` answers with packets or with MalformedPacketError (a CONNECT of
another protocol level with UnsupportedLevelError), in time linear in their number, however they
are cut. Numbers in brackets are the statements of the specification that a check enforces.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from wattwire.mqtt import packets as p
from wattwire.mqtt.packets import MalformedPacketError, PacketTooLargeError, UnsupportedLevelError
from wattwire.mqtt.topics import is_filter, is_topic

MAX_SIZE: Final = 268_435_455  #: what four bytes of remaining length can say (table 2.4)
_SHORT: Final = 127  #: the largest remaining length in one byte
_LENGTH_BYTES: Final = 4
_MAX_ID: Final = 65_535
_MAX_QOS: Final = 2
_REMEMBERED_TOPIC: Final = 256  #: longer topics are checked each time, so that memory is bounded
_PROTOCOL: Final = "MQTT"
_OLD_PROTOCOL: Final = "MQIsdp"  #: of MQTT 3.1

_new: Final = tuple.__new__  # a NamedTuple's own constructor costs twice as much


class Framer:
    """Cuts the bytes of one connection into packets.

    `limit` bounds the remaining length of a packet: a larger one is refused when its length is
    read, before its body is kept. Do not use a framer any more after it has raised.
    """

    __slots__ = ("_at", "_data", "_needed", "_tail", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._data = b""  # what next_packet() reads from, at _at
        self._at = 0
        self._tail = bytearray()  # the beginning of a packet, waiting for _needed bytes
        self._needed = 0

    def feed(self, data: bytes) -> None:
        """Take bytes as they came from the connection."""
        if self._tail:
            self._tail += data
            if len(self._tail) >= self._needed:
                self._data, self._at = bytes(self._tail), 0
                self._tail = bytearray()
        elif self._at < len(self._data):
            self._data, self._at = self._data[self._at :] + data, 0
        else:
            self._data, self._at = data, 0

    def next_packet(self) -> p.Packet | None:
        """Return the next whole packet, or None until more is fed. Raises MalformedPacketError."""
        data, at = self._data, self._at
        if len(data) - at < 2:  # noqa: PLR2004 - the shortest packet
            return self._await(2)
        first, size, start = data[at], data[at + 1], at + 2
        if size > _SHORT:
            size, start = _long_size(data, at + 1)
            if not start:
                return self._await(len(data) - at + 1)
        if size > self.limit:
            raise PacketTooLargeError(f"packet of {size} bytes, at most {self.limit} are taken")
        end = start + size
        if end > len(data):
            return self._await(end - at)
        self._at = end
        if first >> 4 == p.PUBLISH:
            return _decode_publish(first, data, start, end)
        if size == 2 and first in _ANSWERS:  # noqa: PLR2004 - an identifier alone
            return _decode_answer(first, data, start)
        return _decode_other(first, data[start:end])

    def _await(self, needed: int) -> p.Packet | None:
        if not self._tail:
            self._tail += self._data[self._at :]
            self._needed = needed
            self._data, self._at = b"", 0
        return None


def _long_size(data: bytes, at: int) -> tuple[int, int]:
    """Return a remaining length and where the body starts, 0 when bytes of it are missing."""
    size = 0
    for index, byte in enumerate(data[at : at + _LENGTH_BYTES]):
        size |= (byte & _SHORT) << 7 * index
        if byte <= _SHORT:
            return size, at + index + 1
    if len(data) - at >= _LENGTH_BYTES:
        raise MalformedPacketError("remaining length of more than four bytes")
    return 0, 0


def _decode_publish(first: int, data: bytes, start: int, end: int) -> p.Publish:
    """Return the PUBLISH whose body is data[start:end]: the hot path."""
    topic_at = start + 2
    if topic_at > end:
        raise MalformedPacketError("PUBLISH without a topic")
    id_at = topic_at + (data[start] << 8 | data[start + 1])
    qos = first >> 1 & 3
    payload_at = id_at + 2 if qos else id_at
    if payload_at > end:
        raise MalformedPacketError("PUBLISH shorter than it says")
    raw, packet_id = data[topic_at:id_at], 0
    topic = _remember_topic(raw) if len(raw) <= _REMEMBERED_TOPIC else _to_topic(raw)
    if qos:
        packet_id = data[id_at] << 8 | data[id_at + 1]
        if not packet_id:
            raise MalformedPacketError("packet identifier 0 [2.3.1-1]")
        if qos > _MAX_QOS:
            raise MalformedPacketError("QoS 3 [3.3.1-4]")
    elif first & 8:
        raise MalformedPacketError("DUP at QoS 0 [3.3.1-2]")
    payload = data[payload_at:end]
    return _new(p.Publish, (topic, payload, qos, first & 1 == 1, first & 8 == 8, packet_id))  # noqa: PLR2004 - the DUP bit


def _decode_answer(first: int, data: bytes, start: int) -> p.Packet:
    """Return the packet that is an identifier alone: as frequent as PUBLISH."""
    if packet_id := data[start] << 8 | data[start + 1]:
        return _new(_ANSWERS[first], (packet_id,))
    raise MalformedPacketError("packet identifier 0 [2.3.1-1]")


def _to_text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise MalformedPacketError("text that is not UTF-8 [1.5.3-1]") from error
    if "\0" in text:
        raise MalformedPacketError("U+0000 in a text [1.5.3-2]")
    return text


def _to_topic(raw: bytes) -> str:
    topic = _to_text(raw)
    if not is_topic(topic):
        raise MalformedPacketError("empty topic or wildcard in a topic [3.3.2-2] [4.7.3-1]")
    return topic


_remember_topic: Final = lru_cache(maxsize=8192)(_to_topic)


class _Body:
    """Reads the fields of one packet's body in order."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        start, self._at = self._at, self._at + count
        if self._at > len(self._data):
            raise MalformedPacketError("packet shorter than it says")
        return self._data[start : self._at]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self.take(2))

    def binary(self) -> bytes:
        return self.take(self.number())

    def text(self) -> str:
        return _to_text(self.binary())

    def packet_id(self) -> int:
        if number := self.number():
            return number
        raise MalformedPacketError("packet identifier 0 [2.3.1-1]")

    def more(self) -> bool:
        return self._at < len(self._data)


def _decode_connect(body: _Body) -> p.Connect:
    name, level = body.text(), body.byte()
    if name not in (_PROTOCOL, _OLD_PROTOCOL):
        raise MalformedPacketError("unknown protocol name [3.1.2-1]")
    if (name, level) != (_PROTOCOL, p.LEVEL_311):
        raise UnsupportedLevelError(name, level)
    _check_connect_flags(flags := body.byte())
    keep_alive, client_id = body.number(), body.text()
    will = _decode_will(body, flags) if flags & 0x04 else None
    username = body.text() if flags & 0x80 else None
    password = body.binary() if flags & 0x40 else None
    return p.Connect(client_id, bool(flags & 0x02), keep_alive, username, password, will, level)


def _check_connect_flags(flags: int) -> None:
    if flags & 0x01:
        raise MalformedPacketError("reserved CONNECT flag [3.1.2-3]")
    if not flags & 0x04 and flags & 0x38:
        raise MalformedPacketError("QoS or retain of a will without a will [3.1.2-11]")
    if flags & 0x18 == 0x18:  # noqa: PLR2004 - both bits of the will's QoS
        raise MalformedPacketError("will at QoS 3 [3.1.2-14]")
    if flags & 0xC0 == 0x40:  # noqa: PLR2004 - the password bit alone
        raise MalformedPacketError("password without a user name [3.1.2-22]")


def _decode_will(body: _Body, flags: int) -> p.Will:
    topic = _to_topic(body.binary())
    return p.Will(topic, body.binary(), flags >> 3 & 3, bool(flags & 0x20))


def _decode_connack(body: _Body) -> p.Connack:
    flags, code = body.byte(), body.byte()
    if flags > 1 or code > p.ConnectCode.NOT_AUTHORIZED or (flags and code):
        raise MalformedPacketError("reserved CONNACK value [3.2.2-1] [3.2.2-4]")
    return p.Connack(p.ConnectCode(code), bool(flags))


def _decode_subscribe(body: _Body) -> p.Subscribe:
    packet_id, filters = body.packet_id(), []
    while body.more():
        filters.append((_decode_filter(body), body.byte()))
        if filters[-1][1] > _MAX_QOS:
            raise MalformedPacketError("reserved bits of a requested QoS [3.8.3-4]")
    if not filters:
        raise MalformedPacketError("SUBSCRIBE without a filter [3.8.3-3]")
    return p.Subscribe(packet_id, tuple(filters))


def _decode_filter(body: _Body) -> str:
    if is_filter(text := body.text()):
        return text
    raise MalformedPacketError("malformed filter [4.7.1-2] [4.7.1-3] [4.7.3-1]")


def _decode_suback(body: _Body) -> p.Suback:
    packet_id, codes = body.packet_id(), []
    while body.more():
        codes.append(body.byte())
    if not codes or not all(c <= _MAX_QOS or c == p.SUBSCRIPTION_REFUSED for c in codes):
        raise MalformedPacketError("reserved SUBACK code [3.9.3-2]")
    return p.Suback(packet_id, tuple(codes))


def _decode_unsubscribe(body: _Body) -> p.Unsubscribe:
    packet_id, filters = body.packet_id(), []
    while body.more():
        filters.append(_decode_filter(body))
    if not filters:
        raise MalformedPacketError("UNSUBSCRIBE without a filter [3.10.3-2]")
    return p.Unsubscribe(packet_id, tuple(filters))


_ANSWERS: Final[Mapping[int, type[p.Puback | p.Pubrec | p.Pubrel | p.Pubcomp | p.Unsuback]]] = {
    p.PUBACK << 4: p.Puback,
    p.PUBREC << 4: p.Pubrec,
    p.PUBREL << 4 | 2: p.Pubrel,
    p.PUBCOMP << 4: p.Pubcomp,
    p.UNSUBACK << 4: p.Unsuback,
}

#: First byte of a packet (its type and the flags it must have, table 2.2) -> what reads its body.
_DECODERS: Final[Mapping[int, Callable[[_Body], p.Packet]]] = {
    p.CONNECT << 4: _decode_connect,
    p.CONNACK << 4: _decode_connack,
    p.SUBSCRIBE << 4 | 2: _decode_subscribe,
    p.SUBACK << 4: _decode_suback,
    p.UNSUBSCRIBE << 4 | 2: _decode_unsubscribe,
    p.PINGREQ << 4: lambda _: p.Pingreq(),
    p.PINGRESP << 4: lambda _: p.Pingresp(),
    p.DISCONNECT << 4: lambda _: p.Disconnect(),
}


def _decode_other(first: int, data: bytes) -> p.Packet:
    decode = _DECODERS.get(first)
    if decode is None:
        raise MalformedPacketError(f"packet type, flags or length of 0x{first:02x} [2.2.2-2]")
    body = _Body(data)
    packet = decode(body)
    if body.more():
        raise MalformedPacketError("packet longer than its fields")
    return packet


def encode(packet: p.Packet) -> bytes:
    """Return a packet as bytes. Raises ValueError for a value that has no valid form."""
    if type(packet) is p.Publish:
        return encode_publish(packet)
    return _ENCODERS[type(packet)](packet)


def encode_publish(packet: p.Publish) -> bytes:
    """Return a PUBLISH as bytes. Raises ValueError for a topic, QoS or identifier out of range."""
    topic, payload, qos, retain, dup, packet_id = packet
    if not is_topic(topic) or not 0 <= qos <= _MAX_QOS or (dup and not qos):
        raise ValueError("topic, QoS or DUP of a PUBLISH out of range")
    first = p.PUBLISH << 4 | dup << 3 | qos << 1 | retain
    name = _text(topic)
    return _packet(first, name + _packet_id(packet_id) + payload if qos else name + payload)


def _packet(first: int, body: bytes) -> bytes:
    size = len(body)
    if size <= _SHORT:
        return bytes((first, size)) + body
    if size > MAX_SIZE:
        raise ValueError("packet too large")
    head = bytearray((first,))
    while size > _SHORT:
        head.append(size & _SHORT | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + body


def _packet_id(number: int) -> bytes:
    if not 0 < number <= _MAX_ID:
        raise ValueError("packet identifier out of range")
    return number.to_bytes(2)


def _binary(data: bytes) -> bytes:
    if len(data) > _MAX_ID:
        raise ValueError("field longer than 65,535 bytes")
    return len(data).to_bytes(2) + data


def _text(text: str) -> bytes:
    if "\0" in text:
        raise ValueError("U+0000 in a text")
    return _binary(text.encode())


def _encode_connect(packet: p.Connect) -> bytes:
    will, name, password = packet.will, packet.username, packet.password
    if password is not None and name is None:
        raise ValueError("password without a user name")
    flags = packet.clean_session << 1 | (name is not None) << 7 | (password is not None) << 6
    body = [_text(packet.client_id)]
    if will is not None:
        if not is_topic(will.topic) or not 0 <= will.qos <= _MAX_QOS:
            raise ValueError("topic or QoS of a will out of range")
        flags |= 0x04 | will.qos << 3 | will.retain << 5
        body += [_text(will.topic), _binary(will.payload)]
    body += [_text(name)] if name is not None else []
    body += [_binary(password)] if password is not None else []
    head = _text(_PROTOCOL) + bytes((packet.level, flags)) + packet.keep_alive.to_bytes(2)
    return _packet(p.CONNECT << 4, head + b"".join(body))


def _encode_connack(packet: p.Connack) -> bytes:
    return bytes((p.CONNACK << 4, 2, packet.session_present, p.ConnectCode(packet.code)))


def _encode_subscribe(packet: p.Subscribe) -> bytes:
    if not packet.filters or not all(is_filter(f) and q in range(3) for f, q in packet.filters):
        raise ValueError("filter or QoS of a SUBSCRIBE out of range")
    filters = b"".join(_text(f) + bytes((q,)) for f, q in packet.filters)
    return _packet(p.SUBSCRIBE << 4 | 2, _packet_id(packet.packet_id) + filters)


def _encode_suback(packet: p.Suback) -> bytes:
    return _packet(p.SUBACK << 4, _packet_id(packet.packet_id) + bytes(packet.codes))


def _encode_unsubscribe(packet: p.Unsubscribe) -> bytes:
    if not packet.filters or not all(map(is_filter, packet.filters)):
        raise ValueError("filter of an UNSUBSCRIBE out of range")
    filters = b"".join(map(_text, packet.filters))
    return _packet(p.UNSUBSCRIBE << 4 | 2, _packet_id(packet.packet_id) + filters)


def _answer(first: int) -> Callable[..., bytes]:
    head = bytes((first, 2))
    return lambda packet: head + _packet_id(packet.packet_id)


def _bare(first: int) -> Callable[..., bytes]:
    return lambda _: bytes((first, 0))


_ENCODERS: Final[Mapping[type, Callable[..., bytes]]] = {
    p.Connect: _encode_connect,
    p.Connack: _encode_connack,
    p.Subscribe: _encode_subscribe,
    p.Suback: _encode_suback,
    p.Unsubscribe: _encode_unsubscribe,
    p.Pingreq: _bare(p.PINGREQ << 4),
    p.Pingresp: _bare(p.PINGRESP << 4),
    p.Disconnect: _bare(p.DISCONNECT << 4),
    **{kind: _answer(first) for first, kind in _ANSWERS.items()},
}

#: Protocol level of a connection -> what encodes for it. MQTT 5 adds its own beside 3.1.1's.
BY_LEVEL: Final[Mapping[int, Callable[[p.Packet], bytes]]] = {p.LEVEL_311: encode}
