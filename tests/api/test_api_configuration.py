"""A whole configuration as one document: round trips, plans, faults, references to secrets."""

import copy

import pytest
from api_worlds import make_world
from test_api_integrations import HOOK, PATH, QUEUE, queue_events, stored_settings

from wattwire.store import credentials
from wattwire.store.passwords import verify_password

CONFIGURATION = "/api/v1/configuration"
BROKER = {
    "name": "Old broker",
    "type": "mqtt",
    "settings": {
        "host": "broker.example.com", "client_id": "hub", "topics": [{"filter": "m/#"}],
        "username": "u", "password": "s3cr3t-of-the-broker",
    },
}  # fmt: skip


HASH = "SELECT password_hash FROM mqtt_credential WHERE username = 'u1'"


@pytest.fixture
async def filled(bench, owner, organization_id, reading):
    """Acme with some of everything; its document."""
    await owner.post("/api/v1/readings", {"readings": [reading("meter-1"), reading("meter-2")]})
    devices = (await owner.get("/api/v1/devices")).json["items"]
    first = f"/api/v1/devices/{devices[0]['id']}"
    await owner.patch(first, {
        "name": "Main meter", "time_zone": "Europe/Berlin", "type": "smart_meter",
        "metadata": {"site": {"name": "North"}, "note": "${ENV:HOME}", "n": [1, 2.5, None]},
    })  # fmt: skip
    await owner.patch(f"{first}/streams", {"path": "/power/1", "stamp": "end"})
    await owner.post("/api/v1/sources", BROKER)
    hook = {
        "device_ids": [devices[1]["id"], devices[0]["id"]], "stream_patterns": ["/power/**"],
        "outcomes": {"409": "ok"}, "schedule_seconds": [0, 5], "max_age_seconds": 600,
        "limits": {"rate_per_minute": None, "max_concurrent": 3}, "format": "cloudevents",
        "format_settings": {"type_prefix": "com.example."}, "enabled": False,
    }  # fmt: skip
    for body in (HOOK | hook, QUEUE, HOOK | {"name": "Objects", "format": "connexa"}):
        assert 201 == (await owner.post(PATH, body)).status
    for body in (
        {"username": "u1", "format": "json", "publish_topics": ["a/#"], "settings": {"x": 1}},
        {
            "username": "u2", "format": "netneural", "certificate_sha256": "ab" * 32,
            "publish_topics": [f"netneural/{organization_id}/devices/1/telemetry"],
        },
    ):  # fmt: skip
        assert 201 == (await owner.post("/api/v1/mqtt-credentials", body)).status
    return await export(owner)


async def export(client):
    answer = await client.get(CONFIGURATION)
    assert 200 == answer.status, answer.body
    return answer.json


async def apply(client, document, **options):
    return await client.post(CONFIGURATION, {"document": document, **options})


def references(document):
    """Every reference to a secret in a document, by where it points."""
    hook, objects, queue = (
        next(i for i in document["integrations"] if i["name"] == name)["settings"]
        for name in ("Desk", "Objects", "Queue")
    )
    user = next(c for c in document["mqtt_credentials"] if c["username"] == "u1")
    found = {
        document["sources"][0]["settings"]["password"]: "s3cr3t-of-the-broker",
        queue["aws"]["secret_access_key"]: "s3cr3t-of-aws",
        user["password"]: "a password of u1",
    }
    for settings in (hook, objects):
        found[settings["secret_key"]] = "s3cr3t-of-the-hook"
        found[settings["headers"]["Authorization"]] = "Bearer s3cr3t-header"
    return {name[2:-1]: value for name, value in found.items()}


async def test_applied_where_it_was_exported_it_changes_nothing(bench, owner, filled):
    """Nothing is planned, nothing written, nothing audited."""
    before = await bench.pool.fetch("SELECT * FROM integration ORDER BY id")
    audited = await bench.pool.fetchval("SELECT count(*) FROM audit")
    for options in ({}, {"dry_run": True}, {"prune": True}):
        done = await apply(owner, filled, **options)
        assert (200, 0, []) == (done.status, done.json["changes"], done.json["steps"]), done.body
    assert 9 == done.json["unchanged"]  # one organization, two devices, one source, three, two

    assert before == await bench.pool.fetch("SELECT * FROM integration ORDER BY id")
    assert audited == await bench.pool.fetchval("SELECT count(*) FROM audit")
    assert filled == await export(owner)


