"""SolarNetwork's event hooks: integrations seen through its API."""

from datetime import UTC, datetime

import pytest
from hook_cases import HOOK, HOOKS, PROPERTIES, SECRET, SEED, UPDATE, fits, secret_of
from solarnetwork_bench import make_client

from wattwire.solarnetwork.hooks import created_text
from wattwire.solarnetwork.services import SQS, SQS_TODAY

NOT_FOUND = {"success": False, "code": "DAO.00102", "message": "The requested key was not found."}


@pytest.fixture
async def owner(bench, organization_id):
    """A client of the native API."""
    return bench.client(await bench.token(organization_id))


async def test_a_hook_is_answered_as_the_seed_shows(user, bench):
    """Order, form and content; the secret as a digest that is another one at each reading."""
    made = await user.post(HOOKS, SEED)
    seen = await user.get(f"{HOOKS}/{made.data['id']}")

    assert 200 == made.status
    assert ["success", "data"] == list(made.json)
    assert [
        "id",
        "userId",
        "created",
        "name",
        "topic",
        "serviceIdentifier",
        "nodeIds",
        "sourceIds",
        "serviceProperties",
    ] == list(made.data)
    properties = made.data["serviceProperties"]
    assert ["region", "accessKey", "queueName", "secretKey"] == list(properties)
    assert fits(properties["secretKey"], SECRET)
    assert properties["secretKey"] != seen.data["serviceProperties"]["secretKey"]
    shown = dict(made.data)
    shown["serviceProperties"] = {**properties, "secretKey": SECRET}
    number = await bench.pool.fetchval("SELECT number FROM organization")
    created = shown.pop("created")
    assert {"id": made.data["id"], "userId": number, **SEED} == shown
    assert created_text(datetime.fromisoformat(created)) == created


@pytest.mark.parametrize(
    ("microsecond", "text"),
    [(0, "2020-06-16 03:04:04Z"), (829_320, "2020-06-16 03:04:04.82932Z")],
)
def test_a_fraction_is_shown_only_where_there_is_one(microsecond, text):
    """As many digits as it needs."""
    assert text == created_text(datetime(2020, 6, 16, 3, 4, 4, microsecond, tzinfo=UTC))


async def test_nulls_are_left_out(user):
    """A hook of every node and source, without properties."""
    made = await user.post(
        HOOKS,
        {
            "name": "a",
            "topic": UPDATE,
            "serviceIdentifier": SQS,
            "nodeIds": [],
            "sourceIds": None,
            "other": [1],
        },
    )

    assert ["id", "userId", "created", "name", "topic", "serviceIdentifier"] == list(made.data)


async def test_hooks_are_listed_by_name(user):
    """Lower case first by name, then by id; no paging."""
    for name in ("b", "A", "a", "C"):
        await user.post(HOOKS, {**HOOK, "name": name})

    listed = (await user.get(HOOKS)).data
    assert ["A", "a", "b", "C"] == [hook["name"] for hook in listed]
    assert listed[0]["id"] < listed[1]["id"]


async def test_a_hook_is_an_integration(user, owner, bench, organization_id):
    """What one face makes or changes the other shows."""
    made = (await user.post(HOOKS, SEED)).data
    native = (await owner.get(f"/api/v1/integrations/{made['id']}")).json

    number = await bench.pool.fetchval("SELECT number FROM organization")
    wanted = {
        "type": "aws_sqs",
        "name": "SQS Test",
        "topics": [UPDATE],
        "device_ids": [234],
        "stream_patterns": ["/power/1"],
        "format": "solarnetwork",
        "format_settings": {"user_id": number},
        "enabled": True,
    }
    assert wanted == {name: native[name] for name in wanted}
    assert (
        "https://sqs.us-west-2.amazonaws.com/123456789012/node-event-dest-test"
        == native["settings"]["queue_url"]
    )
    assert SECRET not in str(native)
    await owner.patch(f"/api/v1/integrations/{made['id']}", {"name": "New", "device_ids": None})
    seen = (await user.get(f"{HOOKS}/{made['id']}")).data
    assert "New" == seen["name"]
    assert "nodeIds" not in seen


async def test_an_integration_of_one_topic_is_a_hook(user, owner):
    """Made in the native API with SolarNetwork's format; others are not shown."""
    body = {
        "type": "webhook",
        "name": "n",
        "topics": [UPDATE],
        "format": "solarnetwork",
        "settings": {"url": "https://example.com/x", "secret_key": "hush", "retry_attempts": 5},
    }
    shown = (await owner.post("/api/v1/integrations", body)).json["id"]
    await owner.post("/api/v1/integrations", {**body, "format": None})
    await owner.post("/api/v1/integrations", {**body, "topics": [UPDATE, "device.status"]})

    listed = (await user.get(HOOKS)).data
    assert [(shown, "webhook")] == [(hook["id"], hook["serviceIdentifier"]) for hook in listed]
    properties = listed[0]["serviceProperties"]
    assert fits(properties.pop("secret_key"), "hush")
    assert {"url": "https://example.com/x", "retry_attempts": 5} == properties


