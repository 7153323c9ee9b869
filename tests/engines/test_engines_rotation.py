"""A new key: everything opens before, while and after; a crash at any point loses nothing."""

import asyncio
import re
from pathlib import Path

import pytest

from wattwire.engines.errors import EngineError
from wattwire.engines.rotation import rotate
from wattwire.engines.secrets import Sealer, SealError
from wattwire.store import sealed
from wattwire.store.database import MIGRATIONS
from wattwire.store.sealing import SEALING
from wattwire.store.solarnetwork import secret_context

INTEGRATION = (
    "INSERT INTO integration (organization_id, type, name, secrets) VALUES ($1, 'w', $2, $3)"
)
SOURCE = (
    "INSERT INTO source (organization_id, name, type, settings, secrets)"
    " VALUES ($1, $2, 'mqtt', '{}', $3)"
)
TOKEN = (
    "INSERT INTO solarnetwork_token (organization_id, id, kind, secret) VALUES ($1, $2, 'User', $3)"
)
ANSWER = (
    "INSERT INTO idempotency (organization_id, key, request_hash, status, response)"
    " VALUES ($1, $2, '', 201, $3)"
)


@pytest.fixture
def path(folder):
    return folder / "secret.key"


@pytest.fixture
def sealer(path):
    return Sealer.open(path)


@pytest.fixture
async def connection(pool):
    async with pool.acquire() as opened:
        yield opened


@pytest.fixture
async def hub(connection, organization_id, sealer):
    """Sealed values of every kind."""
    for number in range(7):
        await seal_one(connection, INTEGRATION, organization_id, sealer, number, SEALING)
        await seal_one(connection, SOURCE, organization_id, sealer, number, SEALING)
        context = sealed.answer_context(organization_id)
        await seal_one(connection, ANSWER, organization_id, sealer, number, context)
        token = f"{number:020}"
        await seal_one(connection, TOKEN, organization_id, sealer, token, secret_context(token))
    await connection.execute("UPDATE integration SET deleted_at = now() WHERE name = '3'")
    await connection.execute(ANSWER, organization_id, "under way", b"")
    return organization_id


async def seal_one(connection, statement, organization_id, sealer, number, context):
    blob = sealer.seal(f"secret {number}".encode(), context=context)
    await connection.execute(statement, organization_id, str(number), blob)


async def opened(connection, sealer, organization_id):
    """Every sealed value, opened."""
    found = []
    for table in ("integration", "source"):
        rows = await connection.fetch(f"SELECT secrets AS blob, name AS n FROM {table}")
        found += [(table, r["n"], sealer.unseal(r["blob"], context=SEALING)) for r in rows]
    for r in await connection.fetch("SELECT id, secret FROM solarnetwork_token"):
        context = secret_context(r["id"])
        found.append(("token", r["id"], sealer.unseal(r["secret"], context=context)))
    for r in await connection.fetch("SELECT key, response FROM idempotency WHERE response <> ''"):
        context = sealed.answer_context(organization_id)
        found.append(("answer", r["key"], sealer.unseal(r["response"], context=context)))
    return sorted(found)


async def headers(connection):
    rows = await connection.fetch(
        "SELECT substr(secrets, 1, 11) AS h FROM integration"
        " UNION ALL SELECT substr(secrets, 1, 11) FROM source"
        " UNION ALL SELECT substr(secret, 1, 11) FROM solarnetwork_token"
        " UNION ALL SELECT substr(response, 1, 11) FROM idempotency WHERE response <> ''"
    )
    return {row["h"] for row in rows}


async def test_everything_gets_the_new_key(connection, hub, sealer, path):
    """All kinds of sealed values open with the new key alone; deleted integrations' too."""
    before = await opened(connection, sealer, hub)
    old = path.read_text().splitlines()[-1]
    done = await rotate(connection, sealer, grace_seconds=0)
    fresh = Sealer.open(path)

    assert (28, 0, False) == (done.resealed, done.unreadable, done.continued)
    assert before == await opened(connection, fresh, hub)
    assert {fresh.header} == await headers(connection)
    assert 1 == fresh.key_count()
    assert old not in path.read_text()
    assert 0o600 == path.stat().st_mode & 0o777


async def test_batches_go_through_everything(connection, hub, sealer, monkeypatch):
    """More values than fit a batch are all sealed again."""
    monkeypatch.setattr(sealed, "BATCH", 2)

    assert 28 == (await rotate(connection, sealer, grace_seconds=0)).resealed
    assert {sealer.header} == await headers(connection)


class CrashError(Exception):
    pass


@pytest.mark.parametrize("after", [0, 1, 5, 20, 28])
async def test_a_crash_anywhere_is_finished_by_the_next(
    connection, hub, sealer, path, monkeypatch, after
):
    """After so many values the power fails: all open with the file as it is; a rerun finishes."""
    before = await opened(connection, sealer, hub)
    monkeypatch.setattr(sealed, "BATCH", 2)
    broken, count = Sealer.open(path), 0
    reseal = broken.reseal

    def fail_after(blob, *, context):
        nonlocal count
        count += 1
        if count > after:
            raise CrashError
        return reseal(blob, context=context)

    def fail():
        raise CrashError

    broken.reseal, broken.drop_old_keys = fail_after, fail
    with pytest.raises(CrashError):
        await rotate(connection, broken, grace_seconds=0)
    restarted = Sealer.open(path)
    assert 2 == restarted.key_count()
    assert before == await opened(connection, restarted, hub)

    done = await rotate(connection, restarted, grace_seconds=0)
    assert done.continued
    assert 28 - after // 2 * 2 >= done.resealed
    assert before == await opened(connection, Sealer.open(path), hub)
    assert 1 == Sealer.open(path).key_count()


