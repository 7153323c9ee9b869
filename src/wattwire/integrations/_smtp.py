"""SMTP as integrations need it: guarded addresses, TLS that is checked, one attempt, every answer.

The client is aiosmtplib; what it is given is a socket that is connected already, to an address that
may be reached, and the name that the certificate must bear. Connections are kept for the next mail
and looked at before they are used again.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

import aiosmtplib
from aiosmtplib import SMTP, SMTPResponseException

from wattwire.integrations._http import CONNECT_SECONDS, ForbiddenAddressError, Guard, printable
from wattwire.integrations.contract import (
    HTTP_VERDICTS,
    TIMED_OUT,
    UNREACHABLE,
    ConfigurationError,
    Delivered,
    Outcome,
    Rejected,
    Retry,
    UnreachableError,
    Verdict,
)

Security: TypeAlias = Literal["starttls", "tls", "none"]

#: The greeting was no greeting: the server is there and takes nobody.
NO_SERVICE: Final = "no_service"
#: The server does not take the sender's address: no mail will do better.
SENDER_REFUSED: Final = "sender_refused"
#: By SMTP's reply codes (RFC 5321, 4.2.3; RFC 4954, 6). Those of the class 5 that are not here are
#: about one mail and reject it; those of the class 4 are tried again.
VERDICTS: Final[Mapping[str, Verdict]] = {
    **{key: HTTP_VERDICTS[key] for key in (UNREACHABLE, TIMED_OUT)},
    NO_SERVICE: Verdict.DOWN,
    SENDER_REFUSED: Verdict.PARK,
    "421": Verdict.THROTTLE,  # closing: too many connections, or mails
    "452": Verdict.THROTTLE,  # too many recipients, or no room
    "454": Verdict.DOWN,  # cannot check credentials now
    "530": Verdict.PARK,  # authentication required
    "534": Verdict.PARK,  # stronger authentication required
    "535": Verdict.PARK,  # credentials invalid
    "538": Verdict.PARK,  # encryption required
}
#: Refusals for good of something that is the same for every mail, whatever their code.
_ABOUT_US: Final[Mapping[type[Exception], str]] = {
    aiosmtplib.SMTPSenderRefused: SENDER_REFUSED,
    aiosmtplib.SMTPAuthenticationError: "535",
}
_CLOSING: Final = 421
_TOO_BIG: Final = 552
_TEMPORARY: Final = 400
_PERMANENT: Final = 500
_NO_CODE: Final = 600
#: An idle connection that is older is asked whether it is still one.
_FRESH_SECONDS: Final = 5.0
_QUIT_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where mails are handed in, and as whom."""

    host: str
    port: int
    security: Security
    context: ssl.SSLContext
    username: str | None
    password: str | None = field(repr=False)
    local_name: str  #: what the hub calls itself
    timeout_seconds: float


class Envelope(NamedTuple):
    """A mail with what stands on its outside."""

    sender: str
    recipients: Sequence[str]
    content: bytes


class Answer(NamedTuple):
    """What the server said: 550, no such user."""

    code: int
    text: str


class TooBigError(Exception):
    """The server says how large a mail may be, and this one is larger."""


class NobodyError(Exception):
    """The server takes the mail for none of the recipients."""

    def __init__(self, refused: Mapping[str, Answer]) -> None:
        super().__init__(_listed(refused))
        self.refused = refused


