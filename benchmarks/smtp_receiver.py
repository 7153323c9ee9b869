"""A mail server that takes every mail and forgets it; the events in it are counted."""

import asyncio
import re

#: A server speaks first in SMTP and the client in HTTP: who says nothing for so long is a client of
#: SMTP.
SILENCE_SECONDS = 0.02
_EVENTS = re.compile(rb"^(\d+) events ", re.MULTILINE)


class SmtpReceiver(asyncio.Protocol):
    """Just enough SMTP for clients that do not pipeline.

    `GET /figures` on the same port is passed on to the receiver of HTTP.
    """

    def __init__(self, figures, http):
        self._figures = figures
        self._http = http
        self._passing = False
        self._buffer = b""
        self._mail = False

    def connection_made(self, transport):
        self._transport = transport
        self._http.connection_made(transport)
        asyncio.get_running_loop().call_later(SILENCE_SECONDS, self._greet)

    def _greet(self):
        if not self._passing:
            self._transport.write(b"220 bench\r\n")

    def data_received(self, data):
        if self._passing or data.startswith(b"GET "):
            self._passing = True
            self._http.data_received(data)
            return
        self._buffer += data
        while self._take_one():
            pass

    def _take_one(self):
        end = self._buffer.find(b"\r\n.\r\n" if self._mail else b"\r\n")
        if end < 0:
            return False
        taken, self._buffer = self._buffer[:end], self._buffer[end + (5 if self._mail else 2) :]
        self._transport.write(self._answer(taken))
        return True

    def _answer(self, taken):
        if self._mail:
            self._mail = False
            found = _EVENTS.search(taken)
            self._figures.count(int(found[1]) if found else 1)
            return b"250 queued\r\n"
        verb = taken[:4].upper()
        self._mail = verb == b"DATA"
        return {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}.get(verb, b"250 ok\r\n")