async def test_no_secret_is_in_the_document(bench, owner, filled):
    """Neither in clear nor hashed: a reference stands for each."""
    answer = await owner.get(CONFIGURATION)
    hash_ = await bench.pool.fetchval(
        "SELECT password_hash FROM mqtt_credential WHERE username = 'u1'"
    )

    assert b"s3cr3t" not in answer.body
    assert b"argon2" not in answer.body
    assert hash_.encode() not in answer.body
    desk = next(i for i in filled["integrations"] if i["name"] == "Desk")
    assert "${SECRET:WEBHOOK_DESK_SECRET_KEY}" == desk["settings"]["secret_key"]
    assert ["meter-1", "meter-2"] == desk["devices"]
    assert 7 == len(references(filled))


async def test_on_an_empty_hub_it_makes_the_same(bench, owner, filled):
    """With the secrets given, another organization's export is the same document."""
    other = await bench.new_organization("Empty")
    client = bench.client(await bench.token(other))
    values = references(filled)
    await bench.pool.execute("DELETE FROM mqtt_credential")  # user names are unique on the hub
    made = await apply(client, filled, values=values)
    assert 200 == made.status, made.body
    assert {"create"} == {step["action"] for step in made.json["steps"]}
    assert b"s3cr3t" not in made.body

    assert filled == await export(client)
    row = await bench.pool.fetchval(
        "SELECT id FROM integration WHERE organization_id = $1 AND name = 'Desk'", other
    )
    settings = await stored_settings(bench, row)
    assert "s3cr3t-of-the-hook" == settings.secret_key.get_secret_value()
    hash_ = await bench.pool.fetchval(
        "SELECT password_hash FROM mqtt_credential WHERE username = 'u1'"
    )
    assert await verify_password("a password of u1", hash_)
    again = await apply(client, filled, values=values)
    assert 0 == again.json["changes"], again.json


async def test_without_the_secrets_every_missing_one_is_named(bench, filled):
    """One fault for each, with its place and the name to give it by; nothing is made."""
    other = await bench.new_organization("Empty")
    client = bench.client(await bench.token(other))
    await bench.pool.execute("DELETE FROM mqtt_credential")
    refused = await apply(client, filled)

    assert 422 == refused.status
    errors = {e["field"]: e["message"] for e in refused.json["errors"]}
    assert "integrations[1].settings.headers.Authorization" in errors
    assert {"sources[0].settings.password", "mqtt_credentials[0].password"} <= errors.keys()
    assert 7 == len(errors)
    assert all("give a value for" in message for message in errors.values())
    assert 0 == await bench.pool.fetchval(
        "SELECT count(*) FROM device WHERE organization_id = $1", other
    )


