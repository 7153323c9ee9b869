"""SNWS2, SolarNetwork's way to sign requests: everything that can be said without a network.

    Authorization: SNWS2 Credential=TOKEN,SignedHeaders=host;x-sn-date,Signature=64 hex digits

The signature is an HMAC-SHA256, under a key derived from the secret and a day, of the request's
date and of the hash of the *canonical request*: verb, path as it was sent, sorted parameters, the
signed headers, their names, the SHA-256 of the body. A derived key may be used for seven days.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, quote

SCHEME: Final = "SNWS2"
SKEW: Final = timedelta(minutes=15)
KEY_DAYS: Final = 7
EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
#: More than these are not signed by anybody in earnest.
MAX_HEADER: Final = 4096
MAX_PARAMETERS: Final = 2000

_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}")
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip
_DATE: Final = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT",
    re.ASCII,
)
_RUNS: Final = re.compile(" {2,}")
_MUST: Final = frozenset({"content-type", "content-md5", "digest"})
_OWN: Final = "x-sn-"
_DIGESTS: Final = {"md5": "md5", "sha": "sha1", "sha-256": "sha256", "sha-512": "sha512"}
_FORM: Final = "application/x-www-form-urlencoded"


class BadCredentialsError(Exception):
    """The signature, or what it was made of, does not hold; the message is for the client."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """What the header says."""

    token_id: str
    signed: tuple[str, ...]  #: names of headers, lower case, sorted
    signature: str


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was received."""

    method: str
    path: str  #: still percent-encoded
    query: str
    headers: Mapping[str, Sequence[str]]  #: by lower-case name
    body: bytes = b""

    def header(self, name: str) -> str:
        """Return the first value of a header, empty when there is none."""
        values = self.headers.get(name, ())
        return values[0] if values else ""


def parse(header: str) -> Authorization | None:
    """Return what an Authorization header says; None for none or another scheme's.

    Raises BadCredentialsError.
    """
    scheme, _, rest = header.partition(" ")
    if scheme != SCHEME:
        return None
    if len(header) > MAX_HEADER:
        raise BadCredentialsError("Invalid Authorization value")
    parts: dict[str, str] = {}
    for component in rest.split(","):
        name, equals, value = component.partition("=")
        if equals and name:
            parts.setdefault(name, value)
    return _authorization(parts)


def _authorization(parts: Mapping[str, str]) -> Authorization:
    if not parts.get("Credential"):
        raise BadCredentialsError("Invalid Credential value")
    signature = parts.get("Signature", "")
    if not _SIGNATURE.fullmatch(signature):
        raise BadCredentialsError("Invalid Signature value")
    names = {name.strip().lower() for name in parts.get("SignedHeaders", "").split(";")} - {""}
    if len(names) < 2:  # noqa: PLR2004 - the host and a date at the least
        raise BadCredentialsError("Invalid SignedHeaders value")
    return Authorization(parts["Credential"], tuple(sorted(names)), signature)


def check_signed(signed: Sequence[str], request: Request) -> None:
    """Raise BadCredentialsError unless everything is signed that must be, and sent once."""
    if "host" not in signed:
        raise BadCredentialsError("The 'Host' HTTP header must be included in SignedHeaders")
    if "date" not in signed and "x-sn-date" not in signed:
        raise BadCredentialsError(
            "One of the 'Date' or 'X-SN-Date' HTTP headers must be included in SignedHeaders"
        )
    for name in request.headers:
        if (name in _MUST or name.startswith(_OWN)) and name not in signed:
            raise BadCredentialsError(f"The '{name}' HTTP header must be included in SignedHeaders")
    for name in signed:
        if len(request.headers.get(name, ())) > 1:  # which of them was signed, nobody can tell
            raise BadCredentialsError(f"The '{name}' HTTP header must not be repeated")


def request_date(request: Request) -> datetime:
    """Return when the request was made, by X-SN-Date or else by Date, in UTC.

    Raises BadCredentialsError.
    """
    if "x-sn-date" in request.headers:
        return _parse_date(request.header("x-sn-date"), "Invalid HTTP X-SN-Date header value")
    return _parse_date(request.header("date"), "Missing or invalid HTTP Date header value")


def _parse_date(text: str, refusal: str) -> datetime:
    match = _DATE.fullmatch(text.strip())
    try:
        if match is None:
            raise BadCredentialsError(refusal)
        day, month, year, *clock = match.groups()
        hour, minute, second = map(int, clock)
        return datetime(
            int(year), _MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=UTC
        )
    except ValueError:
        raise BadCredentialsError(refusal) from None


def is_timely(at: datetime, now: datetime) -> bool:
    """Tell whether the clocks of the two sides differ by less than 15 minutes."""
    return abs(now - at) < SKEW


def check_digest(request: Request) -> None:
    """Compare the body with `Digest`, or else with `Content-MD5`, where there is one.

    The first algorithm known here decides; the value may be hex or base64. Raises
    BadCredentialsError.
    """
    if "digest" in request.headers:
        for one in request.header("digest").split(","):
            name, equals, value = one.strip().partition("=")
            if equals and name.lower() in _DIGESTS:
                return _compare(name.lower(), value, request.body)
    elif "content-md5" in request.headers:
        _compare("md5", request.header("content-md5").strip(), request.body)
    return None


