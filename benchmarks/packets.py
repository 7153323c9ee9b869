"""The few MQTT 3.1.1 packets a load generator needs, built by hand and not by the hub's codec."""

import struct

CONNACK_OK = b"\x20\x02\x00\x00"
PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"


def text(value):
    data = value.encode()
    return struct.pack("!H", len(data)) + data


def length(size):
    """The remaining length as MQTT writes it."""
    out = bytearray()
    while True:
        size, digit = divmod(size, 128)
        out.append(digit | 0x80 if size else digit)
        if not size:
            return bytes(out)


def connect(client_id, username=None, password=None, keepalive=60):
    flags = 2 | (0x80 if username else 0) | (0x40 if password else 0)
    body = text("MQTT") + bytes([4, flags]) + struct.pack("!H", keepalive) + text(client_id)
    if username:
        body += text(username)
    if password:
        body += text(password)
    return b"\x10" + length(len(body)) + body


def publish_head(topic, qos, payload_size):
    """Everything before the packet id; after the id comes the payload."""
    name = text(topic)
    size = len(name) + (2 if qos else 0) + payload_size
    return bytes([0x30 | qos << 1]) + length(size) + name
