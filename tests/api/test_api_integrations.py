"""Integrations: secrets that go in and never come out, and what people do with them."""

from uuid import uuid4

import pytest
from api_worlds import make_world
from hypothesis import given
from hypothesis import strategies as st

from wattwire.integrations import TYPES
from wattwire.model import Event
from wattwire.store import sealing
from wattwire.store.events import record_events
from wattwire.store.sealing import SEALING

PATH = "/api/v1/integrations"
HOOK = {
    "type": "webhook",
    "name": "Desk",
    "topics": ["device.telemetry"],
    "settings": {
        "url": "https://example.com/hooks",
        "secret_key": "s3cr3t-of-the-hook",
        "headers": {"Authorization": "Bearer s3cr3t-header"},
    },
}
QUEUE = {
    "type": "aws_sqs",
    "name": "Queue",
    "topics": [],
    "settings": {
        "queue_url": "https://sqs.eu-central-1.amazonaws.com/123456789012/q",
        "aws": {
            "region": "eu-central-1",
            "access_key_id": "AKIA0000",
            "secret_access_key": "s3cr3t-of-aws",
        },
    },
}


async def stored_settings(bench, integration_id):
    """Return the settings as delivery reads them."""
    row = await bench.pool.fetchrow("SELECT * FROM integration WHERE id = $1", integration_id)
    whole = sealing.join(row["settings"], row["secrets"], bench.hub.sealer.bound(SEALING))
    return TYPES[row["type"]].settings.model_validate(whole)


@pytest.mark.parametrize("body", [HOOK, QUEUE], ids=["webhook", "aws_sqs"])
async def test_secrets_are_sealed_and_never_shown(bench, owner, body):
    """No answer has a secret, no column has it in clear, and delivery reads it back."""
    created = await owner.post(PATH, body)
    assert 201 == created.status, created.body
    shown = [created, await owner.get(PATH), await owner.get(f"{PATH}/{created.json['id']}")]
    shown.append(await owner.get("/api/v1/audit"))
    rows = await bench.pool.fetchval("SELECT string_agg(i::text, '') FROM integration i")

    assert all(b"s3cr3t" not in answer.body for answer in shown)
    assert "s3cr3t" not in rows
    assert b"s3cr3t".hex() not in rows
    settings = await stored_settings(bench, created.json["id"])
    given = TYPES[body["type"]].settings.model_validate(body["settings"])
    assert given == settings


async def test_secrets_left_out_of_an_update_stay(bench, owner):
    """What an update does not name is kept; null drops it; a new value replaces it."""
    created = (await owner.post(PATH, HOOK)).json
    path = f"{PATH}/{created['id']}"
    await owner.patch(path, {"settings": {"url": "https://example.com/new"}})
    kept = await stored_settings(bench, created["id"])
    assert "https://example.com/new" == kept.url
    assert "s3cr3t-of-the-hook" == kept.secret_key.get_secret_value()
    assert "Bearer s3cr3t-header" == kept.headers["Authorization"].get_secret_value()

    await owner.patch(
        path, {"settings": {"url": "https://example.com/new", "secret_key": "another-secret"}}
    )
    assert (
        "another-secret"
        == (await stored_settings(bench, created["id"])).secret_key.get_secret_value()
    )

    await owner.patch(
        path, {"settings": {"url": "https://a.example", "secret_key": None, "headers": None}}
    )
    dropped = await stored_settings(bench, created["id"])
    assert None is dropped.secret_key
    assert {} == dropped.headers


async def test_sealed_secrets_do_not_open_elsewhere(bench, owner):
    """A blob moved into another purpose does not open."""
    await owner.post(PATH, HOOK)
    blob = await bench.pool.fetchval("SELECT secrets FROM integration")

    with pytest.raises(Exception, match="changed since it was sealed"):
        bench.hub.sealer.bound("something else").open(blob)


