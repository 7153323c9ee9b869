"""Client certificates that were shown lately, and the nodes they stand for.

A certificate counts by its fingerprint, which `api.wire` takes from the TLS handshake of the
connection. The handshake has checked the authority that signed it; what else there is to know, that
somebody allowed this certificate for a node and nobody revoked it, is remembered for seconds and
forgotten when it changes. Bounded, fingerprints that nobody allowed included.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from wattwire.store import solarnetwork_certificates as certificates
from wattwire.store.solarnetwork_certificates import Bearer
from wattwire.store.watch import EVERYTHING

_REMEMBERED_SECONDS: Final = 10.0
_MAX_REMEMBERED: Final = 10_000
_TOUCH_SECONDS: Final = 60.0
#: A device's deletion takes its certificates along.
_TABLES: Final = frozenset({"solarnetwork_certificate", "organization", EVERYTHING})


@dataclass(slots=True)
class _Remembered:
    bearer: Bearer | None
    until: float
    touched: float = 0.0


class NodeCertificates:
    """Tells whose a certificate is."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._known: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._changes = 0

    def forget(self, table: str, _key: str) -> None:
        """Drop what a changed row of configuration may have made wrong."""
        if table in _TABLES:
            self._changes += 1
            self._known.clear()

    async def identify(self, sha256: bytes) -> Bearer | None:
        """Return whom the fingerprint stands for; None when unknown, revoked or over."""
        entry = await self._find(sha256)
        bearer = entry.bearer
        if bearer is None or bearer.expires_at <= datetime.now(UTC):
            return None
        now = time.monotonic()
        if not entry.touched or now - entry.touched >= _TOUCH_SECONDS:
            entry.touched = now
            await certificates.touch(self._pool, bearer.id)
        return bearer

    async def _find(self, sha256: bytes) -> _Remembered:
        now = time.monotonic()
        entry = self._known.get(sha256)
        if entry is not None and entry.until > now:
            return entry
        changes = self._changes
        bearer = await certificates.find_bearer(self._pool, sha256)
        touched = entry.touched if entry else 0.0
        found = _Remembered(bearer, now + _REMEMBERED_SECONDS, touched)
        if changes == self._changes:  # else it may have been revoked while it was fetched
            self._keep(sha256, found)
        return found

    def _keep(self, sha256: bytes, found: _Remembered) -> None:
        self._known[sha256] = found
        self._known.move_to_end(sha256)
        if len(self._known) > _MAX_REMEMBERED:
            self._known.popitem(last=False)
