"""The one folder that holds everything a hub keeps, used by one hub at a time."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from wattwire.engines.errors import EngineError, explained, user_name
from wattwire.engines.locking import FolderLock, HeldElsewhereError, is_held
from wattwire.engines.private_files import write_private

LOCK: Final = "hub.lock"
RUNTIME: Final = "run"
HUB_INFO: Final = "hub.json"
KEY_FILE: Final = "secret.key"  #: unless the settings name another file
#: What a fresh disk or volume holds of itself.
_HARMLESS: Final = {"lost+found", LOCK}


class DataDirError(EngineError):
    """The folder cannot hold a hub's data."""


class DataDirBusyError(DataDirError):
    """Another hub runs on the folder."""

    def __init__(self, pid: int, path: Path) -> None:
        super().__init__(
            f"another hub (pid {pid}) runs on {path}; stop it or give --data-dir"
            if pid
            else f"another hub runs on {path}; stop it or give --data-dir"
        )
        self.pid = pid


class DataDir:
    """The folder, locked for this process until `close()` or the end of the `with` block.

    Raises DataDirBusyError when another hub has it and EngineError when it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        with explained(self.path):
            _prepare(self.path)
            self._lock = FolderLock(self.path / LOCK)
            try:
                self._lock.acquire()
            except HeldElsewhereError as error:
                raise DataDirBusyError(error.pid, self.path) from error
            self.clear_hub_info()

    @property
    def postgres(self) -> Path:
        """Folder of the embedded PostgreSQL."""
        return self.path / "postgres"

    @property
    def nats(self) -> Path:
        """Folder of the embedded NATS."""
        return self.path / "nats"

    @property
    def tls(self) -> Path:
        """Folder of the CA and the certificates."""
        return self.path / "tls"

    @property
    def secret_key(self) -> Path:
        """File of the key that seals secrets."""
        return self.path / KEY_FILE

    @property
    def runtime(self) -> Path:
        """Folder of what is true only while the hub runs."""
        return self.path / RUNTIME

    def write_hub_info(self, info: Mapping[str, Any]) -> None:
        """Tell commands how to reach the hub; passwords included, so for our account only."""
        with explained(self.runtime):
            self.runtime.mkdir(mode=0o700, exist_ok=True)
            write_private(self.runtime / HUB_INFO, msgspec.json.encode(dict(info)))

    def clear_hub_info(self) -> None:
        """Forget how to reach the hub; the next start forgets what a killed hub left."""
        (self.runtime / HUB_INFO).unlink(missing_ok=True)

    def close(self) -> None:
        """Forget how to reach the hub and let another have the folder."""
        self.clear_hub_info()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_hub_info(path: Path) -> dict[str, Any] | None:
    """Return what the hub running on a data folder wrote; None when none runs or it is not ready.

    Raises EngineError when the folder may not be read.
    """
    folder = path.expanduser().absolute()
    with explained(folder):
        if not is_held(folder / LOCK):
            return None
        try:
            written = (folder / RUNTIME / HUB_INFO).read_bytes()
        except FileNotFoundError:
            return None
    info: dict[str, Any] = msgspec.json.decode(written, type=dict[str, Any])
    return info


def _prepare(path: Path) -> None:
    """Make the folder, closed to others; refuse one that others could change."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError(13, "not writable", str(path))
    if found.st_uid == os.geteuid() and _is_ours(path):
        path.chmod(0o700)
    elif found.st_mode & stat.S_IWOTH:
        raise DataDirError(
            f"{path} belongs to {user_name(found.st_uid)} and everybody may write to it: "
            "give a folder of the hub's own with --data-dir"
        )


def _is_ours(path: Path) -> bool:
    """Whether a hub has used the folder, or nobody has; any other keeps its permissions."""
    names = set(os.listdir(path))  # noqa: PTH208 - names alone are wanted
    return LOCK in names or names <= _HARMLESS
