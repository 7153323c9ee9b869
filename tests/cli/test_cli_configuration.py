"""`export`, `apply`, `secrets rotate`, `integration duplicate`, `delete`, as people type them."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from cli_runner import run_wattwire

from wattwire.cli.documents import read_document, write_document
from wattwire.engines.secrets import Sealer
from wattwire.integrations import TYPES
from wattwire.model import Event
from wattwire.store import sealing
from wattwire.store.events import record_events
from wattwire.store.sealing import SEALING

HOOK = {
    "type": "webhook",
    "name": "Desk",
    "topics": ["device.alert"],
    "settings": {"url": "https://example.com/hook", "secret_key": "s3cr3t-of-the-hook"},
}


@pytest.fixture
async def owner(bench, organization_id):
    return bench.client(await bench.token(organization_id))


@pytest.fixture
async def desk(owner):
    """An integration with a secret, and a credential."""
    credential = {"username": "u1", "format": "json", "publish_topics": ["a/b"]}
    assert 201 == (await owner.post("/api/v1/mqtt-credentials", credential)).status
    made = await owner.post("/api/v1/integrations", HOOK)
    assert 201 == made.status
    return made.json["id"]


async def secret_of(bench, sealer, number):
    row = await bench.pool.fetchrow("SELECT * FROM integration WHERE id = $1", number)
    whole = sealing.join(row["settings"], row["secrets"], sealer.bound(SEALING))
    return TYPES["webhook"].settings.model_validate(whole).secret_key.get_secret_value()


async def queue(bench, organization_id, number, count):
    events = [
        Event(uuid4(), "device.alert", organization_id, datetime.now(UTC), {}) for _ in range(count)
    ]
    async with bench.pool.acquire() as db, db.transaction():
        await record_events(db, events, [(n, number) for n in range(count)])


async def test_exported_and_applied_it_says_0_changes(wattwire, desk, tmp_path):
    """The file has no secret, reads well, and changes nothing here."""
    file = tmp_path / "acme.yaml"
    exported = await wattwire("export", file)
    assert (0, "") == (exported.code, exported.out), exported.err
    text = file.read_text()
    assert "s3cr3t" not in text
    assert "secret_key: ${SECRET:WEBHOOK_DESK_SECRET_KEY}" in text
    assert text == (await wattwire("export")).out

    done = await wattwire("apply", file, "--prune")
    assert (0, "0 changes, 3 unchanged.\n") == (done.code, done.out), done.err
    as_json = await wattwire("export", "--json")
    assert read_document(as_json.out.encode()) == read_document(text.encode())
    applied = await run(wattwire, "apply", "-", "--json", stdin=as_json.out)
    assert (0, True) == (applied.json["changes"], applied.json["applied"])


async def run(wattwire, *arguments, stdin=""):
    return await wattwire(*arguments, stdin=stdin)


async def test_applied_to_an_empty_hub_with_secrets_from_anywhere(
    bench, wattwire, desk, tmp_path, organization_id
):
    """From a secrets file, the environment, a file: then the export is the same document."""
    exported = (await wattwire("export")).out
    file, secrets = tmp_path / "acme.yaml", tmp_path / "secrets.yaml"
    file.write_text(exported)
    secrets.write_text("WEBHOOK_DESK_SECRET_KEY: s3cr3t-of-the-hook\n")
    secrets.chmod(0o600)
    await bench.pool.execute("DELETE FROM mqtt_credential")
    await bench.new_organization("Empty")
    command = ("--organization", "Empty", "--data-dir", tmp_path / "data")
    environment = {"WATTWIRE_SECRET_MQTT_U1_PASSWORD": "a long password"}
    dry = await run_wattwire(
        "apply", file, "--secrets", secrets, "--dry-run", *command, env=environment
    )
    assert 0 == dry.code, dry.err
    assert "create  integration  webhook/Desk\n" in dry.out
    assert "    settings.secret_key: (secret)\n" in dry.out
    assert dry.out.endswith("2 changes, 1 unchanged. Nothing was changed: a dry run.\n")
    assert 1 == await bench.pool.fetchval("SELECT count(*) FROM integration")

    done = await run_wattwire("apply", file, "--secrets", secrets, *command, env=environment)
    assert 0 == done.code, done.err
    assert exported == (await run_wattwire("export", *command)).out
    number = await bench.pool.fetchval("SELECT max(id) FROM integration")
    assert "s3cr3t-of-the-hook" == await secret_of(bench, bench.hub.sealer, number)


async def test_references_to_files_and_variables(bench, wattwire, desk, tmp_path):
    """${FILE:} is found beside the document, ${ENV:} in the environment; missing ones are named."""
    document = read_document((await wattwire("export")).out.encode())
    settings = document["integrations"][0]["settings"]
    settings |= {"secret_key": "${FILE:key.txt}", "url": "${ENV:HOOK_URL}"}
    file = tmp_path / "acme.yaml"
    file.write_text(write_document(document))
    missing = await wattwire("apply", file)
    assert (1, True) == (missing.code, "key.txt" in missing.err or "HOOK_URL" in missing.err)
    (tmp_path / "key.txt").write_text("a-secret-from-a-file\n")
    missing = await wattwire("apply", file)
    assert f"wattwire: {file}: set in the environment: HOOK_URL\n" == missing.err

    done = await run_wattwire(
        "apply", file, "--data-dir", tmp_path / "data", env={"HOOK_URL": "https://example.com/env"}
    )
    assert 0 == done.code, done.err
    assert "settings.secret_key: (secret) -> (another secret)" in done.out
    assert "settings.url: https://example.com/hook -> https://example.com/env" in done.out
    assert "a-secret-from-a-file" == await secret_of(bench, bench.hub.sealer, desk)


async def test_faults_and_secrets_that_others_read(wattwire, desk, tmp_path):
    """Every fault with its place; a secrets file that others may read is refused."""
    document = read_document((await wattwire("export")).out.encode())
    document["integrations"][0]["settings"]["url"] = "ftp://x"
    document["integrations"][0]["topics"] = ["no.such"]
    file = tmp_path / "acme.yaml"
    file.write_text(write_document(document))
    refused = await wattwire("apply", file)
    assert 1 == refused.code
    assert "The document does not fit: 2 faults." in refused.err
    assert "\n  integrations[0].settings.url: " in refused.err
    assert "\n  integrations[0].topics[0]: " in refused.err

    open_file = tmp_path / "secrets.yaml"
    open_file.write_text("A: b\n")
    open_file.chmod(0o644)
    refused = await wattwire("apply", file, "--secrets", open_file)
    assert (1, True) == (refused.code, f"chmod 600 {open_file}" in refused.err)
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [")
    refused = await wattwire("apply", broken)
    assert (1, True) == (refused.code, refused.err.startswith(f"wattwire: {broken}: while parsing"))
    assert 1 == (await wattwire("apply", tmp_path / "none.yaml")).code


async def test_prune_needs_yes_when_messages_wait(bench, wattwire, desk, tmp_path, organization_id):
    """What waits is shown; without --yes nothing is done."""
    await queue(bench, organization_id, desk, 2)
    file = tmp_path / "empty.yaml"
    file.write_text("wattwire: 1\nintegrations: []\n")
    refused = await wattwire("apply", file, "--prune")
    assert 1 == refused.code
    assert "delete  integration  webhook/Desk  (2 waiting, 0 in flight, 0 dead)\n" in refused.out
    assert "still queued" in refused.err
    assert await bench.pool.fetchval("SELECT deleted_at IS NULL FROM integration")

    done = await wattwire("apply", file, "--prune", "--yes")
    assert (0, True) == (done.code, done.out.endswith("1 change, 0 unchanged.\n")), done.err
    assert await bench.pool.fetchval("SELECT deleted_at IS NOT NULL FROM integration")


async def test_a_copy_and_a_deletion(bench, wattwire, desk, organization_id):
    """`duplicate` makes a paused copy; `delete` shows what waits and wants --discard."""
    copy = await wattwire("integration", "duplicate", desk, "--json")
    assert ("Desk (copy)", False) == (copy.json["name"], copy.json["enabled"])
    assert 0 == (await wattwire("integration", "delete", copy.json["id"])).code

    await queue(bench, organization_id, desk, 2)
    refused = await wattwire("integration", "delete", desk)
    assert 1 == refused.code
    assert "2 messages are still queued (2 waiting, 0 in flight; 0 dead)" in refused.err
    done = await wattwire("integration", "delete", desk, "--discard", "--json")
    assert {"deleted": desk, "discarded": 2} == done.json
    assert 1 == (await wattwire("integration", "delete", desk)).code


async def test_the_key_is_rotated_while_the_api_runs(bench, owner, wattwire, desk, tmp_path):
    """The API opens what the command sealed, and seals with the new key from then on."""
    path = tmp_path / "data" / "secret.key"
    old = path.read_text().splitlines()[-1]
    keyed = {"Idempotency-Key": "k1"}
    first = await owner.post("/api/v1/integrations", HOOK | {"name": "Keyed"}, headers=keyed)
    done = await wattwire("secrets", "rotate", "--grace", "0", "--json")
    assert (0, 3, 0) == (done.code, done.json["resealed"], done.json["unreadable"]), done.err
    assert old not in path.read_text()
    fresh = Sealer.open(path)

    changed = {"settings": {"url": "https://example.com/new"}}
    assert 200 == (await owner.patch(f"/api/v1/integrations/{desk}", changed)).status
    assert "s3cr3t-of-the-hook" == await secret_of(bench, fresh, desk)
    repeated = await owner.post("/api/v1/integrations", HOOK | {"name": "Keyed"}, headers=keyed)
    assert first.body == repeated.body
    again = await asyncio.gather(wattwire("secrets", "rotate", "--grace", "0"))
    assert 0 == again[0].code
    audited = (await owner.get("/api/v1/audit")).json["items"]
    assert ["secrets.rotated"] * 2 == [r["action"] for r in audited if r["action"][:7] == "secrets"]


async def test_no_key_file_is_made_up(bench, wattwire, desk, tmp_path):
    """Where the key file is not, the command says so rather than make one that opens nothing."""
    (tmp_path / "data" / "secret.key").unlink()
    refused = await wattwire("secrets", "rotate", "--grace", "0")

    assert (1, True) == (refused.code, "secret.key is not there" in refused.err)
    assert not (tmp_path / "data" / "secret.key").exists()
