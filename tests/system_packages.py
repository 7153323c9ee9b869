"""Install the system packages that tests need: by itself where it can, else it says how."""

import os
import shutil
import subprocess
import sys

NEEDED = {
    "mosquitto": "mosquitto",
    "mosquitto_pub": "mosquitto-clients",
    "influxd": "influxdb",
    "openssl": "openssl",
    "curl": "curl",
    "jq": "jq",
}
PLACES = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


def main():
    """Return 0 when everything is there."""
    missing = sorted({p for name, p in NEEDED.items() if not shutil.which(name, path=PLACES)})
    if not missing:
        return 0
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing for the tests: {', '.join(missing)}", flush=True)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=quiet)
        # A policy that forbids starting services: the tests start brokers of their own.
        subprocess.run(
            ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing],
            check=True,
            env={**quiet, "RUNLEVEL": "1"},
            stdout=subprocess.DEVNULL,
        )
        return 0
    print(
        f"The tests need {', '.join(missing)}. On Debian or Ubuntu: "
        f"sudo apt-get install {' '.join(missing)}; "
        "on macOS: brew install mosquitto influxdb@1 openssl jq curl",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
