"""Commands on a running hub: what they print, what they change, how they end."""

import asyncio
import json

import pytest
from cli_runner import run_wattwire

from wattwire.store import solarnetwork
from wattwire.store.passwords import verify_password


@pytest.fixture
async def acme(organization_id):
    """There is an organization."""
    return organization_id


async def test_a_token_made_here_opens_the_api(bench, wattwire, acme):
    """`token create --json` prints id and token; listed without its secret; revoked it ends."""
    made = await wattwire("token", "create", "--role", "owner", "--name", "x", "--json")
    assert 0 == made.code, made.err
    token = made.json
    client = bench.client(token["token"])
    assert token["token"].startswith(token["id"] + ".")
    assert 200 == (await client.get("/api/v1/devices")).status

    listed = await wattwire("token", "list", "--json")
    assert [token["id"]] == [t["id"] for t in listed.json["items"]]
    assert token["token"].partition(".")[2] not in listed.out
    assert 0 == (await wattwire("token", "revoke", token["id"])).code
    async with asyncio.timeout(5):
        while (await client.get("/api/v1/devices")).status != 401:
            await asyncio.sleep(0.02)


async def test_an_mqtt_credential_has_exactly_the_promised_shape(bench, wattwire, acme):
    """username, password and topic; the password fits what is stored and is shown this once."""
    made = await wattwire(
        "mqtt-credential", "create", "--username", "u1", "--topic", "meters/1",
        "--format", "smart_meter", "--subscribe", "meters/1/commands", "--json",
    )  # fmt: skip
    assert 0 == made.code, made.err
    shape = made.json
    assert ("u1", "meters/1") == (shape["username"], shape["topic"])
    assert ["meters/1/commands"] == shape["subscribe_topics"]
    stored = await bench.pool.fetchval("SELECT password_hash FROM mqtt_credential")
    assert await verify_password(shape["password"], stored)

    listed = await wattwire("mqtt-credential", "list", "--json")
    assert shape["password"] not in listed.out
    assert 0 == (await wattwire("mqtt-credential", "disable", "--username", "u1")).code
    assert await bench.pool.fetchval("SELECT disabled_at IS NOT NULL FROM mqtt_credential")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--topic", "meters/#", "--format", "smart_meter"), "one exact topic"),
        (("--format", "smart_meter"), "must name the topic"),
        (("--topic", "a/#/b", "--format", "json"), "only as its last level"),
        (("--topic", "other/x", "--format", "sparkplug_b"), "spBv1.0/"),
        (("--topic", "netneural/x/devices/1/telemetry", "--format", "netneural"), "netneural/"),
    ],
)
async def test_topics_that_cannot_work_are_refused(wattwire, acme, arguments, said):
    """Exit code 1 and a sentence that says what a topic must be."""
    done = await wattwire("mqtt-credential", "create", "--username", "u", *arguments)

    assert 1 == done.code
    assert said in done.err
    assert "Traceback" not in done.err


async def test_a_name_that_is_taken(wattwire, acme):
    """A second organization of the same name is refused in one sentence."""
    done = await wattwire("organization", "create", "Acme")

    assert (1, "wattwire: something with this name exists already\n") == (done.code, done.err)


async def test_organizations_are_chosen_by_name(wattwire, acme):
    """The oldest one without a name; another by its name; none that is not there."""
    assert 0 == (await wattwire("organization", "create", "Second")).code
    await wattwire("token", "create", "--role", "viewer", "--organization", "Second")
    first = (await wattwire("token", "list", "--json")).json["items"]
    second = (await wattwire("token", "list", "--organization", "Second", "--json")).json["items"]
    missing = await wattwire("token", "list", "--organization", "Third")

    assert (0, 1) == (len(first), len(second))
    assert 1 == missing.code
    assert "there is no organization Third" in missing.err


async def test_a_user_signs_in_with_the_password_given(bench, wattwire, acme):
    """Passwords come over standard input, never as an argument; too short ones are refused."""
    short = await wattwire(
        "user", "create", "a@b.c", "--role", "owner", "--password-stdin", stdin="short\n"
    )
    assert 1 == short.code
    made = await wattwire(
        "user",
        "create",
        "a@b.c",
        "--role",
        "owner",
        "--password-stdin",
        "--json",
        stdin="a long enough password\n",
    )
    assert 0 == made.code
    assert "password" not in made.json
    sign_in = {"email": "a@b.c", "password": "a long enough password"}
    assert 201 == (await bench.client(None).post("/api/v1/session", sign_in)).status

    new = (await wattwire("user", "password", "a@b.c", "--json")).json["password"]
    assert 401 == (await bench.client(None).post("/api/v1/session", sign_in)).status
    assert (
        201
        == (await bench.client(None).post("/api/v1/session", sign_in | {"password": new})).status
    )
    last = await wattwire("user", "disable", "a@b.c")
    assert 1 == last.code
    assert "last owner" in last.err


