"""Secrets at rest: sealed with AES-256-GCM under keys that live in a file of the hub's own.

A sealed blob is `WS1`, 8 bytes that name the key, 12 random bytes, then the cipher text with its
tag. What it was sealed for (its context) is bound to it: moved elsewhere, it does not open.
"""

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wattwire.engines.errors import EngineError, explained
from wattwire.engines.private_files import write_private

MAGIC: Final = b"WS1"
KEY_BYTES: Final = 32
ID_BYTES: Final = 8
NONCE_BYTES: Final = 12
_HEADER_BYTES: Final = len(MAGIC) + ID_BYTES


class SealError(EngineError):
    """Something sealed does not open, or the key file cannot be used."""


class Sealer:
    """Seals and unseals. Shows nothing of its keys when printed."""

    def __init__(self, path: Path, keys: Sequence[bytes]) -> None:
        self._path = path
        self._seen = _look_of(path)
        self._keys: dict[bytes, AESGCM] = {}
        self._take(keys)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the key file, or make it (mode 0600) with one new key. Raises EngineError."""
        path = path.expanduser().absolute()
        with explained(path):
            if not path.exists():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _write(path, [_new_key()])
            return cls(path, _read(path))

    def __repr__(self) -> str:
        return f"Sealer({str(self._path)!r}, {len(self._keys)} keys)"

    def seal(self, data: bytes, *, context: str) -> bytes:
        """Return the data locked under the current key, to be opened with the same context only.

        The key file is looked at each time: a command may have made a new key meanwhile.
        """
        self._follow()
        header = self.header
        nonce = os.urandom(NONCE_BYTES)
        return (
            header + nonce + self._keys[self._current].encrypt(nonce, data, _bound(header, context))
        )

    def unseal(self, blob: bytes, *, context: str) -> bytes:
        """Return what was sealed. Raises SealError if it was changed, moved, or its key is gone."""
        header = bytes(blob[:_HEADER_BYTES])
        nonce = bytes(blob[_HEADER_BYTES : _HEADER_BYTES + NONCE_BYTES])
        if not header.startswith(MAGIC) or len(nonce) != NONCE_BYTES:
            raise SealError(
                f"What is stored for {context} was not sealed by this hub: enter it again"
            )
        try:
            return self._key(header[len(MAGIC) :], context).decrypt(
                nonce, bytes(blob[_HEADER_BYTES + NONCE_BYTES :]), _bound(header, context)
            )
        except InvalidTag as error:
            raise SealError(
                f"What is stored for {context} was changed since it was sealed: enter it again"
            ) from error

    def bound(self, context: str) -> "BoundSealer":
        """Return a sealer for one context, as the store wants it."""
        return BoundSealer(self, context)

    def add_key(self) -> None:
        """Make a new current key. What older keys sealed still opens; `reseal` brings it over."""
        with explained(self._path):
            keys = [_new_key(), *_read(self._path)]
            _write(self._path, keys)
        self._take(keys)

    def drop_old_keys(self) -> None:
        """Keep the current key alone, once everything is sealed with it."""
        with explained(self._path):
            keys = _read(self._path)[:1]
            _write(self._path, keys)
        self._keys = {}
        self._take(keys)

    @property
    def header(self) -> bytes:
        """What every blob begins with that is sealed with the current key."""
        return MAGIC + self._current

    def key_name(self) -> str:
        """Return the name of the current key, which tells nothing about it."""
        return self._current.hex()

    def key_count(self) -> int:
        """Return how many keys the file has now: more than one while a rotation is under way."""
        with explained(self._path):
            return len(_read(self._path))

    def changed_at(self) -> float:
        """Return when the key file was written, as a Unix time."""
        with explained(self._path):
            return self._path.stat().st_mtime

    def is_current(self, blob: bytes) -> bool:
        """Return whether a blob is sealed with the current key."""
        return bytes(blob[:_HEADER_BYTES]) == self.header

    def reseal(self, blob: bytes, *, context: str) -> bytes:
        """Return the blob sealed with the current key; the same blob when it is already."""
        if self.is_current(blob):
            return blob
        return self.seal(self.unseal(blob, context=context), context=context)

    def _take(self, keys: Sequence[bytes]) -> None:
        """Use these keys; those known before still open what this process has in memory."""
        self._keys = self._keys | {_id(key): AESGCM(key) for key in keys}
        self._current = _id(keys[0])

    def _follow(self) -> None:
        """Take the keys of the file when it was written since we read it."""
        look = _look_of(self._path)
        if look is not None and look != self._seen:
            with explained(self._path):
                self._take(_read(self._path))
            self._seen = look

    def _key(self, key_id: bytes, context: str) -> AESGCM:
        """Return a key by its id; look into the file again, another process may have added one."""
        if key_id not in self._keys:
            with explained(self._path):
                self._take(_read(self._path))
        try:
            return self._keys[key_id]
        except KeyError as error:
            raise SealError(
                f"What is stored for {context} was sealed with key {key_id.hex()}, which is not in "
                f"{self._path}: restore that file from a backup, or enter the secret again"
            ) from error


class BoundSealer:
    """Seals and opens for one context."""

    def __init__(self, sealer: Sealer, context: str) -> None:
        self._sealer = sealer
        self._context = context

    def seal(self, plain: bytes) -> bytes:
        """Return the bytes sealed."""
        return self._sealer.seal(plain, context=self._context)

    def open(self, sealed: bytes) -> bytes:
        """Return what was sealed. Raises SealError."""
        return self._sealer.unseal(sealed, context=self._context)


def _look_of(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written; None when it cannot be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _bound(header: bytes, context: str) -> bytes:
    return header + context.encode()


def _new_key() -> bytes:
    return AESGCM.generate_key(bit_length=KEY_BYTES * 8)


def _id(key: bytes) -> bytes:
    """Return the name of a key, which tells nothing about it."""
    return hashlib.sha256(b"wattwire key id" + key).digest()[:ID_BYTES]


def _write(path: Path, keys: Sequence[bytes]) -> None:
    note = (
        b"# Keys of the hub, newest first. Whoever has them can read every secret; keep a copy.\n"
    )
    write_private(path, note + b"".join(base64.b64encode(key) + b"\n" for key in keys))


def _read(path: Path) -> list[bytes]:
    if path.stat().st_mode & stat.S_IRWXO:
        raise SealError(f"{path} holds the hub's keys and others may read it: chmod 600 {path}")
    lines = [line.strip() for line in path.read_bytes()[:65536].splitlines()]
    try:
        keys = [base64.b64decode(x, validate=True) for x in lines if x and not x.startswith(b"#")]
    except binascii.Error as error:
        raise _damaged(path) from error
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise _damaged(path)
    return keys


def _damaged(path: Path) -> SealError:
    return SealError(
        f"{path} holds no keys of the hub, one on a line: restore it from a backup, or delete it "
        "and enter every secret again"
    )
