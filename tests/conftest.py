"""One real PostgreSQL for all tests: a migrated template, and a copy of it for each test."""

import asyncio
import itertools
import os
from pathlib import Path

import asyncpg
import pytest

from wattwire.app.kit import connect_nats
from wattwire.engines.nats import EmbeddedNats
from wattwire.engines.postgres import EmbeddedPostgres
from wattwire.settings import Durability
from wattwire.store.database import migrate, open_pool

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory):
    """The URL of a PostgreSQL with the database `template_wattwire`, for the whole run."""
    given = os.environ.get("WATTWIRE_TEST_DATABASE_URL")
    if given:
        asyncio.run(_make_template(given))
        yield given
        return
    engine = EmbeddedPostgres(Path(tmp_path_factory.mktemp("pg")))
    with asyncio.Runner() as runner:
        runner.run(engine.start())
        runner.run(_make_template(engine.url))
        yield engine.url
        runner.run(engine.stop())


async def _execute(url, *statements):
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _named(url, name):
    """The same server, another database."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


async def _make_template(url):
    await _execute(
        url, "DROP DATABASE IF EXISTS template_wattwire", "CREATE DATABASE template_wattwire"
    )
    await migrate(_named(url, "template_wattwire"))


@pytest.fixture
async def database_url(postgres_url):
    """A fresh, migrated database of its own for one test."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    await _execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE template_wattwire")
    yield _named(postgres_url, name)
    await _drop(postgres_url, name)


async def _drop(url, name):
    """Drop a database; again when the server's own autovacuum was just looking at it."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await _execute(url, f"DROP DATABASE {name} WITH (FORCE)")
            except (asyncpg.InsufficientPrivilegeError, asyncpg.ObjectInUseError):
                await asyncio.sleep(0.1)


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