async def test_limits_left_out_are_the_types_presets(owner):
    """Left out: the preset. null: no limit. An update keeps what it does not name."""
    presets = TYPES["webhook"].presets
    plain = (await owner.post(PATH, HOOK)).json
    assert presets.rate_per_minute == plain["limits"]["rate_per_minute"]
    limits = {"rate_per_minute": None, "max_concurrent": 3}
    given = (await owner.post(PATH, HOOK | {"limits": limits})).json["limits"]
    assert {
        "rate_per_minute": None,
        "max_concurrent": 3,
        "max_payload_bytes": presets.max_payload_bytes,
    } == given

    path = f"{PATH}/{plain['id']}"
    changed = (await owner.patch(path, {"limits": {"max_concurrent": None}})).json["limits"]
    assert presets.rate_per_minute == changed["rate_per_minute"]
    assert None is changed["max_concurrent"]


async def test_settings_are_checked_by_the_types_own_model(owner):
    """Missing, unknown and wrong fields are named with their path."""
    for settings, field in [
        ({}, "settings"),  # one of two addresses
        ({"url": "ftp://x"}, "settings.url"),
        ({"url": "https://a.example", "colour": "red"}, "settings.colour"),
        ({"url": "https://a.example", "type": "aws_sqs"}, "settings.type"),
    ]:
        answer = await owner.post(PATH, HOOK | {"settings": settings})
        assert 422 == answer.status
        assert [field] == [e["field"] for e in answer.json["errors"]]


async def test_an_update_keeps_what_it_does_not_name(owner):
    """Only the fields given change; null clears a filter."""
    body = HOOK | {
        "stream_patterns": ["/power/**"],
        "outcomes": {"409": "ok"},
        "schedule_seconds": [0, 5],
    }
    created = (await owner.post(PATH, body)).json
    path = f"{PATH}/{created['id']}"
    renamed = (await owner.patch(path, {"name": "New"})).json
    same = {k: v for k, v in created.items() if k not in {"name", "updated_at"}}
    assert same == {k: v for k, v in renamed.items() if k not in {"name", "updated_at"}}
    assert "New" == renamed["name"]

    assert None is (await owner.patch(path, {"stream_patterns": None})).json["stream_patterns"]


async def test_unknown_topics_and_verdicts_are_refused(owner):
    """A misspelt topic would otherwise never match anything."""
    for change in (
        {"topics": ["device.telemtry"]},
        {"outcomes": {"500": "explode"}},
        {"format": "xml"},
    ):
        assert 422 == (await owner.post(PATH, HOOK | change)).status


async def test_pause_and_resume(owner):
    """A paused integration is inactive; resumed it is active."""
    created = (await owner.post(PATH, HOOK)).json
    assert "active" == created["status"]

    assert "inactive" == (await owner.post(f"{PATH}/{created['id']}/pause")).json["status"]
    assert "active" == (await owner.post(f"{PATH}/{created['id']}/resume")).json["status"]


async def queue_events(bench, organization_id, integration_id, count, stream="/power/1"):
    """Record events that match an integration, as the pipeline does."""
    from datetime import UTC, datetime

    events = [
        Event(
            uuid4(), "device.telemetry", organization_id, datetime.now(UTC), {"n": n}, stream=stream
        )
        for n in range(count)
    ]
    async with bench.pool.acquire() as db, db.transaction():
        await record_events(db, events, [(i, integration_id) for i in range(count)])
    return events


async def test_the_ledger_closes_whatever_people_do(bench, owner, organization_id):
    """matched = delivered + waiting + in_flight + dead + discarded after purge and replays."""
    created = (
        await owner.post(PATH, HOOK | {"stream_patterns": ["/power/*"], "enabled": False})
    ).json
    path = f"{PATH}/{created['id']}"
    await queue_events(bench, organization_id, created["id"], 3)
    await queue_events(bench, organization_id, created["id"], 0, "/other")

    async def stats():
        s = (await owner.get(f"{path}/stats")).json
        parts = ("delivered", "waiting", "in_flight", "dead", "discarded")
        assert s["matched"] == sum(s[p] for p in parts)
        return s

    assert 3 == (await stats())["waiting"]
    assert {"discarded": 3} == (await owner.post(f"{path}/purge")).json
    assert {"purged": 3} == (await stats())["discarded_reasons"]
    span = {"from": "2020-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"}
    assert {"queued": 3} == (await owner.post(f"{path}/replay", span)).json
    assert (6, 3) == ((await stats())["matched"], (await stats())["waiting"])