class Post:
    """Connections to one server, as many as are used at once."""

    def __init__(self, server: Server, guard: Guard) -> None:
        self._server = server
        self._guard = guard
        self._idle: list[tuple[SMTP, float]] = []

    async def send(self, envelope: Envelope) -> Outcome:
        """Hand in one mail, in one attempt; whatever happens, there is an outcome."""
        try:
            async with asyncio.timeout(self._server.timeout_seconds), self._client() as client:
                return await _transact(client, envelope)
        except TooBigError as error:
            return Rejected(str(error), code="552")
        except NobodyError as error:
            return _nobody(error)
        except SMTPResponseException as error:
            return _refusal(error)
        except TimeoutError:
            return Retry(f"no answer within {self._server.timeout_seconds:g} s", code=TIMED_OUT)
        except (UnreachableError, OSError) as error:
            return Retry(printable(str(error) or type(error).__name__), code=UNREACHABLE)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[SMTP]:
        """Lend a connection; it is kept if the server's last word was an orderly one."""
        client = await self._kept() or await open_client(self._server, self._guard)
        try:
            yield client
        except (SMTPResponseException, NobodyError, TooBigError):
            await self._keep(client, reset=True)
            raise
        except BaseException:
            _hang_up(client)  # what it would answer next belongs to what was asked before
            raise
        await self._keep(client, reset=False)

    async def _kept(self) -> SMTP | None:
        while self._idle:
            client, since = self._idle.pop()
            fresh = time.monotonic() - since < _FRESH_SECONDS
            if client.is_connected and (fresh or await _resets(client)):
                return client
            _hang_up(client)
        return None

    async def _keep(self, client: SMTP, *, reset: bool) -> None:
        if client.is_connected and (not reset or await _resets(client)):
            self._idle.append((client, time.monotonic()))
        else:
            _hang_up(client)

    async def close(self) -> None:
        """Say goodbye on every connection."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(_goodbye(client) for client, _ in idle))


async def _resets(client: SMTP) -> bool:
    try:
        await client.rset(timeout=_QUIT_SECONDS)
    except (aiosmtplib.SMTPException, OSError, ValueError):
        return False
    return True


def _hang_up(client: SMTP) -> None:
    """Drop a connection at once: one that died would be flushed and taken leave of for long."""
    transport = client.transport
    client.close()
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()


async def _goodbye(client: SMTP) -> None:
    try:
        await client.quit(timeout=_QUIT_SECONDS)
    except (aiosmtplib.SMTPException, OSError):
        pass
    finally:
        _hang_up(client)


# --- opening ---


async def open_client(server: Server, guard: Guard) -> SMTP:
    """Return a connection on which mails may be handed in.

    Raises UnreachableError, SMTPResponseException, or ConfigurationError for a server that does not
    offer what the settings ask for.
    """
    client = SMTP(
        hostname=server.host,
        sock=await _connected(guard, server.host, server.port),
        use_tls=server.security == "tls",
        start_tls=False,
        tls_context=server.context,
        local_hostname=server.local_name,
        timeout=server.timeout_seconds,
    )
    try:
        await client.connect()
        if server.security == "starttls":
            await _start_tls(client, server)
        if server.username is not None:
            await _authenticate(client, server.username, server.password or "")
    except aiosmtplib.SMTPConnectResponseError as error:
        _hang_up(client)
        raise UnavailableError(error.code, error.message) from error
    except ssl.SSLError as error:
        _hang_up(client)
        raise UnreachableError(_distrust(server.host, error)) from error
    except aiosmtplib.SMTPConnectError as error:
        _hang_up(client)
        raise UnreachableError(_cause(server.host, error)) from error
    except BaseException:
        _hang_up(client)
        raise
    return client


class UnavailableError(SMTPResponseException):
    """The server greeted with a refusal."""


async def _connected(guard: Guard, host: str, port: int) -> socket.socket:
    """Return a socket to the first address of a name that may be reached and answers."""
    problem = f"no address of {host} can be reached"
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            for found in await guard.resolve(host, port):
                address = (found["host"], port)
                kind = (found["family"], socket.SOCK_STREAM, found["proto"], "", address)
                try:
                    return await _dialled(guard.make_socket(kind), address)
                except OSError as error:
                    problem = error.strerror or str(error)
    except TimeoutError:
        problem = f"no answer within {CONNECT_SECONDS:g} s"
    except ForbiddenAddressError as error:
        raise UnreachableError(str(error.strerror)) from error
    except OSError as error:
        problem = error.strerror or str(error)
    raise UnreachableError(f"Connecting to {host}:{port} failed: {problem}")


async def _dialled(opened: socket.socket, address: tuple[str, int]) -> socket.socket:
    try:
        opened.setblocking(False)
        await asyncio.get_running_loop().sock_connect(opened, address)
    except BaseException:
        opened.close()
        raise
    return opened


async def _start_tls(client: SMTP, server: Server) -> None:
    await client.ehlo()
    if not client.supports_extension("starttls"):
        raise ConfigurationError(f"{server.host} does not offer STARTTLS on port {server.port}")
    await client.starttls(server_hostname=server.host, tls_context=server.context)


async def _authenticate(client: SMTP, username: str, password: str) -> None:
    """Log in once, by the first way that both sides know: several tries lock accounts."""
    await client.ehlo()
    offered = client.server_auth_methods
    if "plain" in offered:
        await client.auth_plain(username, password)
    elif "login" in offered:
        await client.auth_login(username, password)
    elif "cram-md5" in offered:
        await client.auth_crammd5(username, password)
    else:
        raise ConfigurationError(
            "The server takes no password: it offers no PLAIN, LOGIN, CRAM-MD5"
        )


def _distrust(host: str, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate of {host} not trusted: {error.verify_message}"
    return f"TLS with {host} failed: {error.reason or error}"


def _cause(host: str, error: Exception) -> str:
    inner = error.__cause__
    return _distrust(host, inner) if isinstance(inner, ssl.SSLError) else printable(str(error))


# --- one mail ---


async def _transact(client: SMTP, envelope: Envelope) -> Delivered:
    """Hand in one mail for as many of its recipients as the server takes."""
    size = len(envelope.content)
    if client.is_ehlo_or_helo_needed:
        await client.ehlo()
    most = client.esmtp_extensions.get("size", "")
    if most.isdigit() and 0 < int(most[:12]) < size:
        raise TooBigError(f"the mail has {size:,} bytes, the server takes {int(most[:12]):,}")
    options = [f"SIZE={size}"] if client.supports_extension("size") else []
    await client.mail(envelope.sender, options=options)
    refused = await _name_recipients(client, envelope.recipients)
    if len(refused) == len(envelope.recipients):
        raise NobodyError(refused)
    answer = await client.data(envelope.content)
    receipt = f"{answer.code} {answer.message}"
    if refused:
        receipt = f"refused: {_listed(refused)}; others: {receipt}"
    return Delivered(receipt=printable(receipt))


async def _name_recipients(client: SMTP, recipients: Sequence[str]) -> dict[str, Answer]:
    refused = {}
    for recipient in recipients:
        try:
            await client.rcpt(recipient)
        except aiosmtplib.SMTPRecipientRefused as error:
            if error.code == _CLOSING:
                raise
            refused[recipient] = Answer(error.code, error.message)
    return refused


def _listed(refused: Mapping[str, Answer]) -> str:
    return ", ".join(f"{who} ({a.code} {printable(a.text, 80)})" for who, a in refused.items())


# --- what answers mean ---


def _nobody(error: NobodyError) -> Outcome:
    """All are refused: for good if each is; what may be taken later goes again."""
    reason = printable(f"no recipient was taken: {error}")
    codes = [answer.code for answer in error.refused.values()]
    passing = [code for code in codes if code < _PERMANENT]
    if passing:
        return Retry(reason, code=str(passing[0]))
    about_us = [code for code in codes if VERDICTS.get(str(code)) is Verdict.PARK]
    if about_us:
        return Retry(reason, code=str(about_us[0]))
    return Rejected(reason, code=str(codes[0]))


def _refusal(error: SMTPResponseException) -> Outcome:
    """Tell what is wrong with one mail from what is wrong with us or with the server."""
    reason, code = printable(f"{error.code} {error.message}"), str(error.code)
    if isinstance(error, UnavailableError):
        return Retry(reason, code=NO_SERVICE)
    if not _TEMPORARY <= error.code < _NO_CODE:
        return Retry(reason)  # not an answer that SMTP knows here
    if code in VERDICTS or error.code < _PERMANENT:
        return Retry(reason, code=code)
    if error.code == _TOO_BIG or isinstance(error, aiosmtplib.SMTPDataError):
        return Rejected(reason, code=code)
    return Retry(reason, code=_ABOUT_US.get(type(error), code))
