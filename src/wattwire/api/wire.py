"""HTTP/1.1 as it comes over a connection: uvicorn's reader on httptools, with bounds.

httptools reads a request four times as fast as h11, and bounds nothing: neither how long a head may
be, nor how long it may take. Fields after a chunked body would be added to those of the head, past
a proxy that looked at the head alone; here they are dropped.

A client's certificate is what the TLS handshake of this connection proved. It is in the scope under
`CERTIFICATE`, where no header reaches.
"""

import asyncio
import hashlib
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: SHA-256 of the client's certificate (DER) in the scope; None without one.
CERTIFICATE: Final = "client_certificate_sha256"
MAX_HEAD_BYTES: Final = 64 * 1024
MAX_FIELDS: Final = 256
#: From the connection, or the end of an answer, to the end of the next head.
HEAD_SECONDS: Final = 40.0
MAX_CONNECTIONS: Final = 4096
_PER_FIELD: Final = 4  #: colon, space, end of line


class HeadError(Exception):
    """A head that nobody sends in earnest; the client is answered 400."""


class Wire(HttpToolsProtocol):
    """One connection. Its parser calls the `on_` methods."""

    def connection_made(self, transport: Any) -> None:
        """Look at who it is; close what is one too many."""
        super().connection_made(transport)
        self._certificate = fingerprint(transport)
        self._deadline: asyncio.TimerHandle | None = None
        self._reading_head = False
        self._head_bytes = self._fields = 0
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read; a head that does not end is cut off, for the parser itself would keep it all."""
        was_reading = self._reading_head
        super().data_received(data)
        if was_reading and self._reading_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("Invalid HTTP request received.")

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._reading_head = True
        self._head_bytes = self._fields = 0
        self._size = 0
        self.scope[CERTIFICATE] = self._certificate  # type: ignore[typeddict-unknown-key]  # ours

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        self._grow(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head; one after the body is none."""
        if self._reading_head:
            self._fields += 1
            self._grow(len(name) + len(value) + _PER_FIELD)
            super().on_header(name, value)

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MAX_HEAD_BYTES or self._fields > MAX_FIELDS:
            raise HeadError

    def on_headers_complete(self) -> None:
        """Begin to answer: from here on other clocks run."""
        self._reading_head = False
        self._stop_waiting()
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            raise HeadError  # RFC 9112, 3.2
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        if not self.pipeline:
            self._wait_for_head()
        super().on_response_complete()

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._cut_off)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _cut_off(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def fingerprint(transport: Any) -> bytes | None:
    """Return the SHA-256 of the certificate that the other side proved to be its own."""
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls else None
    return hashlib.sha256(certificate).digest() if certificate else None
