"""A folder for a unix socket, with a path that is short enough for one."""

import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Final

from wattwire.engines.accounts import Account
from wattwire.engines.errors import EngineError, explained
from wattwire.engines.private_files import write_private

#: sockaddr_un holds 104 bytes on macOS and 108 on Linux, the last one a zero.
MAX_FOLDER_BYTES: Final = 103 - len("/.s.PGSQL.5432")
_RECORD: Final = "socket_folder"


def socket_folder(folder: Path, account: Account | None) -> Path:
    """Return `folder/sockets`, or a private temporary folder when that is too deep for a socket.

    The temporary one is remembered in `folder`, so that it is the same after a restart.
    """
    with explained(folder):
        inside = folder / "sockets"
        if _fits(inside):
            return _made(inside, account)
        remembered = _remembered(folder / _RECORD)
        if remembered and (chosen := _usable(remembered, account)):
            return chosen
        return _new(folder / _RECORD, account)


def remove_socket_folder(path: Path, folder: Path) -> None:
    """Remove a temporary socket folder after the server's end; leave one inside `folder`."""
    if folder not in path.parents:
        for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
            (path / name).unlink(missing_ok=True)
        path.rmdir()


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= MAX_FOLDER_BYTES


def _made(path: Path, account: Account | None) -> Path:
    path.mkdir(mode=0o700, exist_ok=True)
    if account:
        os.chown(path, *account)
    path.chmod(0o700)
    return path


def _remembered(record: Path) -> Path | None:
    try:
        return Path(record.read_text(encoding="utf-8").strip())
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _usable(path: Path, account: Account | None) -> Path | None:
    """Return the path if it is ours and closed to others; /tmp belongs to everybody."""
    if not path.is_absolute() or not path.name.startswith("wattwire-") or not _fits(path):
        return None
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        ours = {os.geteuid(), account.uid if account else os.geteuid()}
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours or found.st_mode & 0o077:
            return None
    except OSError:
        return None
    return _made(path, account)


def _new(record: Path, account: Account | None) -> Path:
    for place in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - a private folder is made in it
        path = Path(place, f"wattwire-{secrets.token_hex(6)}")
        if _fits(path):
            write_private(record, str(path).encode())
            path.mkdir(mode=0o700)
            return _made(path, account)
    raise EngineError(
        f"{record.parent} is too deep for a socket, and so is {tempfile.gettempdir()}: "
        "choose a folder with a shorter path"
    )