def _compare(name: str, given: str, body: bytes) -> None:
    computed = hashlib.new(_DIGESTS[name], body, usedforsecurity=False).digest()
    try:
        if len(given) == 2 * len(computed):
            claimed = bytes.fromhex(given)
        else:
            claimed = base64.b64decode(given, validate=True)
    except (ValueError, binascii.Error):
        raise BadCredentialsError(f"Invalid Digest {name} encoding") from None
    if not hmac.compare_digest(computed, claimed):
        raise BadCredentialsError(f"Content {name} digest value mismatch")


def hosts_of(received: str, forwarded: Iterable[str] = (), port: str = "") -> tuple[str, ...]:
    """Return what a client may have signed as its host, the likeliest first.

    Libraries differ in whether they sign `:443`; a proxy may have changed the name, or ended TLS
    on another port: `forwarded` and `port` are what a proxy that is trusted says.
    """
    found: dict[str, None] = {}
    for host in (received.strip(), *forwarded):
        found[host] = None
        if ":" not in host.rpartition("]")[2]:
            for ending in (port, "443"):
                if ending and ending != "80":
                    found[f"{host}:{ending}"] = None
    return tuple(found)


def parameters_of(request: Request) -> list[tuple[str, str]]:
    """Return the decoded parameters, those of a form included. Raises BadCredentialsError."""
    text = request.query
    if is_form(request):
        text = "&".join(filter(None, (text, request.body.decode("utf-8", "replace"))))
    if not text:
        return []
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise BadCredentialsError("Too many parameters") from None


def is_form(request: Request) -> bool:
    """Tell whether the body is a form: its parameters are signed, and not its bytes."""
    return request.header("content-type").partition(";")[0].strip().lower() == _FORM


def canonical_parameters(parameters: Iterable[tuple[str, str]]) -> str:
    """Return the third line: sorted by name, as Java compares; values keep their order."""
    ordered = sorted(parameters, key=lambda pair: pair[0].encode("utf-16-be", "surrogatepass"))
    return "&".join(f"{_encode(name)}={_encode(value)}" for name, value in ordered)


def _encode(text: str) -> str:
    return quote(text, safe="-_.~", errors="replace")


def canonical_request(
    request: Request, signed: Sequence[str], host: str, body_sha256: str | None = None
) -> str:
    """Return the canonical request, with this host in place of the one received.

    `body_sha256`: of what is hashed, if not of the body.
    """
    if body_sha256 is None:
        body_sha256 = hashlib.sha256(request.body).hexdigest() if request.body else EMPTY_SHA256
    values = ((name, host if name == "host" else request.header(name)) for name in signed)
    return "\n".join(
        [
            request.method.upper(),
            request.path,
            canonical_parameters(parameters_of(request)),
            *(f"{name}:{_RUNS.sub(' ', value.strip())}" for name, value in values),
            ";".join(signed),
            body_sha256,
        ]
    )


def string_to_sign(at: datetime, canonical: str) -> str:
    """Return what is signed: scheme, date, hash of the canonical request."""
    hashed = hashlib.sha256(canonical.encode("utf-8", "replace")).hexdigest()
    return f"{SCHEME}-HMAC-SHA256\n{at:%Y%m%dT%H%M%SZ}\n{hashed}"


def signing_key(secret: str, day: date) -> bytes:
    """Return the key that signs for a week from this day (UTC) on."""
    first = hmac.digest(f"{SCHEME}{secret}".encode(), f"{day:%Y%m%d}".encode(), "sha256")
    return hmac.digest(first, b"snws2_request", "sha256")


def sign(key: bytes, text: str) -> str:
    """Return the signature: 64 hex digits."""
    return hmac.digest(key, text.encode(), "sha256").hex()


def days_of(at: datetime) -> tuple[date, ...]:
    """Return the days whose keys may sign a request of this date, the newest first."""
    return _week_to(at.date())


@lru_cache(maxsize=16)
def _week_to(newest: date) -> tuple[date, ...]:
    return tuple(newest - timedelta(days=n) for n in range(min(KEY_DAYS, newest.toordinal())))


def candidates(
    authorization: Authorization, request: Request, at: datetime, hosts: Sequence[str]
) -> Iterator[str]:
    """Return the strings that the client may have signed, one for each host, each when asked for.

    Of a form the parameters are signed in place of the body; some clients sign both.
    """
    hashed = (EMPTY_SHA256, None) if is_form(request) else (None,)
    return (
        string_to_sign(at, canonical_request(request, authorization.signed, host, body))
        for host in hosts
        for body in hashed
    )


def fits(signature: str, keys: Sequence[bytes], texts: Iterable[str]) -> bool:
    """Tell whether one of the keys signs one of the texts so. Takes equally long for every miss."""
    given = signature.encode()
    return any(
        hmac.compare_digest(sign(key, text).encode(), given) for text in texts for key in keys
    )
