"""Who comes in at the MQTT door."""

import hashlib
import hmac
import os
from typing import Any, Final

from wattwire.mqtt.contract import Principal
from wattwire.store import doors
from wattwire.store.passwords import verify_password

MAX_REMEMBERED: Final = 100_000


class Logins:
    """Checks user names, passwords and certificates.

    A password that was right once is remembered as a keyed hash, so that ten thousand meters that
    come back after a power cut cost no ten thousand slow hashes. The credential itself is read at
    every connection: what is revoked stays out.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._key = os.urandom(32)
        self._right: dict[tuple[int, str], bytes] = {}

    async def find(
        self, username: str | None, password: bytes | None, certificate_sha256: bytes | None
    ) -> Principal | None:
        """Return the principal, or None. Takes the same time for names that do not exist."""
        async with self._pool.acquire(timeout=10) as connection:
            row = await doors.find_login(connection, username, certificate_sha256)
        if row is not None and row["certificate_sha256"] is not None:
            if not hmac.compare_digest(row["certificate_sha256"], certificate_sha256 or b""):
                return None  # bound to a certificate that this connection does not show
            if row["password_hash"] is None:
                return principal_of(row)
        if password is None:
            return None
        return principal_of(row) if await self._by_password(row, password) else None

    async def _by_password(self, row: Any, password: bytes) -> bool:
        digest = hmac.digest(self._key, password, hashlib.sha256)
        stored = row["password_hash"] if row is not None else None
        if stored is not None:
            known = self._right.get((row["id"], stored))
            if known is not None and hmac.compare_digest(known, digest):
                return True
        try:
            text = password.decode()
        except UnicodeDecodeError:
            text = "\N{REPLACEMENT CHARACTER}"  # no password is this one character
            stored = None
        right = await verify_password(text, stored)
        if right:
            if len(self._right) >= MAX_REMEMBERED:
                self._right.clear()
            self._right[row["id"], row["password_hash"]] = digest
        return right


def principal_of(row: Any) -> Principal:
    """Return a row of `mqtt_credential` as who it stands for."""
    return Principal(
        credential_id=row["id"],
        organization_id=row["organization_id"],
        username=row["username"],
        publish=tuple(row["publish_topics"]),
        subscribe=tuple(row["subscribe_topics"]),
        format=row["format"],
        settings=row["settings"],
    )
