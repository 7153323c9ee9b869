"""AWS Signature Version 4 for one kind of request: a POST to `/` with its body in memory. Pure.

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

ALGORITHM: Final = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    """Keys, for as long as they are valid."""

    access_key: str
    secret_key: str
    token: str | None = None


class Scope(NamedTuple):
    """What a signature is good for, besides its day."""

    region: str
    service: str


def signed(
    headers: Mapping[str, str],
    body: bytes,
    host: str,
    scope: Scope,
    keys: Credentials,
    now: datetime,
) -> dict[str, str]:
    """Return the headers of the request, signature included. Names are lower case; now is UTC."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    all_headers = {**headers, "host": host, "x-amz-date": stamp}
    if keys.token:
        all_headers["x-amz-security-token"] = keys.token
    names = sorted(all_headers)
    listed = ";".join(names)
    canonical = "\n".join(
        ("POST", "/", "", *(f"{n}:{' '.join(all_headers[n].split())}" for n in names), "", listed)
    )
    canonical = f"{canonical}\n{hashlib.sha256(body).hexdigest()}"
    place = f"{stamp[:8]}/{scope.region}/{scope.service}/aws4_request"
    text = f"{ALGORITHM}\n{stamp}\n{place}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = _key(keys.secret_key, stamp[:8], scope)
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    all_headers["authorization"] = (
        f"{ALGORITHM} Credential={keys.access_key}/{place}, "
        f"SignedHeaders={listed}, Signature={signature}"
    )
    return all_headers


@lru_cache(maxsize=256)
def _key(secret: str, day: str, scope: Scope) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
