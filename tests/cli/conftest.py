"""The command line beside a running API."""

import os
import sys
from pathlib import Path

import pytest
from cli_runner import run_wattwire

from wattwire.engines.datadir import DataDir

sys.path.insert(0, str(Path(__file__).parent.parent / "api"))

from api_bench import open_bench


@pytest.fixture
async def bench(pool, database_url, tmp_path):
    """A hub's API, and the data folder by which commands find it."""
    folder = tmp_path / "data"
    with DataDir(folder) as data:
        async with open_bench(pool, database_url, folder) as opened:
            data.write_hub_info(
                {"pid": os.getpid(), "http_url": opened.url, "database_url": database_url}
            )
            yield opened


@pytest.fixture
def wattwire(bench, tmp_path):
    """A function that runs a command on the hub."""

    async def run(*arguments, stdin=""):
        return await run_wattwire(
            *arguments, "--data-dir", tmp_path / "data", stdin=stdin, cwd=tmp_path
        )

    return run