async def test_an_update_replaces_and_keeps_when_it_was_made(user):
    """Everything but created and id; the response is the stored hook."""
    made = (await user.post(HOOKS, SEED)).data
    changed = {"id": made["id"], **HOOK, "name": "other", "sourceIds": ["/x/**"]}
    replaced = (await user.post(HOOKS, changed)).data

    assert (made["id"], made["created"]) == (replaced["id"], replaced["created"])
    assert ("other", "webhook", ["/x/**"]) == (
        replaced["name"],
        replaced["serviceIdentifier"],
        replaced["sourceIds"],
    )
    assert "nodeIds" not in replaced
    assert replaced["serviceProperties"].keys() == {"url", "secret_key"}
    assert 1 == len((await user.get(HOOKS)).data)


async def test_both_names_of_the_sqs_service_are_taken(user, owner):
    """Each is answered as it was given; both are the type aws_sqs; between them secrets stay."""
    made = (await user.post(HOOKS, {**SEED, "serviceIdentifier": SQS_TODAY})).data
    assert SQS_TODAY == made["serviceIdentifier"]
    properties = {k: v for k, v in PROPERTIES.items() if k != "secretKey"}
    again = {**SEED, "id": made["id"], "serviceProperties": properties}
    replaced = (await user.post(HOOKS, again)).data

    assert SQS == replaced["serviceIdentifier"]
    assert fits(replaced["serviceProperties"]["secretKey"], SECRET)
    assert "aws_sqs" == (await owner.get(f"/api/v1/integrations/{made['id']}")).json["type"]


async def test_what_cannot_work_is_stored_all_the_same(user, owner, bench):
    """No service, topic or settings are checked; what nobody knows is sealed and comes back."""
    odd = {
        "name": "odd",
        "topic": "no/such",
        "serviceIdentifier": "no.Such",
        "serviceProperties": {"a": {"b": 1}},
    }
    made = (await user.post(HOOKS, odd)).data
    assert odd == {name: made[name] for name in odd}
    native = (await owner.get(f"/api/v1/integrations/{made['id']}")).json
    assert ("no.Such", {}) == (native["type"], native["settings"])

    broken = {**HOOK, "serviceProperties": {"url": "nowhere", "secret_key": "hush", "more": "1"}}
    shown = (await user.post(HOOKS, broken)).data
    assert fits(shown["serviceProperties"].pop("secret_key"), "hush")
    assert {"url": "nowhere", "more": "1"} == shown["serviceProperties"]
    assert {"secret_key": "hush", "more": "1"} == await secret_of(bench, shown["id"])


async def test_forms_send_text_for_everything(user, owner):
    """Numbers, switches, lists and objects as text; an empty text is no value."""
    properties = {
        "url": "https://example.com/x",
        "retry_attempts": "5",
        "timeout_seconds": "",
        "headers": '{"X-A": "1"}',
    }
    made = (await user.post(HOOKS, {**HOOK, "serviceProperties": properties})).data
    email = {
        "host": "mail.example.com",
        "from_address": "a@example.com",
        "to": "b@example.com, c@example.com",
    }
    mail = await user.post(
        HOOKS, {**HOOK, "serviceIdentifier": "email", "serviceProperties": email}
    )

    settings = (await owner.get(f"/api/v1/integrations/{made['id']}")).json["settings"]
    assert 5 == settings["retry_attempts"]
    assert fits(made["serviceProperties"]["headers"], '{"X-A":"1"}')
    assert ["b@example.com", "c@example.com"] == mail.data["serviceProperties"]["to"]


async def test_a_hook_is_deleted_with_what_is_queued(user, owner, bench):
    """200 and success alone; then it is not there, in either face."""
    made = (await user.post(HOOKS, SEED)).data
    await bench.pool.execute(
        "INSERT INTO delivery (integration_id, event_id, event_created_at)"
        " VALUES ($1, gen_random_uuid(), now())",
        made["id"],
    )
    gone = await user.delete(f"{HOOKS}/{made['id']}")

    assert (200, {"success": True}) == (gone.status, gone.json)
    assert 0 == await bench.pool.fetchval("SELECT count(*) FROM delivery")
    again = await user.delete(f"{HOOKS}/{made['id']}")
    assert (404, NOT_FOUND) == (again.status, again.json)
    assert 404 == (await owner.get(f"/api/v1/integrations/{made['id']}")).status


async def test_others_hooks_are_not_there(user, bench):
    """To read, delete or replace; the answer is that of one that never was."""
    made = (await user.post(HOOKS, SEED)).data
    stranger = await make_client(bench, await bench.new_organization("Other"))

    answers = [
        await stranger.get(f"{HOOKS}/{made['id']}"),
        await stranger.delete(f"{HOOKS}/{made['id']}"),
        await stranger.post(HOOKS, {**SEED, "id": made["id"]}),
        await stranger.post(HOOKS, {**SEED, "id": 999}),
        await stranger.get(f"{HOOKS}/0"),
        await stranger.get(f"{HOOKS}/9223372036854775807"),
    ]
    assert [(404, NOT_FOUND)] * 6 == [(a.status, a.json) for a in answers]
    assert [] == (await stranger.get(HOOKS)).data
    assert "SQS Test" == (await user.get(f"{HOOKS}/{made['id']}")).data["name"]


