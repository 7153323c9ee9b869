"""Tokens, sessions, users: who gets in, and for how long."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from wattwire.store import accounts, tokens
from wattwire.store.passwords import hash_password, make_password, verify_password


async def status_of(client):
    return (await client.get("/api/v1/session")).status


async def until_status(client, status):
    async with asyncio.timeout(10):
        while await status_of(client) != status:
            await asyncio.sleep(0.02)


async def test_a_token_revoked_elsewhere_ends_at_once(bench, organization_id):
    """A token that was just used is refused as soon as another process has revoked it."""
    client = bench.client(text := await bench.token(organization_id))
    assert 200 == await status_of(client)
    await tokens.revoke(bench.pool, organization_id, text.partition(".")[0])

    remembered = bench.app.state.face.tokens._grants._kept
    async with asyncio.timeout(5):  # long before what is remembered would be looked up again
        while text.partition(".")[0] in remembered:
            await asyncio.sleep(0.01)
    assert 401 == await status_of(client)


async def test_a_token_revoked_here_is_refused_in_the_next_call(bench, owner, organization_id):
    """The answer to the revocation comes after it holds."""
    created = (await owner.post("/api/v1/tokens", {"role": "viewer"})).json
    client = bench.client(created["token"])
    assert 200 == await status_of(client)
    assert 204 == (await owner.delete(f"/api/v1/tokens/{created['id']}")).status

    assert 401 == await status_of(client)


async def test_a_revocation_during_the_lookup_is_not_forgotten(bench, organization_id, monkeypatch):
    """A grant that was fetched before the revocation is not remembered after it."""
    text = await bench.token(organization_id)
    token_id = text.partition(".")[0]
    real, memory = tokens.find_grant, bench.app.state.face.tokens

    async def slow(db, wanted):
        grant = await real(db, wanted)
        await tokens.revoke(bench.pool, organization_id, token_id)
        memory.forget("token", token_id)
        return grant

    monkeypatch.setattr(tokens, "find_grant", slow)
    await status_of(bench.client(text))
    monkeypatch.undo()

    assert 401 == await status_of(bench.client(text))


async def test_an_expired_token_is_refused_although_it_is_remembered(bench, organization_id):
    """Expiry is looked at in every call."""
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    client = bench.client(await bench.token(organization_id, expires_at=soon))
    assert 200 == await status_of(client)

    await until_status(client, 401)
    assert soon <= datetime.now(UTC)


async def test_a_wrong_secret_is_refused(bench, organization_id):
    """The id alone is worth nothing, remembered or not."""
    text = await bench.token(organization_id)
    wrong = text[:-2] + ("AA" if text[-2:] != "AA" else "BB")

    assert 401 == await status_of(bench.client(wrong))
    assert 200 == await status_of(bench.client(text))
    assert 401 == await status_of(bench.client(wrong))


async def test_the_secret_is_not_stored(bench, owner):
    """Neither the token nor its listing shows the secret again; the table has its SHA-256."""
    created = (await owner.post("/api/v1/tokens", {"role": "viewer", "name": "x"})).json
    secret = created["token"].partition(".")[2]
    listed = await owner.get("/api/v1/tokens")
    rows = await bench.pool.fetchval("SELECT string_agg(t::text, '') FROM token t")

    assert secret.encode() not in listed.body
    assert secret not in rows


async def test_use_is_remembered_once_a_minute(bench, owner, organization_id):
    """last_used_at is set by the first call and not written again by the next."""
    await owner.get("/api/v1/session")
    query = "SELECT xmin::text, last_used_at FROM token"
    first = await bench.pool.fetchrow(query)
    await owner.get("/api/v1/session")

    assert first["last_used_at"] is not None
    assert first == await bench.pool.fetchrow(query)


async def sign_in(bench, email="ada@example.com", password="correct horse battery"):
    return await bench.client(None).post("/api/v1/session", {"email": email, "password": password})


@pytest.fixture
async def ada(owner):
    """A user who is an editor."""
    body = {"email": "Ada@Example.com", "role": "editor", "password": "correct horse battery"}
    return (await owner.post("/api/v1/users", body)).json


async def test_a_person_signs_in_and_out(bench, ada):
    """Email and password give a token of the user's role; signing out ends it."""
    session = (await sign_in(bench)).json
    client = bench.client(session["token"])
    who = (await client.get("/api/v1/session")).json
    assert ("editor", "account:ada@example.com") == (who["role"], who["actor"])
    assert 204 == (await client.delete("/api/v1/session")).status

    assert 401 == await status_of(client)


