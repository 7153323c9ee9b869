"""The folder of a hub: one hub at a time, and commands find it."""

import fcntl
import os
import stat
import subprocess
import sys
import threading

import pytest

from wattwire.engines.datadir import (
    DataDir,
    DataDirBusyError,
    DataDirError,
    read_hub_info,
)
from wattwire.engines.errors import EngineError
from wattwire.engines.locking import is_held

HOLD = """
import pathlib, sys
from wattwire.engines.datadir import DataDir
data = DataDir(pathlib.Path(sys.argv[1]))
data.write_hub_info({'x': 1})
print('held', flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(folder):
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder / "data"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_made_closed(folder):
    """The folder and its parents are made, and only its owner may enter."""
    with DataDir(folder / "a" / "data") as data:
        assert 0o700 == mode(data.path)
        assert {data.path} == {
            p.parent for p in (data.postgres, data.nats, data.tls, data.secret_key, data.runtime)
        }


def test_an_open_empty_folder_is_closed(folder):
    """A volume that is mounted open to all is closed."""
    (folder / "data" / "lost+found").mkdir(parents=True)
    (folder / "data").chmod(0o755)
    DataDir(folder / "data").close()

    assert 0o700 == mode(folder / "data")


def test_a_folder_of_other_things_keeps_its_mode(folder):
    """--data-dir pointed at a home folder does not change who may read that."""
    (folder / "letters.txt").write_text("")
    folder.chmod(0o755)
    DataDir(folder).close()

    assert 0o755 == mode(folder)


def test_a_folder_for_everybody_is_refused(folder):
    """--data-dir pointed at something like /tmp is refused."""
    (folder / "letters.txt").write_text("")
    folder.chmod(0o1777)

    with pytest.raises(DataDirError, match="everybody may write to it"):
        DataDir(folder)


def test_a_second_hub_is_refused(folder, other):
    """The refusal names the first hub's pid, the folder and what to do."""
    with pytest.raises(DataDirBusyError) as caught:
        DataDir(folder / "data")

    expected = (
        f"another hub (pid {other.pid}) runs on {folder / 'data'}; stop it or give --data-dir"
    )
    assert expected == str(caught.value)
    assert caught.value.pid == other.pid


def test_a_killed_hub_leaves_no_lock(folder, other):
    """After kill -9 the folder is free and says nothing of the dead hub."""
    other.kill()
    other.wait()
    assert (folder / "data" / "run" / "hub.json").exists()
    assert read_hub_info(folder / "data") is None
    with DataDir(folder / "data"):
        assert not (folder / "data" / "run" / "hub.json").exists()


def test_a_command_finds_the_hub(folder, other):
    """What the hub wrote is read by another process while the hub runs."""
    assert {"x": 1} == read_hub_info(folder / "data")


def test_hub_info_is_private_and_cleared(folder):
    """It holds passwords: only the owner reads it, and it goes when the hub stops."""
    with DataDir(folder / "data") as data:
        data.write_hub_info({"database_url": "postgresql://hub:p@/x", "pid": os.getpid()})
        path = data.runtime / "hub.json"
        assert 0o600 == mode(path)
        assert [path] == list(data.runtime.iterdir())
        assert os.getpid() == read_hub_info(data.path)["pid"]

    assert not path.exists()
    assert read_hub_info(folder / "data") is None


def test_looking_does_not_disturb_a_start(folder):
    """A command that looks for the hub at the moment it starts does not make it fail."""
    DataDir(folder).close()
    looks = os.open(folder / "hub.lock", os.O_RDONLY)
    fcntl.flock(looks, fcntl.LOCK_SH)
    threading.Timer(0.05, os.close, [looks]).start()
    with DataDir(folder):
        assert is_held(folder / "hub.lock")


def test_no_folder_means_no_hub(folder):
    """A folder that is not there has no hub running on it."""
    assert read_hub_info(folder / "nowhere") is None


def test_a_file_is_explained(folder):
    """A file in place of the folder is named."""
    (folder / "data").write_text("")

    with pytest.raises(EngineError, match="a file is in the way"):
        DataDir(folder / "data")
