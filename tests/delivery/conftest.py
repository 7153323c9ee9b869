"""The story that every test of the engine tells, on a database of its own."""

import logging
from datetime import UTC, datetime

import pytest
import structlog
from delivery_story import FakeClock, Receivers, Story

from wattwire.store import ledger


@pytest.fixture(autouse=True)
def _few_words():
    """Failures are what these tests are about: their log would be long, and slow to print."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


@pytest.fixture
def receivers():
    return Receivers()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def story(pool, organization_id, receivers, clock):
    """A story about one organization and its integrations."""
    async with pool.acquire() as connection:
        await ledger.ensure_partitions(connection, datetime.now(UTC).date())
    return Story(pool, organization_id, receivers, clock)
