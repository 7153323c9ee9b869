"""What every AWS integration composes: one guarded, signed way to a service.

The calls are signed and sent here, because the SDK spends two milliseconds on each, more than on
ten messages of a batch together. Nothing is retried: the delivery engine does that.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from typing import Final, Self

import aiohttp
from yarl import URL

from wattwire.integrations import _http
from wattwire.integrations._aws_access import Access
from wattwire.integrations._aws_keys import Keys, find_way
from wattwire.integrations._sigv4 import Request, Scope, signed
from wattwire.integrations.contract import Surroundings, UnreachableError

CALL_SECONDS: Final = 30.0
#: The longest answer is Kinesis': some 200 bytes for each of 500 records.
MOST_ANSWER_BYTES: Final = 262_144
#: A larger body is written in pieces, so that others have their turn in between.
IN_PIECES_BYTES: Final = 1_048_576
GOOD: Final = 200  #: what AWS answers to a call that it took, whatever became of its parts


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered: its status, its headers, its body."""

    status: int
    body: bytes
    headers: Mapping[str, str]  #: looked up in any case


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls one service: signs, sends, reads. One attempt, no more."""

    client: aiohttp.ClientSession
    origin: URL
    scope: Scope
    keys: Keys

    async def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        query: str = "",
    ) -> Answer:
        """Send one request. Path and query are percent-encoded, names of headers lower case.

        Raises UnreachableError, TimeoutError, and what the SDK says when a role is refused.
        """
        whole = Request(method, path, query, headers, body)
        ready = signed(whole, _host(self.origin), self.scope, await self.keys(), datetime.now(UTC))
        target = (
            f"{self.origin.origin()}{path}?{query}" if query else f"{self.origin.origin()}{path}"
        )
        with _http.explained():
            async with self.client.request(
                method,
                URL(target, encoded=True),
                data=body if len(body) < IN_PIECES_BYTES else BytesIO(body),
                headers=ready,
                allow_redirects=False,
            ) as response:
                return Answer(response.status, await _read(response), response.headers)

    def at(self, origin: URL, service: str | None = None) -> Self:
        """Return a caller of another address, by the same keys and connections."""
        scope = self.scope if service is None else self.scope._replace(service=service)
        return replace(self, origin=origin, scope=scope)


def _host(origin: URL) -> str:
    host = origin.host or ""
    plain = origin.explicit_port is None or origin.is_default_port()
    return host if plain else f"{host}:{origin.port}"


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    while not response.content.at_eof():
        body += await response.content.read(MOST_ANSWER_BYTES - len(body))
        if len(body) >= MOST_ANSWER_BYTES:
            raise UnreachableError("the answer is longer than any that AWS gives")
    return body


@asynccontextmanager
async def open_caller(
    service: str, access: Access, surroundings: Surroundings
) -> AsyncIterator[Caller]:
    """Open the way to a service, by the SDK's name for it, for as long as the context lasts.

    Raises ConfigurationError for a profile that does not exist or may not be used.
    """
    async with (
        find_way(service, access, surroundings) as way,
        _http.open_client(surroundings) as client,
    ):
        yield Caller(client, URL(way.endpoint), way.scope, way.keys)
