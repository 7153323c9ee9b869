"""Runs between fork and exec of an engine: gives up root, asks to die with the hub, becomes it.

Called as a script, `python -I -S launch.py PARENT FAREWELL ACCOUNT COUNT PATH... COMMAND...`:

PARENT    pid of the hub; the engine is not started when it is gone already
FAREWELL  number of the signal the engine gets when the hub dies (Linux)
ACCOUNT   `UID:GID` to become, or `-` to stay
COUNT     how many PATHs follow: what the account must be able to enter or run

A process of its own, because code between fork and exec inside the hub could meet a lock that
another thread held. It imports the standard library only. A refusal is one line on standard error.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

# linux/prctl.h and linux/capability.h
PR_SET_PDEATHSIG: Final = 1
PR_SET_KEEPCAPS: Final = 8
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_RAISE: Final = 2
CAPABILITY_VERSION_3: Final = 0x20080522
CAP_DAC_OVERRIDE: Final = 1
CAP_DAC_READ_SEARCH: Final = 2
#: What may lift the account over a closed folder, the lesser power first. Containers often have
#: only the second.
LIFTS: Final = (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE)
LINUX: Final = sys.platform == "linux"
REFUSED: Final = 126


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Word(ctypes.Structure):
    """32 capabilities of each set; the kernel wants two words."""

    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def main(arguments: Sequence[str]) -> NoReturn:
    """Do what the module says; end the process with status 126 when it cannot be done."""
    parent, farewell, account, count, *rest = arguments
    paths, command = rest[: int(count)], rest[int(count) :]
    os.umask(0o077)
    if account != "-":
        uid, _, gid = account.partition(":")
        _become(int(uid), int(gid))
        _reach(paths)
    _die_with(int(parent), int(farewell))
    _forget_python_signals()
    try:
        os.execv(command[0], command)  # noqa: S606 - the hub's own command; no shell is the point
    except OSError as error:
        _refuse(f"{command[0]} cannot be run: {error.strerror}")


def _refuse(reason: str) -> NoReturn:
    sys.stderr.write(f"error: {reason}\n")
    sys.exit(REFUSED)


def _become(uid: int, gid: int) -> None:
    """Drop root for good. On Linux the capabilities stay permitted until `_reach` decides."""
    os.setgroups([])
    if LINUX:
        _prctl(PR_SET_KEEPCAPS, 1)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    else:  # macOS has no setresuid; for root, setuid sets all three
        os.setgid(gid)
        os.setuid(uid)


def _reach(paths: Sequence[str]) -> None:
    """Keep no capability if every path can be reached without; else the one that is enough."""
    blocked = _blocked(paths)
    if LINUX and blocked:
        permitted = _permitted()
        for lift in (c for c in LIFTS if permitted >> c & 1):
            _set_capabilities(effective=1 << lift, permitted=permitted)
            if not _blocked(paths):
                _keep_only(lift)
                return
    if blocked:
        _refuse(
            f"PostgreSQL refuses to run as root, and its own account cannot get at {blocked}: "
            "run the hub as an ordinary user, or move what is closed to where others may enter"
        )
    if LINUX:
        _set_capabilities(effective=0, permitted=0)


def _blocked(paths: Sequence[str]) -> str | None:
    return next((p for p in paths if not os.access(p, os.X_OK, effective_ids=LINUX)), None)


def _keep_only(capability: int) -> None:
    bit = 1 << capability
    _set_capabilities(effective=bit, permitted=bit, inheritable=bit)
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def _permitted() -> int:
    words = (_Word * 2)()
    _call("capget", ctypes.byref(_Header(CAPABILITY_VERSION_3, 0)), words)
    return int(words[0].permitted)


def _set_capabilities(*, effective: int, permitted: int, inheritable: int = 0) -> None:
    words = (_Word * 2)(_Word(effective, permitted, inheritable), _Word(0, 0, 0))
    _call("capset", ctypes.byref(_Header(CAPABILITY_VERSION_3, 0)), words)


def _prctl(option: int, *values: int) -> None:
    padded = [*values, 0, 0, 0, 0][:4]
    _call("prctl", option, *(ctypes.c_ulong(value) for value in padded))


def _call(name: str, *arguments: object) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments):
        number = ctypes.get_errno()
        _refuse(f"{name} failed: {os.strerror(number)}")


def _die_with(parent: int, farewell: int) -> None:
    """Ask for the signal at the parent's death; then see whether it died before we could ask."""
    if LINUX:
        _prctl(PR_SET_PDEATHSIG, farewell)
    if os.getppid() != parent:
        _refuse("the hub that wanted this engine is gone")


def _forget_python_signals() -> None:
    """Give back what Python took and exec would pass on: SIGPIPE and SIGXFSZ ignored, masks."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


if __name__ == "__main__":
    main(sys.argv[1:])
