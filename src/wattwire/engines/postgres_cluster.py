"""Making a PostgreSQL cluster: all of it or nothing, whenever the power goes."""

import re
import secrets
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wattwire.engines.accounts import Account, hand_over
from wattwire.engines.errors import EngineError, explain_output
from wattwire.engines.postgres_install import Install
from wattwire.engines.private_files import sync_folder
from wattwire.engines.process import Order, run_once
from wattwire.store.queries import load

SUPERUSER: Final = "wattwire_admin"
SECONDS: Final = 180.0
#: The version that brought the builtin locales and initdb --sync-method.
BUILTIN_LOCALES: Final = 17
_STAGING: Final = "new-"
_HARMLESS: Final = re.compile(r"[A-Za-z0-9_-]+")


async def make_cluster(
    install: Install, data: Path, password: str, account: Account | None
) -> None:
    """Make a cluster with the role `hub` and its database `wattwire`, and put it in place at once.

    What an interrupted attempt left is removed. Raises EngineError.
    """
    for old in data.parent.glob(f"{_STAGING}*"):
        shutil.rmtree(old, ignore_errors=True)
    staging = data.with_name(f"{_STAGING}{secrets.token_hex(4)}")
    staging.mkdir(mode=0o700)
    try:
        hand_over(staging, account)
        await _initdb(install, staging, account, _choices(install))
        hurry = ["-F"]  # nothing is lost with a draft; the whole is written out at the end
        await _say(install, staging, account, "make_role_and_database", password, options=hurry)
        await _initdb(install, staging, account, ["--sync-only", *_sync_method(install)])
        staging.rename(data)
        sync_folder(data.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _choices(install: Install) -> list[str]:
    """Return how a cluster is made: text sorts by code point, the same on every machine."""
    since_17 = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return [
        f"--username={SUPERUSER}",
        "--auth=reject",
        "--encoding=UTF8",
        "--no-locale",
        *(since_17 if install.version >= BUILTIN_LOCALES else []),
        "--data-checksums",
        "--no-sync",
        "--no-instructions",
    ]


def _sync_method(install: Install) -> list[str]:
    """Write a thousand new files out with one call, where that is known."""
    known = install.version >= BUILTIN_LOCALES and sys.platform == "linux"
    return ["--sync-method=syncfs"] if known else []


async def _initdb(
    install: Install, data: Path, account: Account | None, options: list[str]
) -> None:
    program = install.program("initdb")
    order = Order([str(program), "-D", str(data), *options], account, [program, data])
    status, output = await run_once(order, seconds=SECONDS)
    if status:
        raise explain_output("initdb", output, data.parent)


async def set_password(
    install: Install, data: Path, password: str, account: Account | None
) -> None:
    """Give the role `hub` a new password while the server is down."""
    await _say(install, data, account, "change_password", password)


async def _say(
    install: Install,
    data: Path,
    account: Account | None,
    statement: str,
    password: str,
    *,
    options: Sequence[str] = (),
) -> None:
    """Run named statements in PostgreSQL's single-user mode, which needs no password."""
    if not _HARMLESS.fullmatch(password):
        raise EngineError("The password of the embedded PostgreSQL is damaged: delete its file")
    program = install.program("postgres")
    command = [str(program), "--single", "-j", "-D", str(data), "-c", "log_min_messages=error"]
    text: str = getattr(load("engine"), statement).format(password=password)
    order = Order([*command, *options, "postgres"], account, [program, data])
    status, output = await run_once(order, sent=f"{text}\n\n".encode(), seconds=SECONDS)
    if status or "ERROR:" in output:
        raise explain_output("postgres --single", output, data.parent)
