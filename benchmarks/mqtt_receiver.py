"""A broker that takes every PUBLISH, acknowledges it and forgets it; counted like the others."""

import asyncio
import struct


class MqttReceiver(asyncio.Protocol):
    """Just enough MQTT 3.1.1 and 5 for clients that publish at QoS 0 or 1.

    `GET /figures` on the same port is passed on to the receiver of HTTP.
    """

    def __init__(self, figures, http):
        self._figures = figures
        self._http = http
        self._passing = False
        self._buffer = b""
        self._version = 4

    def connection_made(self, transport):
        self._transport = transport
        self._http.connection_made(transport)

    def data_received(self, data):
        if self._passing or (not self._buffer and data.startswith(b"GET ")):
            self._passing = True
            self._http.data_received(data)
            return
        self._buffer += data
        at, answers = 0, []
        while (packet := self._packet(at)) is not None:
            kind, start, at = packet
            answers.append(self._answer(kind, start))
        self._buffer = self._buffer[at:]
        if answers:
            self._transport.write(b"".join(answers))

    def _packet(self, at):
        """Return (first byte, start of the body, its end) of a packet that is all here."""
        buffer, size, shift, start = self._buffer, 0, 0, at + 1
        while start < len(buffer):
            byte = buffer[start]
            start += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                end = start + size
                return (buffer[at], start, end) if end <= len(buffer) else None
        return None

    def _answer(self, kind, start):
        buffer = self._buffer
        if kind >> 4 == 3:
            self._figures.count(1)
            if not kind & 6:
                return b""
            name = struct.unpack_from("!H", buffer, start)[0]
            return b"\x40\x02" + buffer[start + 2 + name : start + 4 + name]
        if kind >> 4 == 1:
            self._version = buffer[start + 6]
            return b"\x20\x03\x00\x00\x00" if self._version == 5 else b"\x20\x02\x00\x00"
        return b"\xd0\x00" if kind >> 4 == 12 else b""
