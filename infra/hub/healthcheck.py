"""Say whether the hub in this container is ready: exit code 0, or 1 with the reason.

The hub writes its ready file once everything is up and takes it away when it stops. A hub that
serves the API is asked by `/readyz`; the others have no port to ask. The file of a process that was
killed is not believed: it is older than the process that has its number now, or nobody has it.
"""  # noqa: INP001 - a program of the image, not part of the package

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

READY_FILE = "/run/wattwire/ready.json"
ASK_SECONDS = 4
#: A process' start is known to a hundredth of a second, the boot time to a second.
CLOCK_SECONDS = 2.0


def main(arguments: list[str]) -> int:
    """Look, say what is wrong, return the exit code."""
    fault = fault_of(Path(arguments[0] if arguments else READY_FILE))
    if fault:
        sys.stderr.write(f"{fault}\n")
    return 1 if fault else 0


def fault_of(ready_file: Path) -> str:
    """Return what is wrong; '' when the hub is ready."""
    try:
        info = json.loads(ready_file.read_bytes())
        written = ready_file.stat().st_mtime
        started = started_at(int(info["pid"]))
    except (OSError, ValueError, KeyError) as error:
        return f"not ready: {error}"
    if written < started - CLOCK_SECONDS:
        return "not ready: the ready file was left by an earlier process"
    return answer_of(info["http_url"]) if info.get("http_url") else ""


def started_at(pid: int) -> float:
    """Return when a process started, as a Unix time. Raises OSError when there is none."""
    # Fields of stat(5) after the name, which may hold anything: the 22nd is the start in ticks.
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    lines = Path("/proc/stat").read_text().splitlines()
    boot = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
    return boot + ticks / os.sysconf("SC_CLK_TCK")


def answer_of(http_url: str) -> str:
    """Return what `/readyz` finds wrong; '' when nothing is."""
    url = f"http://127.0.0.1:{urlsplit(http_url).port}/readyz"
    try:
        with urllib.request.urlopen(url, timeout=ASK_SECONDS):
            return ""
    except urllib.error.HTTPError as refused:
        return refused.read(4096).decode("utf-8", "replace")
    except OSError as error:
        return f"the API does not answer: {error}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
