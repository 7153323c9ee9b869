"""The account an engine runs under when the hub runs as root, which PostgreSQL refuses."""

import os
import pwd
from pathlib import Path
from typing import Final, NamedTuple

from wattwire.engines.errors import EngineError

#: An account made for the hub wins; `nobody` is everywhere.
PREFERRED: Final = ("wattwire", "postgres", "nobody")


class Account(NamedTuple):
    """Who an engine runs as."""

    uid: int
    gid: int


def account_for(data: Path) -> Account | None:
    """Return who owns the data, or a preferred account for data that is new or root's own.

    None when the hub does not run as root: an engine then runs as the hub does.
    """
    if os.geteuid() != 0:
        return None
    if data.exists() and (found := data.stat()).st_uid != 0:
        return Account(found.st_uid, found.st_gid)
    return _preferred()


def _preferred() -> Account:
    for name in PREFERRED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EngineError(
        "PostgreSQL refuses to run as root, and no account is named wattwire, postgres or nobody: "
        "make one with useradd --system wattwire, or run the hub as an ordinary user"
    )


def hand_over(folder: Path, account: Account | None) -> None:
    """Give a folder and everything in it to the account, unless it has it already."""
    if account is None or folder.stat().st_uid == account.uid:
        return
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(parent, name), *account, follow_symlinks=False)
    os.chown(folder, *account)  # last: a walk that was interrupted begins again
