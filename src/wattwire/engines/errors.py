"""What can go wrong with the engines, and the one sentence a person reads about it.

EngineError
├── DataDirError            (datadir.py)
│   └── DataDirBusyError    (datadir.py)
├── SealError               (secrets.py)
└── CertificateError        (certificates.py)
"""

import errno
import os
import pwd
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_FULL: Final = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN: Final = {errno.EACCES, errno.EPERM}
_NO_FOLDER: Final = {errno.ENOTDIR, errno.EEXIST}
#: How the two servers mark the line that says why they end.
_GRAVE: Final = re.compile(r"(?:ERROR:|FATAL:|PANIC:|\[FTL\]|\[ERR\]|error:)\s+(.*)")


_SAYS_FULL: Final = re.compile("no space left on device|check free disk space", re.IGNORECASE)
#: No server starts with less.
_LEAST_BYTES: Final = 4 * 1024 * 1024


class EngineError(Exception):
    """An engine cannot be used. The message is one sentence that says what to do."""


def user_name(uid: int) -> str:
    """Return the name of an account, or its number when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def disk_full(path: Path) -> EngineError:
    """Return the sentence for a full disk."""
    return EngineError(f"The disk that holds {path} is full: free some space, then start again")


def explain_os_error(error: OSError, path: Path) -> EngineError:
    """Return the sentence for what the system refused to do with `path`, or with a file in it."""
    if error.errno in _FULL:
        return disk_full(path)
    if error.errno in _FORBIDDEN:
        return _forbidden(path)
    if error.errno == errno.EROFS:
        return EngineError(f"{path} is on a read-only file system: choose another folder")
    if error.errno in _NO_FOLDER:
        return EngineError(f"{path} cannot be used as a folder, a file is in the way: move it away")
    return EngineError(f"{path} cannot be used: {error.strerror or error}")


def _forbidden(path: Path) -> EngineError:
    me = user_name(os.geteuid())
    owner = user_name(_nearest(path).stat().st_uid)
    if owner == me:
        return EngineError(f"{me} may not write to {path}: correct it with chmod u+rwx {path}")
    return EngineError(
        f"{path} belongs to {owner}, and the hub runs as {me}: "
        f"run it as {owner}, or hand the folder over with chown -R {me} {path}"
    )


def _nearest(path: Path) -> Path:
    """Return the path itself, or the innermost folder above it that can be seen."""
    return next(p for p in (path, *path.parents) if os.access(p, os.F_OK))


def _is_full(folder: Path) -> bool:
    disk = os.statvfs(_nearest(folder))
    return disk.f_bavail * disk.f_frsize < _LEAST_BYTES


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError inside the context into an EngineError about `path`."""
    try:
        yield
    except OSError as error:
        raise explain_os_error(error, path) from error


def explain_output(name: str, output: str, folder: Path) -> EngineError:
    """Return the sentence for a server that ended, from what it wrote last."""
    if _SAYS_FULL.search(output) or _is_full(folder):
        return disk_full(folder)
    reasons = _GRAVE.findall(output)
    last = reasons[-1] if reasons else (output.strip().splitlines() or ["it said nothing"])[-1]
    return EngineError(f"{name} did not start: {last.strip()} (folder {folder})")
