"""Fixtures of SolarNetwork's face; the hub is the one of the API's tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "api"))

from api_bench import open_bench
from solarnetwork_bench import make_client


@pytest.fixture
async def bench(pool, database_url, tmp_path):
    async with open_bench(pool, database_url, Path(tmp_path)) as opened:
        yield opened


@pytest.fixture
async def user(bench, organization_id):
    """A client with a token of kind User, without limits."""
    return await make_client(bench, organization_id)
