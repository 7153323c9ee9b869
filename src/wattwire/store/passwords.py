"""Passwords: hashed with Argon2id, in threads, few at a time so that nobody exhausts memory."""

import asyncio
import secrets
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

#: RFC 9106, second recommended option, with less memory and more passes: 19 MiB each.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_AT_ONCE: Final = 4
MAX_LENGTH: Final = 1024

_decoy: str | None = None
_gates: dict[int, asyncio.Semaphore] = {}


def make_password() -> str:
    """Return a new random password of 24 characters (144 bits)."""
    return secrets.token_urlsafe(18)


async def hash_password(password: str) -> str:
    """Return the Argon2id hash of a password, in PHC format."""
    async with _gate():
        return await asyncio.to_thread(_HASHER.hash, password)


async def verify_password(password: str, password_hash: str | None) -> bool:
    """Say whether the password fits; takes the same time when there is no hash to compare with."""
    if len(password) > MAX_LENGTH:
        return False
    async with _gate():
        return await asyncio.to_thread(_verify, password, password_hash)


def _verify(password: str, password_hash: str | None) -> bool:
    try:
        return (
            _HASHER.verify(password_hash or _decoy_hash(), password) and password_hash is not None
        )
    except (Argon2Error, InvalidHashError):
        return False


def _decoy_hash() -> str:
    """Stand in for the hash of a name that does not exist."""
    global _decoy  # noqa: PLW0603 - made once, on first use: hashing takes long
    if _decoy is None:
        _decoy = _HASHER.hash(make_password())
    return _decoy


def _gate() -> asyncio.Semaphore:
    """Return the running loop's semaphore; loops of the past are forgotten."""
    key = id(asyncio.get_running_loop())
    if key not in _gates:
        _gates.clear()
        _gates[key] = asyncio.Semaphore(_AT_ONCE)
    return _gates[key]