async def test_devices_readings_and_rollups(bench, wattwire, acme):
    """A device is listed, changed and shown; its readings are printed as a table and as JSON."""
    client = bench.client(await bench.token(acme))
    reading = {
        "device": "m1",
        "stream": "/p",
        "time": "2025-06-01T12:00:00Z",
        "values": {"x_w": 1.5},
    }
    await client.post("/api/v1/readings", {"readings": [reading]})
    listed = await wattwire("device", "list")
    assert "KEY" in listed.out
    assert "m1" in listed.out
    changed = await wattwire(
        "device", "set", "m1", "--time-zone", "Europe/Berlin", "--metadata", '{"a": 1}', "--json"
    )
    assert ("Europe/Berlin", {"a": 1}) == (changed.json["time_zone"], changed.json["metadata"])
    shown = (await wattwire("device", "show", "m1", "--json")).json
    assert ["x_w"] == [c["name"] for c in shown["streams"][0]["channels"]]
    table = await wattwire("readings", "m1")
    assert ["STREAM", "TIME", "X_W"] == table.out.splitlines()[0].split()
    assert {"x_w": 1.5} == (await wattwire("readings", "m1", "--json")).json["items"][0]["values"]
    span = ("--from", "2025-01-01T00:00:00Z", "--to", "2026-01-01T00:00:00Z")
    assert [] == (await wattwire("rollups", "m1", *span, "--json")).json["items"]

    wrong = await wattwire("device", "set", "m1", "--time-zone", "Mars/Olympus")
    assert 1 == wrong.code
    assert "time_zone: " in wrong.err
    missing = await wattwire("device", "show", "m2")
    assert (1, "wattwire: there is no device m2: see `wattwire device list`\n") == (
        missing.code,
        missing.err,
    )


async def test_quarantine_from_the_command_line(bench, wattwire, acme, tmp_path):
    """List, show, mend from a file, purge."""
    client = bench.client(await bench.token(acme))
    await client.post(
        "/api/v1/readings", {"readings": [{"device": "m1"}, {"device": "m2"}, {"device": "m3"}]}
    )
    entries = (await wattwire("quarantine", "list", "--json")).json["items"]
    assert 3 == len(entries)
    number = entries[0]["id"]
    assert '{"readings":[{"device": "m' in (await wattwire("quarantine", "show", number)).out
    refused = await wattwire("quarantine", "replay", number)
    assert 1 == refused.code
    assert "0 understood, 1 still refused" in refused.out
    mended = {"device": "m3", "stream": "/p", "time": "2025-06-01T12:00:00Z", "values": {"x_w": 1}}
    (tmp_path / "mended.json").write_text(json.dumps({"readings": [mended]}))
    done = await wattwire("quarantine", "replay", number, "--file", "mended.json", "--json")
    assert 1 == done.json["accepted"]
    assert 1 == (await wattwire("quarantine", "purge")).code
    assert {"purged": 2} == (await wattwire("quarantine", "purge", "--all", "--json")).json


async def test_integrations_from_the_command_line(bench, wattwire, acme, tmp_path):
    """Settings come from a file: secrets stay out of the process list. Test, stats, pause."""
    (tmp_path / "hook.json").write_text('{"url": "https://a.example/", "secret_key": "s3cr3t-key"}')
    made = await wattwire(
        "integration", "create", "--type", "webhook", "--name", "Desk",
        "--topic", "device.telemetry", "--settings", "@hook.json", "--json",
    )  # fmt: skip
    assert 0 == made.code, made.err
    assert "s3cr3t" not in made.out
    number = made.json["id"]
    assert "delivered" == (await wattwire("integration", "test", number, "--json")).json["outcome"]
    assert 0 == (await wattwire("integration", "stats", number, "--json")).json["matched"]
    assert "inactive" == (await wattwire("integration", "pause", number, "--json")).json["status"]
    assert "active" == (await wattwire("integration", "resume", number, "--json")).json["status"]
    replayed = await wattwire(
        "integration", "replay", number, "--dead-since", "2020-01-01T00:00:00Z", "--json"
    )
    assert {"queued": 0} == replayed.json
    assert "Desk" in (await wattwire("integration", "list")).out
    assert 0 == (await wattwire("event", "list")).code

    wrong = await wattwire(
        "integration",
        "create",
        "--type",
        "webhook",
        "--name",
        "x",
        "--topic",
        "x",
        "--settings",
        "{}",
    )
    assert 1 == wrong.code
    assert "settings: Value error, give either a url or a secret_url" in wrong.err


async def test_a_command_leaves_no_token_behind(bench, wattwire, acme):
    """The token of a call is gone with it, and the audit names the person."""
    await wattwire("device", "list")

    assert 0 == await bench.pool.fetchval("SELECT count(*) FROM token")
    await wattwire("token", "create", "--role", "viewer")
    actor = await bench.pool.fetchval("SELECT actor FROM audit")
    assert actor.startswith("cli:")


async def test_without_a_hub_the_sentence_says_what_to_do(tmp_path):
    """Exit code 3, no stack trace, on every command that needs a hub."""
    for command in (
        ("token", "create", "--role", "owner"), ("device", "list"), ("migrate",),
        ("quarantine", "list"), ("organization", "list"), ("integration", "stats", "1"),
    ):  # fmt: skip
        done = await run_wattwire(*command, "--data-dir", tmp_path / "none", cwd=tmp_path)
        assert 3 == done.code, command
        assert "wattwire serve" in done.err
        assert "Traceback" not in done.err


