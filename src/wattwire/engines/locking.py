"""A folder that one process uses at a time."""

import fcntl
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

#: Somebody who only looks whether the lock is held keeps it for a moment; then it is free again.
ATTEMPTS: Final = 10
PAUSE_SECONDS: Final = 0.02


class HeldElsewhereError(Exception):
    """Another process holds the lock; `pid` is what its file says, 0 when it says nothing."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"held by pid {pid}")
        self.pid = pid


class FolderLock:
    """An exclusive lock that ends with the process, however it ends.

    The file says who holds it; whether it is held, only the system's lock decides, so that a file
    left behind by `kill -9` or a power cut means nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; do nothing when it is ours already. Raises HeldElsewhereError, OSError."""
        if self._descriptor is not None:
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            self._lock(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _lock(self, descriptor: int) -> None:
        for left in reversed(range(ATTEMPTS)):
            if try_lock(descriptor, fcntl.LOCK_EX):
                break
            if not left:
                raise HeldElsewhereError(holder(self._path))
            time.sleep(PAUSE_SECONDS)
        os.ftruncate(descriptor, 0)
        note = {"pid": os.getpid(), "started_at": datetime.now(UTC)}
        os.pwrite(descriptor, msgspec.json.encode(note), 0)

    def release(self) -> None:
        """Give the lock back; do nothing when it is not ours."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def try_lock(descriptor: int, kind: int) -> bool:
    """Return whether the lock could be had at once."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(path: Path) -> bool:
    """Return whether some process holds the lock in this file. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def holder(path: Path) -> int:
    """Return the pid that the lock's file names, 0 when it names none."""
    with suppress(OSError, msgspec.DecodeError, ValueError, TypeError):
        note: dict[str, Any] = msgspec.json.decode(path.read_bytes()[:1000], type=dict[str, Any])
        return int(note.get("pid", 0))
    return 0