async def test_wrong_passwords_and_unknown_emails_sound_alike(bench, ada):
    """Nobody learns which emails exist, and both take a password hash."""
    wrong = await sign_in(bench, password="wrong wrong wrong")
    unknown = await sign_in(bench, email="nobody@example.com")

    assert 401 == wrong.status == unknown.status
    assert wrong.json["detail"] == unknown.json["detail"]


async def test_an_unknown_email_costs_a_hash_too(bench, monkeypatch):
    """The decoy is really verified: the time tells nothing."""
    import wattwire.store.passwords as module

    verified = []
    real = module._HASHER.verify
    monkeypatch.setattr(
        module,
        "_HASHER",
        type(
            "H",
            (),
            {
                "verify": lambda _s, h, p: verified.append(h) or real(h, p),
                "hash": module._HASHER.hash,
            },
        )(),
    )
    await sign_in(bench, email="nobody@example.com")

    assert 1 == len(verified)


async def test_guessing_is_slowed_down(bench, ada):
    """After ten failures even the right password has to wait, and is told how long."""
    for _ in range(10):
        assert 401 == (await sign_in(bench, password="wrong wrong wrong")).status
    answer = await sign_in(bench)

    assert 429 == answer.status
    assert 0 < int(answer.headers["Retry-After"]) <= 61


async def test_a_disabled_user_is_out_at_once(bench, owner, ada):
    """Their sessions end, and they cannot sign in."""
    client = bench.client((await sign_in(bench)).json["token"])
    assert 200 == await status_of(client)
    await owner.patch(f"/api/v1/users/{ada['id']}", {"disabled": True})

    await until_status(client, 401)
    assert 401 == (await sign_in(bench)).status


async def test_a_demoted_users_tokens_are_demoted_too(bench, owner, ada):
    """A token of an account never allows more than the account does today."""
    client = bench.client((await sign_in(bench)).json["token"])
    assert "editor" == (await client.get("/api/v1/session")).json["role"]
    await owner.patch(f"/api/v1/users/{ada['id']}", {"role": "viewer"})

    async with asyncio.timeout(5):
        while (await client.get("/api/v1/session")).json["role"] != "viewer":
            await asyncio.sleep(0.02)
    assert 403 == (await client.post("/api/v1/devices", {"key": "x"})).status


async def test_a_new_password_ends_sessions(bench, owner, ada):
    """Whoever knew the old password is out."""
    client = bench.client((await sign_in(bench)).json["token"])
    assert 200 == await status_of(client)
    await owner.patch(f"/api/v1/users/{ada['id']}", {"password": "another long password"})

    await until_status(client, 401)
    assert 201 == (await sign_in(bench, password="another long password")).status


async def test_the_last_owner_stays(bench, owner, organization_id):
    """Nobody can lock everybody out: not by role, not by disabling, not by deleting."""
    hashed = await hash_password("correct horse battery")
    last = await accounts.create(
        bench.pool,
        organization_id,
        email="o@example.com",
        name="",
        role="owner",
        password_hash=hashed,
    )
    path = f"/api/v1/users/{last.id}"
    answers = [
        await owner.patch(path, {"role": "viewer"}),
        await owner.patch(path, {"disabled": True}),
        await owner.delete(path),
    ]
    assert [409, 409, 409] == [a.status for a in answers]
    body = {"email": "second@example.com", "role": "owner", "password": "correct horse battery"}
    await owner.post("/api/v1/users", body)

    assert 200 == (await owner.patch(path, {"role": "viewer"})).status


async def test_changes_are_audited(bench, owner, ada):
    """Who, what and of what; never a password."""
    await owner.patch(f"/api/v1/users/{ada['id']}", {"password": "another long password"})
    audit = await owner.get("/api/v1/audit?limit=1")

    entry = audit.json["items"][0]
    assert ("user.updated", str(ada["id"])) == (entry["action"], entry["object"])
    assert entry["actor"].startswith("token:")
    assert b"another long" not in audit.body


async def test_passwords_are_argon2id_and_verified():
    """The hash is Argon2id; it fits its password and no other; no hash fits nothing."""
    password = make_password()
    hashed = await hash_password(password)

    assert hashed.startswith("$argon2id$")
    assert await verify_password(password, hashed)
    assert not await verify_password(password + "x", hashed)
    assert not await verify_password(password, None)
    assert not await verify_password("x" * 100_000, hashed)
    assert not await verify_password(password, "not a hash")