async def test_a_range_replays_only_what_matches(bench, owner, organization_id):
    """Topics, devices and stream patterns hold for replays as they do when events happen."""
    created = (
        await owner.post(PATH, HOOK | {"stream_patterns": ["/power/*"], "enabled": False})
    ).json
    await queue_events(bench, organization_id, created["id"], 2, "/power/1")
    await queue_events(bench, organization_id, created["id"], 2, "/other/1")
    await owner.post(f"{PATH}/{created['id']}/purge")
    span = {"from": "2020-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"}

    assert {"queued": 2} == (await owner.post(f"{PATH}/{created['id']}/replay", span)).json


async def test_dead_letters_are_replayed(bench, owner, organization_id):
    """One by its number; the ledger closes; a dead letter is gone once it is queued."""
    world = await make_world(bench.pool, organization_id, "w")
    path = f"{PATH}/{world.ids['integration']}"
    done = await owner.post(f"{path}/replay", {"dead_letter_ids": [world.ids["dead_letter"]]})
    stats = (await owner.get(f"{path}/stats")).json

    assert {"queued": 1} == done.json
    assert (1, 0, 1) == (stats["matched"], stats["dead"], stats["waiting"])
    assert [] == (await owner.get(f"{path}/dead-letters")).json["items"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"from": "2025-01-01T00:00:00Z"},
        {"dead_letter_ids": [1], "dead_since": "2025-01-01T00:00:00Z"},
    ],
)
async def test_a_replay_says_exactly_what(bench, owner, organization_id, body):
    """Nothing, half a range, or two ways at once are refused."""
    world = await make_world(bench.pool, organization_id, "w")

    assert 422 == (await owner.post(f"{PATH}/{world.ids['integration']}/replay", body)).status


async def test_what_is_still_queued_is_shown_before_it_is_deleted(bench, owner, organization_id):
    """409 with the number; with ?discard=true it goes, and the ledger says so."""
    created = (await owner.post(PATH, HOOK | {"enabled": False})).json
    path = f"{PATH}/{created['id']}"
    await queue_events(bench, organization_id, created["id"], 3)
    refused = await owner.delete(path)
    assert (409, 3) == (refused.status, refused.json["queued"])
    assert 200 == (await owner.get(path)).status

    assert 204 == (await owner.delete(f"{path}?discard=true")).status
    assert 404 == (await owner.get(path)).status
    discarded = "SELECT sum(discarded) FROM ledger WHERE integration_id = $1"
    assert 3 == await bench.pool.fetchval(discarded, created["id"])


async def test_a_type_shows_its_form(owner):
    """The JSON Schema marks secrets, and its presets are what a new one gets."""
    kind = (await owner.get("/api/v1/integration-types/webhook")).json
    field = kind["settings_schema"]["properties"]["secret_key"]

    assert "password" in str(field)
    assert "type" not in kind["settings_schema"]["properties"]
    assert TYPES["webhook"].presets.rate_per_minute == kind["limits"]["rate_per_minute"]
    types = (await owner.get("/api/v1/integration-types")).json["items"]
    assert sorted(TYPES) == [t["type"] for t in types]


trees = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: isinstance(value, dict))


@given(trees, trees)
def test_merging_keeps_everything_that_is_not_given(kept, given_):
    """Every leaf of the merged tree is the given one where there is one, else the kept one."""
    merged = sealing.merge(kept, given_)

    for name, value in given_.items():
        if not isinstance(value, dict):
            assert value == merged[name]
    for name, value in kept.items():
        if name not in given_:
            assert value == merged[name]
    assert set(merged) == set(kept) | set(given_)


def test_a_list_with_a_secret_is_a_secret():
    """Secrets are found wherever they stand: nested models, dictionaries, lists."""
    from pydantic import BaseModel, SecretStr

    class Inner(BaseModel):
        name: str
        key: SecretStr

    class Outer(BaseModel):
        one: Inner
        many: list[Inner]
        names: dict[str, SecretStr]
        plain: list[str]

    inner = {"name": "n", "key": "hidden"}
    whole = {"one": inner, "many": [inner], "names": {"a": "hidden"}, "plain": ["p"]}
    public, secret = sealing.part(Outer.model_validate(whole))

    assert {"one": {"name": "n"}, "plain": ["p"]} == public
    assert whole == sealing.merge(public, secret)
