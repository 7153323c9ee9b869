"""AWS Signature Version 4 for requests whose body is in memory. Pure.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. The SDK
signs the same way, but spends two milliseconds on a call around it; a batch of ten messages has to
cost a tenth of that.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote

ALGORITHM: Final = "AWS4-HMAC-SHA256"
#: S3 signs the path as it is sent, and wants to hear the hash of the body.
_S3: Final = "s3"


class Credentials(NamedTuple):
    """Keys, for as long as they are valid."""

    access_key: str
    secret_key: str
    token: str | None = None


class Scope(NamedTuple):
    """What a signature is good for, besides its day."""

    region: str
    service: str


class Request(NamedTuple):
    """What is to be signed."""

    method: str
    path: str  #: percent-encoded, as it is sent, without dot segments
    query: str  #: percent-encoded and sorted, without the question mark
    headers: Mapping[str, str]  #: names in lower case
    body: bytes


def signed(
    request: Request, host: str, scope: Scope, keys: Credentials, now: datetime
) -> dict[str, str]:
    """Return the headers of the request, signature included. `now` is UTC."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    body_hash = hashlib.sha256(request.body).hexdigest()
    headers = {**request.headers, "host": host, "x-amz-date": stamp}
    if keys.token:
        headers["x-amz-security-token"] = keys.token
    if scope.service == _S3:
        headers["x-amz-content-sha256"] = body_hash
    listed = ";".join(sorted(headers))
    canonical = _canonical(request, headers, listed, scope.service)
    place = f"{stamp[:8]}/{scope.region}/{scope.service}/aws4_request"
    digest = hashlib.sha256(f"{canonical}\n{body_hash}".encode()).hexdigest()
    text = f"{ALGORITHM}\n{stamp}\n{place}\n{digest}"
    signature = hmac.digest(_key(keys.secret_key, stamp[:8], scope), text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"{ALGORITHM} Credential={keys.access_key}/{place}, "
        f"SignedHeaders={listed}, Signature={signature}"
    )
    return headers


def _canonical(request: Request, headers: Mapping[str, str], listed: str, service: str) -> str:
    path = request.path if service == _S3 else _encoded_again(request.path)
    lines = (f"{name}:{' '.join(headers[name].split())}" for name in listed.split(";"))
    return "\n".join((request.method, path, request.query, *lines, "", listed))


@lru_cache(maxsize=4096)
def _encoded_again(path: str) -> str:
    return quote(path, safe="/~")


@lru_cache(maxsize=256)
def _key(secret: str, day: str, scope: Scope) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
