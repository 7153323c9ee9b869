"""A client for SolarNetwork's face that signs by the contract, not with our code."""

import base64
import hashlib
import hmac
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec
from solarnetwork_document import check

from wattwire.store import solarnetwork

BASE = "/solaruser/api/v1/sec/user/event/node"
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def http_date(at):
    return f"{DAYS[at.weekday()]}, {at:%d} {MONTHS[at.month - 1]} {at:%Y} {at:%H:%M:%S} GMT"


def _mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(secret, *, method, path, query, headers, body, at, key_day=None):
    """The signature by the contract's text."""
    names = sorted(headers)
    pairs = sorted(parse_qsl(query, keep_blank_values=True), key=lambda p: p[0])
    canonical = "\n".join(
        [
            method,
            path,
            "&".join(f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in pairs),
            *(f"{n}:{' '.join(headers[n].split())}" for n in names),
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"SNWS2-HMAC-SHA256\n{at:%Y%m%dT%H%M%SZ}\n{hashed}"
    day = _mac(f"SNWS2{secret}".encode(), f"{(key_day or at):%Y%m%d}")
    return _mac(_mac(day, "snws2_request"), text).hex()


@dataclass
class Answer:
    status: int
    headers: object
    body: bytes

    @property
    def json(self):
        return msgspec.json.decode(self.body)

    @property
    def data(self):
        assert self.status == 200, (self.status, self.body)
        return self.json["data"]


class SolarNetworkClient:
    """Calls the hub with one token."""

    def __init__(self, bench, token_id, secret):
        self._bench = bench
        self.token_id = token_id
        self.secret = secret

    def sign(self, method, target, body=b"", *, at=None, host=None, key_day=None, **extra):
        """The headers of a signed request."""
        at = at or datetime.now(UTC)
        url = urlsplit(target)
        headers = {"host": host or self._bench.url.removeprefix("http://")}
        headers["x-sn-date"] = http_date(at)
        if body:
            headers["content-type"] = "application/json;charset=UTF-8"
            digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
            headers["digest"] = f"sha-256={digest}"
        headers |= extra
        signed = signature(
            self.secret, method=method, path=url.path, query=url.query, headers=headers,
            body=body, at=at, key_day=key_day,
        )  # fmt: skip
        headers["authorization"] = (
            f"SNWS2 Credential={self.token_id},SignedHeaders={';'.join(sorted(headers))},"
            f"Signature={signed}"
        )
        return headers

    async def send(self, method, target, headers, body=b""):
        from yarl import URL

        async with self._bench.session.request(
            method, URL(self._bench.url + target, encoded=True), headers=headers,
            data=io.BytesIO(body) if body else None,
            skip_auto_headers=["Content-Type", "User-Agent", "Accept"],
        ) as response:  # fmt: skip
            answer = Answer(response.status, response.headers, await response.read())
        content_type = answer.headers.get("Content-Type", "")
        check(method, urlsplit(target).path, answer.status, content_type, answer.body)
        return answer

    async def call(self, method, target, json=None, *, unsigned=None, body=b"", **signing):
        if json is not None:
            body = msgspec.json.encode(json)
        headers = self.sign(method, target, body, **signing)
        return await self.send(method, target, {**headers, **(unsigned or {})}, body)

    async def get(self, target, **arguments):
        return await self.call("GET", target, **arguments)

    async def post(self, target, json, **arguments):
        return await self.call("POST", target, json, **arguments)

    async def delete(self, target, **arguments):
        return await self.call("DELETE", target, **arguments)


async def make_client(bench, organization_id, kind="User", expires_at=None, **policy):
    token, secret = await solarnetwork.create(
        bench.pool, bench.hub.sealer, organization_id,
        name="test", kind=kind, policy=policy, expires_at=expires_at,
    )  # fmt: skip
    return SolarNetworkClient(bench, token.id, secret)
