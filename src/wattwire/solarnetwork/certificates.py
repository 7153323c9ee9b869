"""Client certificates that were shown lately, and the nodes they stand for.

A certificate counts by its fingerprint, which `api.wire` takes from the TLS handshake of the
connection. The handshake has checked the authority that signed it; what else there is to know, that
somebody allowed this certificate for a node and nobody revoked it, is remembered for seconds and
forgotten when it changes. Bounded, fingerprints that nobody allowed included.
"""

from datetime import UTC, datetime
from typing import Any, Final

from wattwire.api.memory import Memory
from wattwire.store import solarnetwork_certificates as certificates
from wattwire.store.solarnetwork_certificates import Bearer
from wattwire.store.watch import EVERYTHING

#: A device's deletion takes its certificates along.
_TABLES: Final = frozenset({"solarnetwork_certificate", "organization", EVERYTHING})


class NodeCertificates:
    """Tells whose a certificate is."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._bearers: Memory[bytes, Bearer | None] = Memory(
            lambda sha256: certificates.find_bearer(pool, sha256), worth_keeping=lambda _: True
        )

    def forget(self, table: str, _key: str) -> None:
        """Drop what a changed row of configuration may have made wrong."""
        if table in _TABLES:
            self._bearers.clear()

    async def identify(self, sha256: bytes) -> Bearer | None:
        """Return whom the fingerprint stands for; None when unknown, revoked or over."""
        entry = await self._bearers.find(sha256)
        bearer = entry.value
        if bearer is None or bearer.expires_at <= datetime.now(UTC):
            return None
        if entry.must_be_touched():
            await certificates.touch(self._pool, bearer.id)
        return bearer
