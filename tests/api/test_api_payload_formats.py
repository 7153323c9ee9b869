"""Formats chosen by name, checked, previewed; and readings parted by channel."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from api_worlds import make_world

from wattwire.delivery.plan import plan_of
from wattwire.formats import sparkplug_b
from wattwire.integrations import TYPES
from wattwire.payloads import FORMATS
from wattwire.payloads.examples import body_of
from wattwire.store import deliveries
from wattwire.store.sealing import SEALING

PATH = "/api/v1/integrations"
PREVIEW = f"{PATH}/preview"
HOOK = {
    "type": "webhook",
    "name": "Desk",
    "topics": ["device.telemetry"],
    "settings": {"url": "https://example.com/hooks"},
}
TEMPLATE = {"template": "{{ device.id }}"}


async def test_every_format_is_listed_with_its_form(owner):
    """Name, words, schema and an example that is what the format writes."""
    found = (await owner.get("/api/v1/payload-formats")).json["items"]

    assert list(FORMATS) == [item["name"] for item in found]
    assert all("object" == item["settings_schema"]["type"] for item in found)
    examples = {item["name"]: item["example"] for item in found}
    assert body_of("connexa").decode() == examples["connexa"]
    template = next(item for item in found if item["name"] == "template")
    assert ["template"] == template["settings_schema"]["required"]
    assert "template" in template["example_settings"]


async def test_settings_of_a_format_are_kept(bench, owner):
    """Created, shown, and used by delivery, as they were given."""
    given = {"format": "template", "format_settings": {**TEMPLATE, "content_type": "text/plain"}}
    created = await owner.post(PATH, {**HOOK, **given})
    assert 201 == created.status, created.body
    shown = (await owner.get(f"{PATH}/{created.json['id']}")).json
    assert given == {name: shown[name] for name in given}
    assert None is shown["objects"]

    (row,) = await deliveries.list_lanes(bench.pool, [created.json["id"]])
    plan = plan_of(row, TYPES, bench.hub.sealer.bound(SEALING))
    assert "text/plain" == plan.form.content_type


async def test_another_format_begins_without_settings(owner):
    """Settings stay while the format does; another one's are not taken for them."""
    created = (
        await owner.post(PATH, {**HOOK, "format": "template", "format_settings": TEMPLATE})
    ).json
    path = f"{PATH}/{created['id']}"
    renamed = await owner.patch(path, {"name": "New", "format": "template"})
    assert TEMPLATE == renamed.json["format_settings"]

    changed = await owner.patch(path, {"format": "cloudevents"})
    assert {} == changed.json["format_settings"]
    changed = await owner.patch(path, {"format_settings": {"type_prefix": "x."}})
    assert {"type_prefix": "x."} == changed.json["format_settings"]
    changed = await owner.patch(path, {"format": None})
    assert (None, {}) == (changed.json["format"], changed.json["format_settings"])


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"format": "template"}, "format_settings.template", "required"),
        (
            {"format": "template", "format_settings": {"template": "a\n{% if %}"}},
            "format_settings.template",
            "line 2",
        ),
        (
            {"format": "line_protocol", "format_settings": {"tags": {"a": "nonsense"}}},
            "format_settings.tags.a",
            "match",
        ),
        ({"format_settings": {"x": 1}}, "format_settings.x", "not permitted"),
        ({"format": "xml"}, "format", "wattwire"),
        ({"objects": []}, "objects", "at least 1"),
        ({"objects": [""]}, "objects[0]", "at least 1"),
        ({"objects": ["a\x00"]}, "objects[0]", "NUL"),
    ],
)
async def test_what_does_not_fit_is_named(owner, given, field, words):
    """Creating and changing say which field is wrong, and nothing is stored."""
    refused = await owner.post(PATH, {**HOOK, **given})
    assert (422, field) == (refused.status, refused.json["errors"][0]["field"])
    assert words in refused.json["errors"][0]["message"]
    assert [] == (await owner.get(PATH)).json["items"]

    created = (await owner.post(PATH, HOOK)).json
    refused = await owner.patch(f"{PATH}/{created['id']}", given)
    assert (422, field) == (refused.status, refused.json["errors"][0]["field"])


async def test_connexa_parts_readings_unless_told_otherwise(owner):
    """One message per object is what the format means; null asks for whole readings."""
    made = await owner.post(PATH, {**HOOK, "format": "connexa"})
    assert ["*"] == made.json["objects"]
    made = await owner.post(PATH, {**HOOK, "format": "connexa", "objects": None})
    assert None is made.json["objects"]
    made = await owner.post(PATH, {**HOOK, "format": "connexa", "objects": ["adc_*"]})
    assert ["adc_*"] == made.json["objects"]
    changed = await owner.patch(f"{PATH}/{made.json['id']}", {"objects": None})
    assert None is changed.json["objects"]


