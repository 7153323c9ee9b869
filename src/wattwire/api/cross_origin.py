"""Web pages of other origins: which may call SolarNetwork's API from a browser (CORS).

Requests to it are signed, and nothing that a browser adds by itself lets anybody in: credentials
are never allowed, and so neither cookies nor client certificates go along. Pages that are not on
the list are told nothing, and their browser keeps the answer from them.
"""

from collections.abc import Mapping
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wattwire.api.problems import SOLARNETWORK_PATHS

_ANY: Final = "*"
_MAX_ORIGIN: Final = 300
_METHODS: Final = b"DELETE, GET, HEAD, POST"
#: What signed requests have, and what a browser does not send of its own accord.
_FIELDS: Final = (
    b"Accept, Accept-Language, Authorization, Content-Encoding, Content-MD5, Content-Type, Date, "
    b"Digest, X-SN-Date"
)
_SHOWN: Final = b"Retry-After, X-Request-Id, X-SN-ErrorMessage"
_KEPT_SECONDS: Final = b"600"


class CrossOrigin:
    """ASGI middleware, the outermost: errors must be readable, too."""

    def __init__(self, app: ASGIApp, *, origins: tuple[str, ...]) -> None:
        self._app = app
        self._any = _ANY in origins
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the question whether a page may call, or mark an answer as one it may read."""
        if scope["type"] != "http" or not scope["path"].startswith(SOLARNETWORK_PATHS):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        allowed = self._allowed(headers)
        if allowed and _asks_first(scope["method"], headers):
            await _permit(send, allowed)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _marked(message["headers"], allowed)
            await send(message)

        await self._app(scope, receive, marked)

    def _allowed(self, headers: Mapping[bytes, bytes]) -> bytes:
        """Return the origin to name in the answer, empty for none."""
        origin = headers.get(b"origin", b"")[:_MAX_ORIGIN]
        if self._any and origin:
            return _ANY.encode()
        return origin if origin in self._origins else b""


def _asks_first(method: str, headers: Mapping[bytes, bytes]) -> bool:
    return method == "OPTIONS" and b"access-control-request-method" in headers


async def _permit(send: Send, allowed: bytes) -> None:
    headers = [
        (b"access-control-allow-origin", allowed),
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", _FIELDS),
        (b"access-control-max-age", _KEPT_SECONDS),
        (b"vary", b"Origin"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _marked(headers: list[tuple[bytes, bytes]], allowed: bytes) -> list[tuple[bytes, bytes]]:
    """Return the fields of an answer; caches must not give one page's answer to another."""
    if not allowed:
        return [*headers, (b"vary", b"Origin")]
    kept = [field for field in headers if field[0].lower() != b"access-control-allow-origin"]
    return [
        *kept,
        (b"access-control-allow-origin", allowed),
        (b"access-control-expose-headers", _SHOWN),
        (b"vary", b"Origin"),
    ]
