"""The HTTP client that integrations share: guarded, bounded, one attempt.

The guard stands where it cannot be walked around: the resolver hands out only addresses that may be
reached, and each socket is made only for an address that may. The address that was checked is the
one that is connected to, so a name that changes its mind in between gains nothing.
"""

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from wattwire.integrations._addresses import Network, refusal
from wattwire.integrations.contract import Surroundings, UnreachableError

#: How much of an answer is read: enough for a person to see what went wrong.
EXCERPT_BYTES: Final = 4096
CONNECT_SECONDS: Final = 10.0
KEEP_ALIVE_SECONDS: Final = 15.0
DNS_CACHE_SECONDS: Final = 30
#: A name server that does not answer holds a thread; there are enough for the others.
DNS_THREADS: Final = 64
USER_AGENT: Final = "Wattwire"
MOST_HEADERS: Final = 50
LONGEST_HEADER: Final = 8192
#: Headers about the connection or the framing of the body, which are not a person's to set.
HOP_BY_HOP: Final = frozenset(
    (
        "connection", "content-encoding", "content-length", "expect", "host", "keep-alive",
        "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    )
)  # fmt: skip
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")  # RFC 9110, 5.6.2


def check_header(name: str, value: str, reserved: Container[str] = ()) -> None:
    """Raise ValueError, saying why, for a header that a person may not set."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a header")
    if name.lower() in HOP_BY_HOP or name.lower() in reserved:
        raise ValueError(f"the header {name} is set by the hub")
    if len(value) > LONGEST_HEADER or not value.isprintable() or not value.isascii():
        raise ValueError(f"the value of {name} must be printable ASCII of at most 8 KiB")


class ForbiddenAddressError(OSError):
    """The address is inside a network that integrations may not reach."""

    def __init__(self, host: str, why: str) -> None:
        text = f"{host} {why}; the operator may allow its network with WATTWIRE_WEBHOOK_ALLOW"
        super().__init__(errno.EACCES, text)


class Guard(AbstractResolver):
    """Resolves names, and makes sockets, for addresses that may be reached only."""

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the reachable addresses of a name. Raises OSError when there is none."""
        found = await asyncio.get_running_loop().run_in_executor(
            _dns_threads(), _look_up, host, port, family
        )
        reasons = [(a["host"], refusal(a["host"], self._allowed)) for a in found]
        usable = [a for a, (_, why) in zip(found, reasons, strict=True) if not why]
        if not usable:
            address, why = reasons[0] if reasons else ("no address", "was found")
            raise ForbiddenAddressError(f"{host} ({address})", why)
        return usable

    async def close(self) -> None:
        """Do nothing: the threads are shared."""

    def make_socket(self, info: Any) -> socket.socket:
        """Return a socket for one address, the last step before it is connected to."""
        family, kind, protocol, _, address = info
        if why := refusal(str(address[0]), self._allowed):
            raise ForbiddenAddressError(str(address[0]), why)
        return socket.socket(family, kind, protocol)


@cache
def _dns_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(DNS_THREADS, thread_name_prefix="dns")


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=kind,
            proto=protocol,
            flags=socket.AI_NUMERICHOST,
        )
        for kind, _, protocol, _, address in found
    ]


@asynccontextmanager
async def open_client(surroundings: Surroundings) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a client of one integration: kept-alive connections, no cookies, no proxy of ours."""
    guard = Guard(surroundings.allowed_networks)
    connector = aiohttp.TCPConnector(
        resolver=guard,
        socket_factory=guard.make_socket,
        ttl_dns_cache=DNS_CACHE_SECONDS,
        keepalive_timeout=KEEP_ALIVE_SECONDS,
        limit=0,  # the engine bounds the calls
        ssl=surroundings.tls or True,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # the excerpt of an answer is not worth a compression bomb
        timeout=aiohttp.ClientTimeout(total=None),
        headers={"User-Agent": USER_AGENT},
    ) as client:
        # a PUT or GET whose connection is cut would be sent twice: the engine decides that
        client._retry_connection = False  # noqa: SLF001 - there is no public way to say it
        yield client


async def read_excerpt(response: aiohttp.ClientResponse, hide: Callable[[str], str] = str) -> str:
    """Return the beginning of an answer as printable text; a longer one costs the connection.

    `hide` takes out what must not be shown, before anything is cut in two.
    """
    raw = b""
    while len(raw) < EXCERPT_BYTES and not response.content.at_eof():
        raw += await response.content.read(EXCERPT_BYTES - len(raw))
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return ""
    return printable(hide(raw.decode("utf-8", "replace")))


def printable(text: str, limit: int = 500) -> str:
    """Return text on one line, without control characters, cut to `limit` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * limit]).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Return what a Retry-After header asks for: seconds or an HTTP date (RFC 9110, 10.2.3)."""
    text = (value or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:10]), 10**9))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(moment - now, timedelta(0))


class explained:  # noqa: N801 - used as a statement; a generator would cost more on each call
    """Turn what goes wrong on the way to a service into an UnreachableError of one sentence.

    A TimeoutError stays what it is: whether the message arrived is not known then. `hide` takes out
    of the sentence what must not be shown.
    """

    def __init__(self, hide: Callable[[str], str] = str) -> None:
        self._hide = hide

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Explain."""
        if isinstance(error, aiohttp.ClientError | OSError) and not isinstance(error, TimeoutError):
            raise UnreachableError(printable(self._hide(_cause(error)))) from error


def _cause(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"certificate of {error.host} not trusted: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return _why_not_connected(error)
    if isinstance(error, aiohttp.ClientResponseError):  # its own words hold the whole address
        return f"{type(error).__name__}: {error.status}, {error.message}"
    if isinstance(error, aiohttp.InvalidURL):  # and these are nothing else
        return "the address cannot be used"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _why_not_connected(error: aiohttp.ClientConnectorError) -> str:
    inner = error.os_error
    if isinstance(inner, ssl.SSLError):
        return f"TLS with {error.host} failed: {inner.reason or inner}"
    if isinstance(inner, ForbiddenAddressError):
        return str(inner.strerror)
    return f"cannot connect to {error.host}:{error.port}: {inner.strerror or inner}"