async def test_a_plan_tells_field_by_field(bench, owner, filled):
    """Create and update with what was and will be; secrets masked; a dry run does nothing."""
    wanted = copy.deepcopy(filled)
    desk = next(i for i in wanted["integrations"] if i["name"] == "Desk")
    desk["settings"]["url"] = "https://example.com/new"
    desk["settings"]["secret_key"] = "a-new-secret-of-the-hook"
    del desk["settings"]["headers"]["Authorization"]
    desk["topics"] = ["device.alert"]
    wanted["devices"][0]["metadata"]["site"]["name"] = "South"
    wanted["devices"][0]["streams"][0]["interval_seconds"] = 900
    wanted["devices"].append({"key": "meter-9", "streams": [{"path": "/p", "stamp": "end"}]})
    wanted["organization"]["detect_resets"] = True
    planned = (await apply(owner, wanted, dry_run=True)).json
    assert filled == await export(owner)

    steps = {(s["action"], s["name"]): s["changes"] for s in planned["steps"]}
    assert False is planned["applied"]
    assert [
        ("update", "Acme"), ("update", "meter-1"), ("create", "meter-9"),
        ("update", "webhook/Desk"),
    ] == list(steps)  # fmt: skip
    assert [
        ("topics", ["device.telemetry"], ["device.alert"]),
        ("settings.url", "https://example.com/hooks", "https://example.com/new"),
        ("settings.secret_key", "(secret)", "(another secret)"),
        ("settings.headers.Authorization", "(secret)", None),
    ] == [(c["field"], c["before"], c["after"]) for c in steps["update", "webhook/Desk"]]
    assert {"metadata.site.name", "streams./power/1.interval_seconds"} == {
        c["field"] for c in steps["update", "meter-1"]
    }

    done = await apply(owner, wanted)
    assert (True, planned["steps"]) == (done.json["applied"], done.json["steps"])
    assert 0 == (await apply(owner, wanted)).json["changes"]
    number = await bench.pool.fetchval("SELECT id FROM integration WHERE name = 'Desk'")
    settings = await stored_settings(bench, number)
    assert "a-new-secret-of-the-hook" == settings.secret_key.get_secret_value()
    assert {} == settings.headers
    after = await export(owner)
    assert "meter-9" == after["devices"][2]["name"]
    assert [{"path": "/p", "stamp": "end", "interval_seconds": None, "detect_resets": None}] == (
        after["devices"][2]["streams"]
    )


async def test_every_change_is_audited(bench, owner, filled):
    """A row for each thing, one for the whole, none with a secret."""
    wanted = copy.deepcopy(filled)
    wanted["sources"] = []
    wanted["integrations"][0]["enabled"] = not wanted["integrations"][0]["enabled"]
    wanted["mqtt_credentials"][0]["password"] = "another long password"
    await apply(owner, wanted, prune=True)
    rows = (await owner.get("/api/v1/audit")).json["items"][:4]

    assert [
        "configuration.applied", "mqtt_credential.updated", "integration.updated", "source.deleted"
    ] == [row["action"] for row in rows]  # fmt: skip
    assert {"changes": 3, "unchanged": 7 - 1} == rows[0]["detail"]
    assert ["enabled"] == rows[2]["detail"]["changed"]
    assert b"another long password" not in (await owner.get("/api/v1/audit")).body


def hook(document):
    return document["integrations"][1]["settings"]


FAULTS = [
    (lambda d: d.update(wattwire=2), "wattwire"),
    (lambda d: d.update(colour="red"), "colour"),
    (lambda d: d.update(devices={"key": "x"}), "devices"),
    (lambda d: d["devices"][0].update(time_zone="Mars/Base"), "devices[0].time_zone"),
    (lambda d: d["devices"].append(d["devices"][0]), "devices[2].key"),
    (
        lambda d: d["devices"][0]["streams"].append({"path": "/power/1"}),
        "devices[0].streams[1].path",
    ),
    (lambda d: d["devices"].append("x"), "devices[2]"),
    (lambda d: d["sources"][0].update(type="soap"), "sources[0].type"),
    (lambda d: d["sources"][0]["settings"].pop("host"), "sources[0].settings.host"),
    (lambda d: d["integrations"][0].update(type="fax"), "integrations[0].type"),
    (lambda d: hook(d).update(url="ftp://x"), "integrations[1].settings.url"),
    (lambda d: hook(d).update(type="x"), "integrations[1].settings.type"),
    (lambda d: d["integrations"][1].update(topics=["no.such"]), "integrations[1].topics[0]"),
    (lambda d: d["integrations"][1].update(devices=["nobody"]), "integrations[1].devices[0]"),
    (lambda d: d["integrations"][1].update(device_ids=[1]), "integrations[1].device_ids"),
    (lambda d: d["integrations"][1].update(format="morse"), "integrations[1].format"),
    (
        lambda d: d["integrations"][1].update(format_settings={"x": 1}),
        "integrations[1].format_settings.x",
    ),
    (lambda d: d["integrations"].append(d["integrations"][1]), "integrations[3].name"),
    (lambda d: d["mqtt_credentials"][0].update(publish_topics=["a/#/b"]),
     "mqtt_credentials[0].publish_topics[0]"),
    (lambda d: d["mqtt_credentials"][0].update(password="short"), "mqtt_credentials[0].password"),
    (lambda d: d["mqtt_credentials"][0].update(password=None), "mqtt_credentials[0].password"),
    (lambda d: d["devices"][0].update(name="${SECRET:X}"), "devices[0].name"),
    (lambda d: d["devices"][0].update(name="${ENV:NOT_GIVEN}"), "devices[0].name"),
    (lambda d: d["organization"].update(name="x"), "organization.name"),
]  # fmt: skip


