"""What happens before a command does anything."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from wattwire import __version__
from wattwire.cli import create_app

IMPORTED = """
import sys
from wattwire.cli import main
sys.argv = ["wattwire", *sys.argv[1:], "--help"]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print(*sorted(name for name in sys.modules if name.startswith("wattwire.cli.")))
print("aiohttp" in sys.modules)
"""


def test_the_version_is_told():
    """As every program tells it."""
    done = CliRunner().invoke(create_app(), ["--version"])

    assert (0, f"Wattwire {__version__}\n") == (done.exit_code, done.stdout)


@pytest.mark.parametrize(("command", "calls"), [("token", "False"), ("integration", "True")])
def test_only_the_command_that_is_called_is_imported(command, calls):
    """The others' files stay closed, and the HTTP client where the API is not called."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, command], capture_output=True, text=True, check=True
    )
    *_, imported, client = done.stdout.splitlines()

    assert f"wattwire.cli.{command}s" in imported.split()
    assert "wattwire.cli.quarantine" not in imported.split()
    assert calls == client


def test_a_command_that_is_not_there_is_named():
    """With all others to choose from in the help."""
    done = subprocess.run(
        [sys.executable, "-m", "wattwire", "nonsense"], capture_output=True, text=True, check=False
    )

    assert 2 == done.returncode
    assert "No such command 'nonsense'" in done.stderr
