"""The databases of the tests: migrated once, then emptied between tests, which costs 1 % of a copy.

A database goes to the next test only when it is as the template is: the same tables, columns,
rules, functions and triggers, no row but the migration's own, each counter at its start, nobody
connected. One that a test changed in any other way is dropped.
"""

import asyncio
import itertools
import os
from datetime import UTC, datetime

import asyncpg

from wattwire.store.database import migrate
from wattwire.store.ledger import ensure_partitions

TEMPLATE = "template_wattwire"
#: Up to here rows are deleted; a larger table is truncated, which leaves no dead rows behind.
SMALL_BYTES = 256 * 1024

_numbers = itertools.count(1)

#: What a migration makes, in one line: it changes with any table, column, rule, function, trigger.
SHAPE = """
SELECT md5(string_agg(line, ';' ORDER BY line)) FROM (
    SELECT concat_ws(' ', c.relname, c.relkind, c.reloptions) AS line FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', c.relname, a.attname, a.attnum, a.atttypid, a.attnotnull,
                     pg_get_expr(d.adbin, d.adrelid))
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', proname, prosrc) FROM pg_proc
     WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', tgrelid::regclass, tgname, tgenabled) FROM pg_trigger
     WHERE NOT tgisinternal
    UNION ALL
    SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL
    SELECT unnest(setconfig) FROM pg_db_role_setting
     WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS lines
"""

END_OTHERS = """
SELECT bool_and(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""

#: Days that a test opened, beside those of the template.
DAYS = """
SELECT string_agg(inhrelid::regclass::text, ', ') FROM pg_inherits
  JOIN pg_class c ON c.oid = inhrelid
 WHERE c.relkind = 'r' AND c.relname <> ALL ($1::text[])
"""

TABLES = """
SELECT relname, pg_relation_size(oid) > $1 AS large FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""

COUNTERS = """
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
  FROM pg_sequences WHERE last_value IS NOT NULL
"""


class Databases:
    """What one process of the test run has of databases on one server."""

    def __init__(self, url):
        self._url = url
        self._free = []
        self._template = None

    async def take(self):
        """Return the URL of a database as the migration makes it, which nobody else uses."""
        if self._free:
            return self._free.pop()
        name = f"test_{os.getpid()}_{next(_numbers)}"
        await execute(self._url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return named(self._url, name)

    async def give_back(self, url):
        """Empty a database for the next test, or drop it."""
        self._template = self._template or await _Template.read(self._url)
        if await _emptied(url, self._template):
            self._free.append(url)
        else:
            await self.drop(url)

    async def drop(self, url):
        """Drop a database, free or taken."""
        self._free = [free for free in self._free if free != url]
        await drop(self._url, name_in(url))


class _Template:
    """What the migration makes: tables in an order in which rows can be deleted, rows, shape."""

    def __init__(self, shape, tables, rows):
        self.shape, self.tables, self.rows = shape, tables, rows

    @classmethod
    async def read(cls, url):
        name = f"read_{os.getpid()}_{next(_numbers)}"
        await execute(url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        connection = await asyncpg.connect(named(url, name))
        try:
            tables = _children_first(
                [row["relname"] for row in await connection.fetch(TABLES, 0)],
                await connection.fetch(
                    "SELECT conrelid::regclass::text AS child, confrelid::regclass::text AS parent"
                    "  FROM pg_constraint WHERE contype = 'f'"
                ),
            )
            rows = {table: await connection.fetch(f"SELECT * FROM {table}") for table in tables}
            made = {table: found for table, found in rows.items() if found}
            return cls(await connection.fetchval(SHAPE), tables, made)
        finally:
            await connection.close()
            await drop(url, name)


def _children_first(tables, references):
    """Order tables so that each comes before those it refers to."""
    parents = {table: set() for table in tables}
    for child, parent in references:
        if child != parent and child in parents:
            parents[child].add(parent)
    placed = []
    while parents:
        asked = set().union(*parents.values())
        free = sorted(table for table in parents if table not in asked)
        assert free, f"tables refer to each other in a circle: {sorted(parents)}"
        placed += free
        for table in free:
            del parents[table]
    return placed


async def _emptied(url, template):
    """Return whether a database is as the template is, after everything was taken out of it."""
    try:
        connection = await asyncpg.connect(url)
    except asyncpg.PostgresError:
        return False  # a test dropped it, or lets nobody in
    try:
        await connection.fetchval(END_OTHERS)
        if days := await connection.fetchval(DAYS, template.tables):
            await connection.execute(f"DROP TABLE {days}")
        if await connection.fetchval(SHAPE) != template.shape:
            return False
        await _take_out(connection, template)
        return True
    finally:
        await connection.close()


async def _take_out(connection, template):
    found = await connection.fetch(TABLES, SMALL_BYTES)
    if large := [row["relname"] for row in found if row["large"]]:
        await connection.execute(f"TRUNCATE {', '.join(large)} CASCADE")
    await connection.execute(";".join(f"DELETE FROM {table}" for table in template.tables))
    for table, rows in template.rows.items():
        await connection.execute(f"DELETE FROM {table}")  # rules may have written here by now
        await connection.copy_records_to_table(table, records=[tuple(row) for row in rows])
    await connection.execute(COUNTERS)


async def make_template(url):
    """Migrate the database that every other one is copied from, and open the days around today."""
    await execute(url, f"DROP DATABASE IF EXISTS {TEMPLATE}", f"CREATE DATABASE {TEMPLATE}")
    await migrate(named(url, TEMPLATE))
    connection = await asyncpg.connect(named(url, TEMPLATE))
    try:
        await ensure_partitions(connection, datetime.now(UTC).date())
    finally:
        await connection.close()


async def execute(url, *statements):
    """Execute statements, each on its own, over one connection."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def named(url, name):
    """The same server, another database."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


def name_in(url):
    """The name of the database that a URL leads to."""
    return url.partition("?")[0].rpartition("/")[2]


async def drop(url, name):
    """Drop a database; again when the server's own autovacuum was just looking at it."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await execute(url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            except (asyncpg.InsufficientPrivilegeError, asyncpg.ObjectInUseError):
                await asyncio.sleep(0.1)
