"""The image's instructions, as far as they can be checked without building it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from compose_files import INFRA, STACKS, loaded

ROOT = INFRA.parent
DOCKERFILE = STACKS["hub"] / "Dockerfile"
IGNORE = STACKS["hub"] / "Dockerfile.dockerignore"


def instructions():
    """(word, arguments) of each instruction, continued lines joined, comments left out."""
    lines = [x for x in DOCKERFILE.read_text().splitlines() if x and not x.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines()]


def of(word):
    return [arguments for found, arguments in instructions() if found == word]


def test_the_linter_finds_no_fault():
    """Hadolint has nothing to say, not even at its least severe."""
    program = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [program, "--failure-threshold", "style", DOCKERFILE],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip

    assert (0, "") == (done.returncode, done.stdout)


def test_the_base_is_pinned_and_fits():
    """An exact version of Python, the one that the lock was made with, in every stage."""
    bases = {argument.split()[0] for argument in of("FROM")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert 1 == len(bases)
    version = re.fullmatch(r"python:(\d+\.\d+)\.\d+-slim-bookworm", bases.pop()).group(1)
    assert 2 == len(of("FROM"))
    assert version == project["requires-python"].removeprefix(">=")


def test_everything_installed_was_checked_by_its_hash():
    """All comes from the lock with hashes; the second installation has no other place to look."""
    installs = [part for run in of("RUN") for part in run.split("&&") if " install " in part]
    downloads = [run for run in of("RUN") if "pip download" in run]
    pips = [part for part in installs if "pip" in part]

    assert 1 == len(downloads) == len(pips)
    assert "--require-hashes --requirement requirements.lock" in downloads[0]
    assert "--no-index --find-links /wheels ." in pips[0]
    assert "--hash=sha256:" in (ROOT / "requirements.lock").read_text()


def test_what_is_copied_exists_and_is_sent():
    """Files from the repository are there, and the ignore file lets exactly those through."""
    copied = {
        source
        for arguments in of("COPY")
        if not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    }
    lines = IGNORE.read_text().splitlines()

    assert {s.removeprefix("./") for s in copied} == {x[1:] for x in lines if x.startswith("!")}
    assert "*" in lines
    for source in copied:
        assert (ROOT / source).exists(), source


def test_nobody_is_root():
    """The hub runs as a user by number, which owns what it writes to; the mounts say the same."""
    user = of("USER")[-1]
    folders = re.search(r"install -d -o (\d+) -g (\d+) -m 0700 ([^&]+)", " ".join(of("RUN")))
    tmpfs = [t for t in loaded("hub")["services"]["api"]["tmpfs"] if ":" in t]

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert user == ":".join(folders.groups()[:2])
    assert all(f"uid={user.split(':')[0]},gid={user.split(':')[1]}" in mount for mount in tmpfs)
    order = [word for word, _ in instructions()]
    assert order.index("USER") < order.index("ENTRYPOINT")
    assert "USER" not in [word for word, _ in instructions()[order.index("USER") + 1 :]]


def test_mounts_of_compose_are_folders_of_the_user():
    """A named volume takes over owner and mode of the image's folder: each has one there."""
    made = re.search(r"-m 0700 ([^&]+)", " ".join(of("RUN"))).group(1).split()
    for name, service in loaded("hub")["services"].items():
        if service["image"] == loaded("hub")["services"]["api"]["image"]:
            for volume in service["volumes"]:
                assert volume.split(":")[1] in made, name


def test_tini_starts_the_hub_and_the_check_asks_it():
    """One entry point, its check on the ready file that the command writes."""
    (entry,), (command,), (check,) = of("ENTRYPOINT"), of("CMD"), of("HEALTHCHECK")

    assert '["/usr/bin/tini", "--", "wattwire"]' == entry
    assert "tini=" in " ".join(of("RUN"))
    (ready,) = re.findall(r"\S+\.json", command.replace('"', " "))
    assert ready in check
    for name, service in loaded("hub")["services"].items():
        if "worker" in service.get("command", ()):
            assert ready == service["command"][-1], name
    copied = [c.split()[-1] for c in of("COPY")]
    assert re.search(r"(\S+healthcheck\.py)", check.replace('"', " ")).group(1) in copied


def test_ports_are_those_that_are_published():
    """API and MQTT with TLS, as compose and chart know them."""
    exposed = set(of("EXPOSE")[0].split())
    ports = [p for s in loaded("hub")["services"].values() for p in s.get("ports", ())]
    values = yaml.safe_load((INFRA / "helm" / "wattwire" / "values.yaml").read_text())

    assert exposed == {port.split(":")[-1] for port in ports}
    assert exposed == {str(values[name]["service"]["port"]) for name in ("http", "mqtt")}


@pytest.mark.parametrize("folder", ["", "influxdb", "hub", "helm/wattwire"])
def test_what_was_not_started_is_said(folder):
    """Each README says in a sentence what was never run."""
    text = (INFRA / folder / "README.md").read_text()

    assert "was not started" in text or "were not started" in text
