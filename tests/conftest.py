"""One real PostgreSQL for all tests, and an empty migrated database of its own for each test."""

import asyncio
import os
from pathlib import Path

import pytest

from databases import Databases, make_template
from wattwire.app.kit import connect_nats
from wattwire.engines.nats import EmbeddedNats
from wattwire.engines.postgres import EmbeddedPostgres
from wattwire.settings import Durability
from wattwire.store.database import open_pool


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory):
    """The URL of a PostgreSQL with the database `template_wattwire`, for the whole run."""
    given = os.environ.get("WATTWIRE_TEST_DATABASE_URL")
    if given:
        asyncio.run(make_template(given))
        yield given
        return
    engine = EmbeddedPostgres(Path(tmp_path_factory.mktemp("pg")))
    with asyncio.Runner() as runner:
        runner.run(engine.start())
        runner.run(make_template(engine.url))
        yield engine.url
        runner.run(engine.stop())


@pytest.fixture(scope="session")
def databases(postgres_url):
    """The databases of this process of the run, emptied between tests."""
    return Databases(postgres_url)


@pytest.fixture
async def database_url(databases):
    """A migrated, empty database of its own for one test."""
    url = await databases.take()
    yield url
    await databases.give_back(url)


@pytest.fixture
async def pool(database_url):
    """A pool of connections to the test's database."""
    async with open_pool(database_url) as opened:
        yield opened


@pytest.fixture
async def organization_id(pool):
    """An organization named Acme."""
    return await pool.fetchval("INSERT INTO organization (name) VALUES ('Acme') RETURNING id")


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory):
    """The URL of a NATS server with JetStream, for the whole run."""
    engine = EmbeddedNats(
        Path(tmp_path_factory.mktemp("nats")),
        durability=Durability.PROCESS,
        max_store_bytes=64 * 1024**3,
    )
    with asyncio.Runner() as runner:
        runner.run(engine.start())
        yield engine.url
        runner.run(engine.stop())


@pytest.fixture
async def nats_client(nats_url):
    """A connection to a NATS server whose JetStream is empty."""
    client = await connect_nats(nats_url, name="test")
    js = client.jetstream()
    for info in await js.streams_info():
        await js.delete_stream(info.config.name)
    yield client
    await client.close()


#: Folders and files whose tests take longest: begun first, so that no worker ends with one alone.
LONGEST = ("test_chaos.py", "stories", "cli")


def pytest_collection_modifyitems(items):
    """Begin with what takes longest; `--no-loadscope-reorder` keeps the scheduler to it."""

    def place(item):
        return next((i for i, name in enumerate(LONGEST) if name in item.path.parts), len(LONGEST))

    items.sort(key=place)
