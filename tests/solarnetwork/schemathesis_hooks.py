"""Signs what schemathesis sends, as SolarNetwork's clients do: by the contract, not with our code.

Loaded by `schemathesis run`, with the token in the environment.
"""

import base64
import hashlib
import os
from datetime import UTC, datetime
from urllib.parse import urlsplit

import requests
import schemathesis
from solarnetwork_bench import http_date, signature


class Signing(requests.auth.AuthBase):
    """Signs a request when everything in it is settled."""

    def __call__(self, request):
        at = datetime.now(UTC)
        url = urlsplit(request.url)
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        signed = {"host": url.netloc, "x-sn-date": http_date(at)}
        if body:
            digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
            signed["digest"] = f"sha-256={digest}"
        if "Content-Type" in request.headers:
            kind = request.headers["Content-Type"]
            signed["content-type"] = kind if isinstance(kind, str) else kind.decode("latin-1")
        code = signature(
            os.environ["SN_SECRET"], method=request.method, path=url.path, query=url.query,
            headers=signed, body=body, at=at,
        )  # fmt: skip
        request.headers.update(
            {n: v for n, v in signed.items() if n not in {"host", "content-type"}}
        )
        request.headers["Authorization"] = (
            f"SNWS2 Credential={os.environ['SN_TOKEN']},"
            f"SignedHeaders={';'.join(sorted(signed))},Signature={code}"
        )
        return request


schemathesis.auth.set_from_requests(Signing())