async def test_an_unreachable_database_is_a_sentence(tmp_path):
    """A wrong WATTWIRE_DATABASE_URL ends with exit code 3."""
    env = {"WATTWIRE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    done = await run_wattwire("token", "list", env=env, cwd=tmp_path)

    assert 3 == done.code
    assert "PostgreSQL does not answer" in done.err
    assert "Traceback" not in done.err


async def test_a_setting_that_does_not_fit_is_a_sentence(tmp_path):
    """The name of the variable and what is wrong with it."""
    done = await run_wattwire("doctor", env={"WATTWIRE_HTTP_PORT": "99999"}, cwd=tmp_path)

    assert 1 == done.code
    assert "WATTWIRE_HTTP_PORT" in done.err


async def test_the_store_can_be_named_by_its_address(database_url, organization_id, tmp_path):
    """Commands about who may come in need nothing but WATTWIRE_DATABASE_URL."""
    env = {"WATTWIRE_DATABASE_URL": database_url}
    made = await run_wattwire(
        "token", "create", "--role", "viewer", "--json", env=env, cwd=tmp_path
    )
    assert "viewer" == made.json["role"]
    assert {"applied": []} == (await run_wattwire("migrate", "--json", env=env, cwd=tmp_path)).json
    needs_api = await run_wattwire("device", "list", env=env, cwd=tmp_path)

    assert 3 == needs_api.code
    assert "needs the API" in needs_api.err


async def test_doctor_finds_nothing_wrong_and_then_everything(bench, wattwire, acme):
    """Green on a healthy hub; each fault is named with what to do; exit code 1 for a fault."""
    good = await wattwire("doctor", "--json")
    assert (0, True) == (good.code, good.json["ok"]), good.out
    names = {f["name"]: f["level"] for f in good.json["findings"]}
    assert "ok" == names["database"] == names["API"] == names["clock"] == names["quarantine"]

    client = bench.client(await bench.token(acme))
    await client.post("/api/v1/readings", {"readings": [{"device": "m1"}]})
    from wattwire.api.contract import Check

    bench.status.checks = [Check("log", ok=False, detail="disk full")]
    bad = await wattwire("doctor")
    assert 1 == bad.code
    assert "FAIL  hub, log: disk full" in bad.out
    assert "warn  quarantine: 1 entries wait" in bad.out


async def test_doctor_says_that_no_hub_runs_and_which_ports_are_taken(tmp_path):
    """Without a hub: start one; and a port that another program has is named."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        env = {"WATTWIRE_HTTP_PORT": str(taken.getsockname()[1])}
        done = await run_wattwire("doctor", "--data-dir", tmp_path / "none", env=env, cwd=tmp_path)

    assert 1 == done.code
    assert "no hub runs on" in done.out
    assert f"port {env['WATTWIRE_HTTP_PORT']} is taken" in done.out


async def test_doctor_sees_a_database_that_is_not_migrated(postgres_url, tmp_path):
    """An empty database: run `wattwire migrate`."""
    env = {"WATTWIRE_DATABASE_URL": postgres_url}
    done = await run_wattwire("doctor", env=env, cwd=tmp_path)

    assert 1 == done.code
    assert "run `wattwire migrate`" in done.out


async def test_the_description_of_the_api_is_printed(tmp_path):
    """`wattwire openapi` needs no hub."""
    done = await run_wattwire("openapi", cwd=tmp_path)

    assert "3.1.0" == done.json["openapi"]


async def test_a_solarnetwork_token_made_here_can_be_opened(bench, wattwire, acme):
    """`solarnetwork-token create --json` prints the id and the secret that was sealed; revoked."""
    made = await wattwire(
        "solarnetwork-token", "create", "--name", "x", "--kind", "ReadNodeData", "--node", "7",
        "--node", "8", "--source", "/power/**", "--days", "1", "--json",
    )  # fmt: skip
    assert 0 == made.code, made.err
    token = made.json
    assert (20, 40, "ReadNodeData") == (len(token["id"]), len(token["secret"]), token["kind"])
    assert {"node_ids": [7, 8], "source_ids": ["/power/**"]} == token["policy"]
    signer = await solarnetwork.find_signer(bench.pool, token["id"])
    sealer = bench.hub.sealer.bound(solarnetwork.secret_context(token["id"]))
    assert token["secret"] == sealer.open(signer.secret).decode()

    listed = await wattwire("solarnetwork-token", "list", "--json")
    assert [token["id"]] == [t["id"] for t in listed.json["items"]]
    assert token["secret"] not in listed.out
    assert 0 == (await wattwire("solarnetwork-token", "revoke", token["id"])).code
    assert await solarnetwork.find_signer(bench.pool, token["id"]) is None
    gone = await wattwire("solarnetwork-token", "revoke", "x")
    assert 1 == gone.code
    assert "there is no token x" in gone.err