BAD_DATA = "DAO.00103"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": "x" * 65}, BAD_DATA),
        ({"serviceIdentifier": "x" * 129}, BAD_DATA),
        ({"sourceIds": ["x" * 65]}, BAD_DATA),
        ({"sourceIds": [""]}, BAD_DATA),
        ({"sourceIds": ["/"] * 101}, BAD_DATA),
        ({"nodeIds": [2**63]}, BAD_DATA),
        ({"name": "a\x00b"}, BAD_DATA),
        ({"serviceProperties": {"url": "a\x00b"}}, BAD_DATA),
        ({"serviceProperties": {"url": "x" * 70_000}}, BAD_DATA),
        ({"name": ""}, "DAO.00104"),
        ({"topic": None}, "DAO.00104"),
        ({"name": None}, "VAL.00004"),
        ({"serviceIdentifier": None}, "VAL.00004"),
    ],
)
async def test_what_the_columns_would_refuse_is_refused(user, bench, change, code):
    """422 with SolarNetwork's code and message; nothing is stored."""
    answer = await user.post(HOOKS, {**HOOK, **change})

    assert (422, code) == (answer.status, answer.json["code"])
    assert ["success", "code", "message"] == list(answer.json)[:3]
    assert 0 == await bench.pool.fetchval("SELECT count(*) FROM integration")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"a"',
        b'{"name": 7}',
        b'{"nodeIds": ["a"]}',
        b'{"nodeIds": 1}',
        b"[" * 100_000,
        b'{"id": 1e400}',
        b"\xff",
    ],
)
async def test_a_body_that_is_no_hook_is_malformed(user, body):
    """422, never 400."""
    answer = await user.call("POST", HOOKS, body=body)

    assert 422 == answer.status
    assert answer.json["message"].startswith("Malformed JSON: ")


@pytest.mark.parametrize("path", ["abc", "1x", "1.5", "%20", "99999999999999999999999"])
async def test_a_number_that_is_none_is_an_illegal_argument(user, path):
    """422, as Spring's binding answers."""
    answer = await user.get(f"{HOOKS}/{path}")

    assert 422 == answer.status
    assert answer.json["message"].startswith("Illegal argument: ")


async def test_a_limited_token_makes_and_sees_only_limited_hooks(user, bench, organization_id):
    """Else its limits would end where it has events sent to it."""
    limited = await make_client(bench, organization_id, node_ids=[1], source_ids=["/power/**"])
    wide = (await user.post(HOOKS, HOOK)).data
    inside = {**HOOK, "nodeIds": [1], "sourceIds": ["/power/1"]}

    made = await limited.post(HOOKS, inside)
    assert [made.data["id"]] == [hook["id"] for hook in (await limited.get(HOOKS)).data]
    for change in (
        {"nodeIds": None},
        {"nodeIds": [1, 2]},
        {"sourceIds": None},
        {"sourceIds": ["/**"]},
    ):
        refused = await limited.post(HOOKS, {**inside, **change})
        assert (403, "ACCESS_DENIED") == (refused.status, refused.json["message"])
    assert 404 == (await limited.get(f"{HOOKS}/{wide['id']}")).status
    assert 404 == (await limited.delete(f"{HOOKS}/{wide['id']}")).status
    assert 404 == (await limited.post(HOOKS, {**inside, "id": wide["id"]})).status


async def test_changes_are_in_the_audit(user, bench):
    """Who, what and which; never a secret."""
    made = (await user.post(HOOKS, SEED)).data
    await user.post(HOOKS, {**SEED, "id": made["id"]})
    await user.delete(f"{HOOKS}/{made['id']}")

    rows = await bench.pool.fetch(
        "SELECT actor, action, object, detail::text FROM audit ORDER BY id"
    )
    assert ["integration.created", "integration.updated", "integration.deleted"] == [
        row["action"] for row in rows
    ]
    assert {f"solarnetwork-token:{user.token_id}"} == {row["actor"] for row in rows}
    assert not any(SECRET in row["detail"] for row in rows)


async def test_what_nobody_foresaw_is_an_internal_error(user, bench):
    """500 in the envelope, which tells nothing."""
    await bench.pool.execute("ALTER TABLE solarnetwork_hook RENAME TO gone")
    answer = await user.get(HOOKS)

    assert (500, {"success": False, "message": "Internal error"}) == (answer.status, answer.json)


async def test_a_store_in_trouble_is_429(user, bench):
    """SolarNetwork's word for a database that has no time: come again."""
    await user.get(HOOKS)
    await bench.pool.execute(
        "CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$"
    )
    await bench.pool.execute(
        "CREATE TRIGGER stall BEFORE INSERT ON solarnetwork_hook"
        " FOR EACH ROW EXECUTE FUNCTION stall()"
    )
    answer = await user.post(HOOKS, HOOK)

    assert (429, "DAO.00200") == (answer.status, answer.json["code"])
    assert "5" == answer.headers["Retry-After"]
    assert 0 == await bench.pool.fetchval("SELECT count(*) FROM integration")