async def test_a_preview_without_an_event(owner):
    """Every format can be looked at with nothing but its name and settings."""
    for item in (await owner.get("/api/v1/payload-formats")).json["items"]:
        given = {"format": item["name"], "format_settings": item["example_settings"]}
        shown = await owner.post(PREVIEW, {**given, "integration_id": 234})
        assert 200 == shown.status, shown.body
        assert item["example"] == shown.json["body"]
        assert len(body_of(item["name"])) == shown.json["size"]


async def test_a_preview_of_a_made_up_event(owner):
    """The body as text, its content type; base64 where it is none."""
    event = {
        "topic": "device.alert",
        "time": "2025-06-01T12:00:00Z",
        "stream": "/power/1",
        "device": {"id": "m-1", "name": "Main", "metadata": {"site": "Plant"}},
        "data": {"limit": 5},
    }
    template = "{{ device.id }} {{ device.metadata.site }} {{ data.limit }} {{ time }}"
    shown = await owner.post(
        PREVIEW, {"format": "template", "format_settings": {"template": template}, "event": event}
    )
    assert "m-1 Plant 5 2025-06-01T12:00:00Z" == shown.json["body"]
    assert ("utf-8", "application/json") == (shown.json["encoding"], shown.json["content_type"])

    shown = (await owner.post(PREVIEW, {"format": "sparkplug_b", "event": event})).json
    raw = (
        shown["body"].encode() if "utf-8" == shown["encoding"] else base64.b64decode(shown["body"])
    )
    (metric,) = sparkplug_b.decode_payload(raw).metrics
    assert "limit" == metric.name


async def test_a_preview_of_a_stored_event(bench, owner, organization_id):
    """An event of one's own organization is written; another's is not there."""
    own = await make_world(bench.pool, organization_id, "own")
    other = await make_world(bench.pool, await bench.new_organization("Zebra"), "zebra")
    shown = await owner.post(PREVIEW, {"format": "wattwire", "event_id": own.ids["event"]})
    assert 200 == shown.status, shown.body
    assert "device.telemetry" in shown.json["body"]

    missing = await owner.post(PREVIEW, {"format": "wattwire", "event_id": other.ids["event"]})
    assert 404 == missing.status


async def test_a_preview_that_fails_names_the_line(owner):
    """A template that cannot be read is named with its field, one that fails with its line too."""
    broken = {"format": "template", "format_settings": {"template": "a\n\n{{ 1"}}
    refused = await owner.post(PREVIEW, broken)
    assert 422 == refused.status
    assert "format_settings.template" == refused.json["errors"][0]["field"]
    assert "line 3" in refused.json["errors"][0]["message"]

    failing = {"format": "template", "format_settings": {"template": "a\n{{ data.nothing }}"}}
    refused = await owner.post(PREVIEW, failing)
    assert (422, 2) == (refused.status, refused.json["line"])
    assert "nothing" in refused.json["detail"]


async def test_a_preview_of_a_bomb_ends(owner):
    """The hub answers, with what was too much."""
    bomb = "{% for a in range(1000) %}" * 4 + "{% endfor %}" * 4
    refused = await owner.post(
        PREVIEW, {"format": "template", "format_settings": {"template": bomb}}
    )

    assert (422, "steps") == (refused.status, refused.json["detail"].rstrip(".").split()[-1])


async def test_a_range_is_replayed_by_channel(bench, owner):
    """What POST /replay queues is a message per matching channel, counted as such."""
    created = (await owner.post(PATH, {**HOOK, "enabled": False, "objects": ["active_*"]})).json
    world = await make_world(
        bench.pool, (await owner.get("/api/v1/organization")).json["id"], "own"
    )
    await bench.pool.execute(
        """UPDATE event SET data = '{"device": {"id": "m", "name": "", "type": ""}, "data":
        {"values": {"voltage_v": 1, "active_power_w": 2, "active_energy_wh": 3}}}'::text::bytea"""
    )
    now = datetime.now(UTC)
    times = {
        "from": (now - timedelta(days=1)).isoformat(),
        "to": (now + timedelta(days=1)).isoformat(),
    }
    answer = await owner.post(f"{PATH}/{created['id']}/replay", times)
    assert 200 == answer.status, answer.body
    rows = await bench.pool.fetch(
        "SELECT part FROM delivery WHERE integration_id = $1 ORDER BY sequence", created["id"]
    )
    stats = (await owner.get(f"{PATH}/{created['id']}/stats")).json

    assert 2 == answer.json["queued"] == stats["matched"] == stats["waiting"]
    assert [2, 3] == [row["part"] for row in rows]
    assert world.ids["event"]