async def test_all_faults_are_told_with_their_places(owner, filled):
    """Each alone with its path; together all at once; and nothing is changed."""
    for change, place in FAULTS:
        wanted = copy.deepcopy(filled)
        change(wanted)
        refused = await apply(owner, wanted)
        assert 422 == refused.status, place
        fields = [e["field"] for e in refused.json["errors"]]
        assert any(field.startswith(place) for field in fields), (place, fields)
    wanted = copy.deepcopy(filled)
    wanted["devices"][0]["time_zone"] = "Mars/Base"
    wanted["sources"][0]["settings"].pop("host")
    wanted["integrations"][1]["settings"]["url"] = "ftp://x"
    wanted["mqtt_credentials"][0]["password"] = "short"
    refused = (await apply(owner, wanted)).json

    assert "The document does not fit: 4 faults." == refused["detail"]
    assert filled == await export(owner)


async def test_names_that_are_not_unique_are_refused(bench, owner, filled):
    """Two integrations of one type and name: export and apply say which, and change nothing."""
    twin = (await owner.post(PATH, HOOK)).json["id"]
    first = await bench.pool.fetchval("SELECT min(id) FROM integration WHERE name = 'Desk'")
    exported = await owner.get(CONFIGURATION)
    assert 409 == exported.status
    assert f"webhook/Desk, {first} and {twin}" in exported.json["detail"]

    refused = await apply(owner, filled)
    assert 422 == refused.status
    assert ["integrations[1].name"] == [e["field"] for e in refused.json["errors"]]
    assert f"{first} and {twin}" in refused.json["errors"][0]["message"]


async def test_prune_deletes_what_is_not_named(bench, owner, organization_id, filled):
    """Only in sections that are there, never devices; what is queued is shown and then needed."""
    number = await bench.pool.fetchval("SELECT id FROM integration WHERE name = 'Desk'")
    await queue_events(bench, organization_id, number, 3)
    wanted = copy.deepcopy(filled)
    wanted["integrations"] = [i for i in wanted["integrations"] if i["name"] != "Desk"]
    wanted["devices"], wanted["mqtt_credentials"] = [], []
    del wanted["sources"]
    planned = (await apply(owner, wanted, prune=True, dry_run=True)).json
    deleted = {step["name"]: step["queued"] for step in planned["steps"]}
    assert {"delete"} == {step["action"] for step in planned["steps"]}
    assert {
        "webhook/Desk": {"waiting": 3, "in_flight": 0, "dead": 0}, "u1": None, "u2": None,
    } == deleted  # fmt: skip

    refused = await apply(owner, wanted, prune=True)
    assert (409, 3) == (refused.status, refused.json["queued"])
    assert "webhook/Desk: 3 waiting" in refused.json["detail"]
    assert filled == await export(owner)

    done = await apply(owner, wanted, prune=True, discard=True)
    assert 200 == done.status, done.body
    after = await export(owner)
    assert (["Queue", "Objects"], [], 1, 2) == (
        [i["name"] for i in after["integrations"]], after["mqtt_credentials"],
        len(after["sources"]), len(after["devices"]),
    )  # fmt: skip
    ledger = "SELECT sum(matched) - sum(discarded) FROM ledger WHERE integration_id = $1"
    assert 0 == await bench.pool.fetchval(ledger, number)


async def test_without_prune_nothing_is_deleted(owner, filled):
    """An empty document changes nothing."""
    done = await apply(owner, {"wattwire": 1, "integrations": [], "sources": []})

    assert (200, 0) == (done.status, done.json["changes"])
    assert filled == await export(owner)


