"""Fixtures of the API's tests; what they open is in `api_bench`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from api_bench import open_bench


@pytest.fixture
async def bench(pool, database_url, tmp_path):
    async with open_bench(pool, database_url, Path(tmp_path)) as opened:
        yield opened


@pytest.fixture
async def owner(bench, organization_id):
    """A client with the token of an owner of Acme."""
    return bench.client(await bench.token(organization_id))


@pytest.fixture
def reading():
    """A function that returns one reading as JSON."""

    def make(device="meter-1", minutes=0, **values):
        at = datetime(2025, 6, 1, 12, tzinfo=UTC) + timedelta(minutes=minutes)
        return {
            "device": device,
            "stream": "/power/1",
            "time": at.isoformat(),
            "values": values or {"active_power_w": 100 + minutes},
        }

    return make
