"""Files that only the hub's account may read; a power cut leaves the old or the new one."""

import errno
import os
import secrets
from pathlib import Path

from wattwire.engines.errors import EngineError, explained


def write_private(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace a file atomically; when this returns, the content survives a power cut."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _write_new(draft, content, mode)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(descriptor, mode)  # whatever the umask
        os.fsync(descriptor)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_password(path: Path) -> str | None:
    """Return the password kept in a file; None when there is none yet."""
    try:
        return path.read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise EngineError(f"{path} is damaged: delete it, a new password is made") from error


def make_password(path: Path) -> str:
    """Make a password of 192 random bits (letters, digits, - and _) and keep it in a file."""
    password = secrets.token_urlsafe(24)
    write_private(path, password.encode())
    return password


def prepare_folder(path: Path, mode: int = 0o700) -> None:
    """Make a folder that the hub may write to, parents included; raises EngineError."""
    with explained(path):
        path.mkdir(mode=mode, parents=True, exist_ok=True)
        if path.stat().st_uid == os.geteuid():
            path.chmod(mode)
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "not writable", str(path))