async def test_it_is_all_or_nothing(bench, owner, filled):
    """A database that fails in the last step undoes the first."""
    wanted = copy.deepcopy(filled)
    wanted["devices"][0]["name"] = "Renamed"
    wanted["mqtt_credentials"][0]["disabled"] = True
    await bench.pool.execute("ALTER TABLE mqtt_credential ADD CHECK (disabled_at IS NULL)")
    failed = await apply(owner, wanted)

    assert failed.status >= 500
    assert filled == await export(owner)


async def test_only_owners_apply(bench, organization_id, filled):
    """An editor may export, not apply; a viewer neither."""
    for role, statuses in (("editor", (200, 403)), ("viewer", (403, 403))):
        client = bench.client(await bench.token(organization_id, role))
        found = (await client.get(CONFIGURATION)).status, (await apply(client, filled)).status
        assert statuses == found


async def test_another_organization_is_not_touched(bench, owner, filled):
    """Its devices cannot be named, its user names not taken, its things not pruned."""
    await make_world(bench.pool, await bench.new_organization("zebra Inc"), "zebra")
    wanted = copy.deepcopy(filled)
    wanted["integrations"][0]["devices"] = ["zebra-meter"]
    wanted["mqtt_credentials"].append(
        {
            "username": "zebra-user",
            "format": "json",
            "publish_topics": ["a"],
            "password": "a long password",
        }
    )
    refused = await apply(owner, wanted)
    assert ["integrations[0].devices[0]", "mqtt_credentials[2].username"] == [
        e["field"] for e in refused.json["errors"]
    ]
    empty = {"wattwire": 1, "sources": [], "integrations": [], "mqtt_credentials": []}
    assert 200 == (await apply(owner, empty, prune=True, discard=True)).status
    left = "SELECT name FROM integration WHERE deleted_at IS NULL ORDER BY name"
    assert ["zebra integration", "zebra mail"] == [r[0] for r in await bench.pool.fetch(left)]
    assert b"zebra" not in (await owner.get(CONFIGURATION)).body


async def test_a_password_can_go(bench, owner, organization_id, filled):
    """With a certificate the password may be taken away; what is not said of it stays away."""
    wanted = copy.deepcopy(filled)
    wanted["mqtt_credentials"][0] |= {"password": None, "certificate_sha256": "CD" * 32}
    done = await apply(owner, wanted)
    assert 1 == done.json["changes"], done.json
    user = await credentials.find_by_username(bench.pool, organization_id, "u1")

    assert (False, bytes.fromhex("cd" * 32)) == (user.has_password, user.certificate_sha256)
    assert 0 == (await apply(owner, wanted)).json["changes"]


async def test_lost_secrets_are_entered_again_by_a_document(bench, owner, filled):
    """An export says which; a document that gives them makes all well."""
    await bench.pool.execute("UPDATE source SET secrets = 'WS1 lost'")
    exported = await owner.get(CONFIGURATION)
    assert (409, True) == (exported.status, "Old broker" in exported.json["detail"])

    assert 422 == (await apply(owner, filled)).status
    name = filled["sources"][0]["settings"]["password"][2:-1]
    done = await apply(owner, filled, values={name: "s3cr3t-again"})
    assert (200, 1) == (done.status, done.json["changes"]), done.body
    assert filled == await export(owner)


async def test_deep_documents_are_refused(owner):
    """Nested beyond reason: a fault, not a crash."""
    deep = {}
    for _ in range(200):
        deep = {"a": deep}
    done = await apply(owner, {"wattwire": 1, "devices": [{"key": "x", "metadata": deep}]})

    assert 422 == done.status


async def test_many_devices_are_applied_in_time(bench, owner):
    """A document of 2,000 devices is applied, exported the same, and applied again at once."""
    devices = [{"key": f"m-{n:05}", "name": f"Meter {n}", "type": "", "time_zone": "UTC",
                "metadata": {"n": n}} for n in range(2000)]  # fmt: skip
    made = await apply(owner, {"wattwire": 1, "devices": devices})
    assert (200, 2000) == (made.status, made.json["changes"])

    assert devices == (await export(owner))["devices"]
    again = await apply(owner, {"wattwire": 1, "devices": devices})
    assert (0, 2000) == (again.json["changes"], again.json["unchanged"])