async def test_processes_that_run_notice(connection, hub, sealer, path):
    """A process that opened the file before seals with the new key from then on, and opens it."""
    running = Sealer.open(path)
    await rotate(connection, sealer, grace_seconds=0)
    blob = running.seal(b"new", context="c")

    assert blob.startswith(sealer.header)
    assert len(await opened(connection, running, hub)) == 28


async def test_what_was_sealed_just_before_is_not_lost(connection, pool, hub, sealer, path):
    """A call that sealed with the old key and is still writing: the old key waits for it."""
    late = Sealer.open(path).seal(b"late", context=SEALING)
    async with pool.acquire() as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute(SOURCE, hub, "late", late)
        rotating = asyncio.create_task(rotate(connection, sealer, grace_seconds=0))
        waits = "SELECT count(*) FROM pg_locks WHERE mode = 'ShareRowExclusiveLock' AND NOT granted"
        async with asyncio.timeout(20):
            while not await pool.fetchval(waits):
                await asyncio.sleep(0.02)
        assert 2 == sealer.key_count()
        await transaction.commit()
        done = await rotating

    assert 29 == done.resealed
    blob = await connection.fetchval("SELECT secrets FROM source WHERE name = 'late'")
    assert b"late" == Sealer.open(path).unseal(blob, context=SEALING)


async def test_the_old_key_waits_for_calls_that_began_before(connection, hub, sealer, path):
    """For the grace period both keys are there, and what is sealed with the old one opens."""
    said = []
    rotating = asyncio.create_task(rotate(connection, sealer, grace_seconds=30, say=said.append))
    async with asyncio.timeout(20):
        while len(said) < 3:
            await asyncio.sleep(0.02)
    assert 2 == Sealer.open(path).key_count()
    assert re.fullmatch(r"waiting \d+ s for calls that began before", said[-1])
    rotating.cancel()
    await asyncio.gather(rotating, return_exceptions=True)
    assert 2 == Sealer.open(path).key_count()


async def test_what_cannot_be_opened_is_counted_and_left(connection, hub, sealer, path):
    """A value whose key is lost does not keep the others from their new key."""
    stranger = Sealer.open(path.parent / "other.key").seal(b"x", context=SEALING)
    await connection.execute("UPDATE source SET secrets = $1 WHERE name = '5'", stranger)
    done = await rotate(connection, sealer, grace_seconds=0)

    assert (27, 1) == (done.resealed, done.unreadable)
    assert stranger == await connection.fetchval("SELECT secrets FROM source WHERE name = '5'")
    with pytest.raises(SealError):
        sealer.unseal(stranger, context=SEALING)


async def test_two_rotations_do_not_meet(connection, pool, hub, sealer, path):
    """The second is refused and changes nothing."""
    before = path.read_bytes()
    async with pool.acquire() as other, sealed.alone(other) as mine:
        assert mine
        with pytest.raises(EngineError, match="under way"):
            await rotate(connection, sealer, grace_seconds=0)

    assert before == path.read_bytes()
    assert 28 == (await rotate(connection, sealer, grace_seconds=0)).resealed


async def test_to_everybody_else_nothing_changed(connection, hub, sealer):
    """The time of change, by which delivery sees that somebody decided something, stays."""
    before = await connection.fetch("SELECT id, updated_at FROM integration ORDER BY id")
    await rotate(connection, sealer, grace_seconds=0)

    assert before == await connection.fetch("SELECT id, updated_at FROM integration ORDER BY id")


def test_no_sealed_column_is_forgotten():
    """Every column of bytes is known: sealed and so resealed, or not sealed."""
    text = "".join(path.read_text() for path in sorted(MIGRATIONS.glob("*.sql")))
    columns = set()
    table_of = re.compile(r"^CREATE TABLE (\w+) \((.*?)^\)", re.MULTILINE | re.DOTALL)
    for table, body in table_of.findall(text):
        columns |= {(table, name) for name in re.findall(r"^ +(\w+) bytea\b", body, re.MULTILINE)}
    columns |= set(re.findall(r"ALTER TABLE (\w+) ADD COLUMN (\w+) bytea", text))
    plain = {
        ("token", "secret_hash"),
        ("solarnetwork_signature", "signature"),
        ("solarnetwork_certificate", "sha256"),
        ("mqtt_credential", "certificate_sha256"),
        ("quarantine", "raw"),
        ("event", "data"),
        ("idempotency", "request_hash"),
        ("mqtt_retained", "payload"),
    }
    statements = (Path(sealed.__file__).parent / "queries" / "sealed.sql").read_text()
    resealed = set(re.findall(r"UPDATE (\w+) SET (\w+) =", statements))

    assert columns == plain | resealed
