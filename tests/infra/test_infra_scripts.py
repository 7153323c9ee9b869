"""The shell scripts of the InfluxDB stack, run by a real shell.

The program `influx` of version 2 cannot be had here: a fake stands in for it, which writes down how
it was called and answers as its documentation says. That the flags exist was read there.
"""

import os
import shutil
import stat
import subprocess
import time

import pytest
from compose_files import STACKS, loaded

FAKE = """#!/bin/sh
printf '%s\\n' "$*" >> "$CALLS"
case "$*" in
  "bucket list"*) printf '0badc0de0badc0de\\thub\\tinfinite\\n' ;;
  backup*)
    for last; do :; done
    mkdir -p "$last" && echo data > "$last/part.gz"
    exit "${INFLUX_FAILS:-0}" ;;
esac
"""


@pytest.fixture
def shell(tmp_path):
    """Run a script with the fake on its path; return the process and the calls."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "influx"
    program.write_text(FAKE)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    calls = tmp_path / "calls"

    def run(interpreter, script, **environment):
        calls.write_text("")
        done = subprocess.run(
            [shutil.which(interpreter), str(STACKS["influxdb"] / script)],
            env={
                "PATH": f"{program.parent}:{os.environ['PATH']}",
                "CALLS": str(calls),
                **environment,
            },
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        return done, calls.read_text().splitlines()

    return run


def first_start():
    given = loaded("influxdb")["services"]["influxdb"]["environment"]
    return {k: str(v) for k, v in given.items()} | {"DOCKER_INFLUXDB_INIT_BUCKET_ID": "feed"}


def test_the_first_start_maps_the_buckets(shell):
    """Both buckets get a database of their name; one user reads both, the other writes one."""
    done, calls = shell("bash", "init/10-access.sh", **first_start())
    reader, writer = (c for c in calls if c.startswith("v1 auth create"))

    assert 0 == done.returncode, done.stderr
    assert [
        "v1 dbrp create --org plant --bucket-id feed --db powermonitor --rp autogen --default",
        "v1 dbrp create --org plant --bucket-id 0badc0de0badc0de --db hub --rp autogen --default",
    ] == [c for c in calls if c.startswith("v1 dbrp")]
    assert reader.endswith("--read-bucket feed --read-bucket 0badc0de0badc0de")
    assert "--read-bucket" not in writer
    assert writer.endswith("--write-bucket 0badc0de0badc0de")


@pytest.mark.parametrize("name", ["GRAFANA_READER_PASSWORD", "HUB_BUCKET"])
def test_the_first_start_misses_nothing_silently(shell, name):
    """Without something it needs it ends with a fault."""
    environment = first_start()
    del environment[name]
    done, _ = shell("bash", "init/10-access.sh", **environment)

    assert 0 != done.returncode
    assert name in done.stderr


def backups(folder):
    return sorted(p.name for p in folder.iterdir())


def given(folder, **more):
    environment = loaded("influxdb")["services"]["backup"]["environment"]
    return {k: str(v) for k, v in environment.items()} | {"BACKUP_TARGET": str(folder)} | more


def old(folder, name, days):
    made = folder / name
    made.mkdir()
    (made / "part.gz").write_text("data")
    then = time.time() - days * 86_400
    os.utime(made, (then, then))


def test_a_backup_takes_everything_and_drops_what_is_old(shell, tmp_path):
    """A folder named after now is there; what is older than it should be kept is not."""
    folder = tmp_path / "backups"
    folder.mkdir()
    old(folder, "20250101T000000Z", 16)
    old(folder, "20250110T000000Z", 13)
    old(folder, "somebody-elses", 100)
    done, calls = shell("sh", "backup/backup.sh", **given(folder))
    found = backups(folder)

    assert 0 == done.returncode, done.stderr
    assert 1 == len(calls)
    assert calls[0].startswith("backup /")
    assert 3 == len(found)
    assert {"20250110T000000Z", "somebody-elses"} < set(found)
    (made,) = set(found) - {"20250110T000000Z", "somebody-elses"}
    assert "data\n" == (folder / made / "part.gz").read_text()
    assert made in done.stdout


def test_a_backup_of_one_bucket(shell, tmp_path):
    """BACKUP_BUCKET narrows it."""
    _, calls = shell("sh", "backup/backup.sh", **given(tmp_path, BACKUP_BUCKET="powermonitor"))

    assert calls[0].startswith("backup --bucket powermonitor /")


@pytest.mark.parametrize("more", [{"INFLUX_FAILS": "1"}, {"BACKUP_KEEP_DAYS": "a week"}])
def test_a_backup_that_fails_changes_nothing(shell, tmp_path, more):
    """No half of a backup is left, no old one removed, and the exit code says so."""
    folder = tmp_path / "backups"
    folder.mkdir()
    old(folder, "20250101T000000Z", 400)
    done, _ = shell("sh", "backup/backup.sh", **given(folder, **more))

    assert 0 != done.returncode
    assert ["20250101T000000Z"] == backups(folder)
