"""SolarIn over HTTPS: a hub with a CA of its own, and nodes with certificates."""

import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import msgspec
from api_bench import open_bench
from query_world import NOON, World
from solarnetwork_bench import Answer

from wattwire.api.client_certificates import read_certificate
from wattwire.api.server import Secure
from wattwire.engines.certificates import (
    ensure_certificates,
    issue_client_certificate,
    server_context,
)
from wattwire.store import solarnetwork_certificates as certificates

UPLOAD = "/solarin/bulkCollector.do"
JSON = {"content-type": "application/json"}
MILLIS = int(NOON.timestamp() * 1000)


def datum(node=None, source="/power/1", **more):
    """A datum a minute after noon; without a node it is of the node that uploads."""
    named = {} if node is None else {"nodeId": node}
    return {**named, "created": MILLIS + 60_000, "sourceId": source, "i": {"watts": 231}, **more}


@dataclass
class Caller:
    """A client with one connection that it keeps, and perhaps a certificate."""

    url: str
    session: aiohttp.ClientSession

    async def post(self, body, path=UPLOAD, headers=JSON):
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        async with self.session.post(self.url + path, data=data, headers=headers) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path):
        async with self.session.get(self.url + path) as response:
            return Answer(response.status, response.headers, await response.read())


@dataclass
class SecureWorld(World):
    """A world whose hub listens with TLS as well."""

    folder: Path = None
    tls: Path = None
    numbers: list = field(default_factory=list)

    def issue(self, node, life=timedelta(days=1), tls=None):
        """A certificate for a node by the hub's CA, or that of another folder."""
        return issue_client_certificate(tls or self.tls, f"node-{node}", life, user_id=str(node))

    async def allow(self, node, issued, **changed):
        """Let a certificate upload for a node; return its number."""
        read = read_certificate(issued.certificate, node)
        row = await certificates.create(
            self.pool, changed.pop("organization_id", self.organization_id), device_id=node,
            sha256=read.sha256, subject=read.subject, expires_at=read.expires_at,
        )  # fmt: skip
        return row.id

    def context(self, issued=None):
        """A client's side of TLS."""
        context = ssl.create_default_context(cafile=self.tls / "ca.pem")
        if issued is not None:
            self.numbers.append(None)
            pair = self.folder / f"pair-{len(self.numbers)}.pem"
            pair.write_bytes(issued.certificate + issued.key)
            context.load_cert_chain(pair)
        return context

    @asynccontextmanager
    async def caller(self, issued=None, url=None):
        """A client that shows a certificate, or none."""
        connector = aiohttp.TCPConnector(ssl=self.context(issued), limit=1)
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            yield Caller(url or self.bench.https_url, session)

    async def stored(self):
        """(node, source) of all readings but the first."""
        rows = await self.pool.fetch(
            "SELECT s.device_id, s.path FROM reading r JOIN stream s ON s.id = r.stream_id"
            " WHERE r.time > $1 ORDER BY r.time, s.path", NOON,
        )  # fmt: skip
        return [tuple(row) for row in rows]


@asynccontextmanager
async def open_secure_world(pool, database_url, organization_id, folder, *foreign_cas):
    """Open a hub that trusts its own CA, and others, for client certificates."""
    made = ensure_certificates(folder / "tls")
    context = server_context(made.server, made.key, made.ca, *foreign_cas)
    secure = Secure("127.0.0.1", 0, context)
    async with open_bench(pool, database_url, folder, secure=secure) as bench:
        yield SecureWorld(pool, bench, organization_id, folder, folder / "tls")


def long_ago():
    return datetime.now(UTC) - timedelta(hours=1)
