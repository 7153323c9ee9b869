"""The outermost layer of the API: bounds on size, time and number; an id and a log line each."""

import asyncio
import os
import time
from collections.abc import Mapping
from typing import Any, Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wattwire.api.problems import WRITE_PATHS, Problem, as_problem, problem_response

MAX_BODY_BYTES: Final = 1024 * 1024
#: Bodies of readings and configurations, as they come over the wire. What gzip makes of readings
#: is bounded in `incoming`.
MAX_READINGS_BYTES: Final = 16 * 1024 * 1024
BODY_SECONDS: Final = 30.0
REQUEST_SECONDS: Final = 60.0
MAX_AT_ONCE: Final = 256
_LARGE: Final = (
    "/api/v1/readings", "/api/v1/quarantine/", "/api/v1/configuration", "/solarin/", *WRITE_PATHS,
)  # fmt: skip
#: Live streams last; they have their own bounds.
_LASTING: Final = ("/api/v1/events/live",)
_WATCHING: Final = ("/healthz", "/readyz", "/metrics")

log = structlog.get_logger()


class Bounds:
    """ASGI middleware. Whatever goes wrong inside is answered as a problem, never re-raised."""

    def __init__(self, app: ASGIApp, *, request_seconds: float = REQUEST_SECONDS) -> None:
        self._app = app
        self._seconds = request_seconds
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry out one request within bounds."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        lasting = scope["path"] in _LASTING
        self._open += not lasting
        try:
            await self._answer(exchange, lasting=lasting)
        finally:
            self._open -= not lasting
            exchange.log()

    def _check_room(self) -> None:
        if self._open > MAX_AT_ONCE:
            raise Problem(503, "Too many requests are under way.", headers={"Retry-After": "1"})

    async def _answer(self, exchange: "_Exchange", *, lasting: bool) -> None:
        try:
            self._check_room()
            async with asyncio.timeout(None if lasting else self._seconds):
                await self._app(exchange.scope, exchange.receive, exchange.send)
        except Exception as error:  # noqa: BLE001 - the edge of a request: nothing may escape it
            await exchange.fail(error)


class _Exchange:
    """One request and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.status = 0
        self._receive = receive
        self._send = send
        self._started = time.perf_counter()
        self._left = MAX_READINGS_BYTES if scope["path"].startswith(_LARGE) else MAX_BODY_BYTES
        self._whole = False
        scope["request_id"] = self.request_id = os.urandom(8).hex()
        self._look_at_headers(dict(scope["headers"]))

    def _look_at_headers(self, headers: Mapping[bytes, bytes]) -> None:
        """Refuse at the first byte read, so that the answer is still a proper response."""
        declared = headers.get(b"content-length", b"")
        self._too_large = declared.isdigit() and int(declared[:20]) > self._left
        #: Nothing is waited for, and so no clock is needed.
        self._bodiless = declared in {b"", b"0"} and b"transfer-encoding" not in headers

    async def receive(self) -> Message:
        """Hand on the body, counted; after its end only the disconnect is waited for."""
        if self._whole:
            return await self._receive()
        if self._too_large:
            raise _too_large()
        message = await self._receive_in_time()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self._too_large = True
            raise _too_large()
        self._whole = not message.get("more_body", False)
        return message

    async def _receive_in_time(self) -> Message:
        if self._bodiless:
            return await self._receive()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self._receive()
        except TimeoutError:
            raise Problem(408, "The body did not arrive in time.") from None

    async def send(self, message: Message) -> None:
        """Hand on the response with the headers that every response has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [
                *message["headers"],
                (b"x-request-id", self.request_id.encode()),
                (b"x-content-type-options", b"nosniff"),
                (b"cache-control", b"no-store"),
            ]
        await self._send(message)

    async def fail(self, error: Exception) -> None:
        """Answer with a problem, unless the response has begun: then it breaks off."""
        problem = as_problem(error)
        if problem.status_code >= 500:  # noqa: PLR2004 - the hub's own fault
            log.error("api.request_failed", request_id=self.request_id, error=repr(error)[:500])
        if self.status == 0:
            response = problem_response(problem, self.scope)
            await response(self.scope, self._receive, self.send)

    def log(self) -> None:
        """Write the one line of this request: who, what, how long; no query, no body."""
        caller: Any = self.scope.get("caller")
        route: Any = self.scope.get("route")
        # Whoever watches the hub asks every few seconds; that it did is no news.
        tell = log.debug if self.scope["path"] in _WATCHING else log.info
        tell(
            "api.request_answered",
            request_id=self.request_id,
            method=self.scope["method"],
            route=getattr(route, "path", None) or "-",
            status=self.status,
            duration_ms=round((time.perf_counter() - self._started) * 1000, 2),
            organization=str(caller.organization_id) if caller else "",
            actor=caller.actor if caller else "",
        )


def _too_large() -> Problem:
    return Problem(413, "The body is larger than this address takes.")
