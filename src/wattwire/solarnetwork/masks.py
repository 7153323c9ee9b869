"""Secrets as SolarNetwork shows them: a salted digest, made anew each time it is shown. Pure."""

import base64
import hashlib
import os
import re
from typing import Any, Final

import msgspec

_SALT_BYTES: Final = 8
_DIGEST: Final = re.compile(r"\{\w+(?:-\d+)?\}.*", re.ASCII | re.DOTALL)


def mask(value: Any, salt: bytes | None = None) -> str:
    """Return the digest of a secret: its SHA-256 with the salt, and the salt, in base64."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    salt = os.urandom(_SALT_BYTES) if salt is None else salt
    digest = hashlib.sha256(text.encode("utf-8", "replace") + salt).digest()
    name = "SSHA-256" if salt else "SHA-256"
    return f"{{{name}}}{base64.b64encode(digest + salt).decode()}"


def stays(posted: Any) -> bool:
    """Tell whether a posted secret leaves the stored one: missing, empty, or looks like a digest.

    So a secret that itself looks like `{x}y` cannot be stored by an update.
    """
    return posted in (None, "") or (isinstance(posted, str) and bool(_DIGEST.fullmatch(posted)))
