"""What mails and Slack messages look like, seen before anything is sent."""

import json

import pytest
from api_worlds import make_world

from wattwire.integrations import TYPES

TYPE = "/api/v1/integration-types"
PATH = "/api/v1/integrations"
MAIL = {"host": "smtp.example.com", "from_address": "hub@example.com", "to": ["ops@example.com"]}
EVENT = {
    "topic": "device.alert",
    "time": "2025-06-01T12:00:00Z",
    "severity": "warning",
    "device": {"id": "pump-3", "name": "Pump 3", "metadata": {"site": "north"}},
    "data": {"message": "too hot", "temperature_celsius": 85.5},
}


def parts(answer):
    """The parts of a preview by their names."""
    assert 200 == answer.status, answer.body
    return {part["name"]: part["content"] for part in answer.json["parts"]}


async def make(owner, type_, settings):
    made = await owner.post(
        PATH, {"type": type_, "name": "Desk", "topics": ["device.alert"], "settings": settings}
    )
    assert 201 == made.status, made.body
    return f"{PATH}/{made.json['id']}/preview"


async def test_a_mail_is_shown_before_there_is_anything(owner):
    """With no settings at all, an example event, in the hub's own words."""
    answer = await owner.post(f"{TYPE}/email/preview", {})
    shown = parts(answer)

    assert ["subject", "text", "html"] == list(shown)
    assert ["text/plain", "text/plain", "text/html"] == [
        part["content_type"] for part in answer.json["parts"]
    ]
    assert "🟡 Alert, Temperature Sensor 1" == shown["subject"]
    assert "temperature: 85.5" in shown["text"]
    assert "<th" in shown["html"]


async def test_templates_of_ones_own_are_shown(owner):
    """The settings of the form, with a made-up event; what a device says is escaped in HTML."""
    event = EVENT | {"device": {"id": "x", "name": "<script>alert(1)</script>&"}}
    settings = MAIL | {
        "templates": {"subject": "{{ event.device }}", "html": "<b>{{ event.device }}</b>"}
    }
    shown = parts(await owner.post(f"{TYPE}/email/preview", {"settings": settings, "event": event}))

    assert "<script>alert(1)</script>& (x)" == shown["subject"]
    assert "<b>&lt;script&gt;alert(1)&lt;/script&gt;&amp; (x)</b>" == shown["html"]
    assert "<script>" in shown["text"]


@pytest.mark.parametrize(
    "evil", ["Pump\r\nBcc: thief@evil.example", "=?utf-8?q?Pump=0D=0ABcc:_thief@evil.example?="]
)
async def test_the_subject_is_one_line_as_it_will_be_sent(owner, evil):
    """A device cannot write headers, and the preview shows what becomes of its name."""
    event = EVENT | {"device": {"id": "x", "name": evil}}
    subject = parts(await owner.post(f"{TYPE}/email/preview", {"event": event}))["subject"]

    assert subject.isprintable()
    assert "=?" not in subject


async def test_a_digest_is_shown(owner):
    """`count` events make a digest, of the digest's templates; what is critical never is in one."""
    shown = parts(await owner.post(f"{TYPE}/email/preview", {"count": 7, "event": EVENT}))
    assert "🟡 7 events from 1 device: 7 warning" == shown["subject"]
    assert 7 == shown["text"].count("Alert: too hot, Pump 3:")

    urgent = EVENT | {"severity": "critical"}
    refused = await owner.post(f"{TYPE}/email/preview", {"count": 2, "event": urgent})
    assert (422, "count") == (refused.status, refused.json["errors"][0]["field"])
    parts(await owner.post(f"{TYPE}/email/preview", {"count": 1, "event": urgent}))
    parts(await owner.post(f"{TYPE}/email/preview", {"count": 500}))
    assert 422 == (await owner.post(f"{TYPE}/email/preview", {"count": 501})).status


async def test_a_slack_message_is_shown(owner):
    """Text, blocks and attachments as JSON; what a device says calls nobody."""
    settings = {"mentions": ["here"], "mention_for": ["warning"], "channel": "#alerts",
                "dashboard_url": "https://hub.example.com/{device_key}"}  # fmt: skip
    event = EVENT | {"device": {"id": "p/3", "name": "<!channel> & <b>"}}
    shown = parts(await owner.post(f"{TYPE}/slack/preview", {"settings": settings, "event": event}))
    blocks, attachments = json.loads(shown["blocks"]), json.loads(shown["attachments"])

    assert "<!here>" == blocks[1]["text"]["text"]
    assert "&lt;!channel&gt; &amp; &lt;b&gt;" in blocks[0]["text"]["text"]
    assert "<!channel>" not in json.dumps([blocks, attachments, shown["text"]])
    assert "https://hub.example.com/p%2F3" in shown["attachments"]


@pytest.mark.parametrize(
    ("templates", "setting", "line", "words", "count"),
    [
        ({"text": "a\n\n{{ data.pressure }}"}, "templates.text", 3, "pressure", 1),
        ({"html": "{{ 1 / 0 }}"}, "templates.html", 1, "ZeroDivisionError", 1),
        ({"subject": "\n{{ event.nothing }}"}, "digest_templates.subject", 2, "nothing", 3),
        ({"text": "a\n{% if %}"}, "templates.text", 2, "Expected an expression", 1),
        ({"text": "{% set a = 1 %}"}, "digest_templates.text", 1, "set cannot", 2),
    ],
)
async def test_a_template_that_fails_is_named(owner, templates, setting, line, words, count):
    """422 with the template, the line and the reason, whether it is read or written badly."""
    settings = {setting.partition(".")[0]: templates}
    refused = await owner.post(f"{TYPE}/email/preview", {"settings": settings, "count": count})

    assert 422 == refused.status, refused.body
    assert (setting, line) == (refused.json["setting"], refused.json["line"])
    assert f"settings.{setting}" == refused.json["errors"][0]["field"]
    assert words in refused.json["errors"][0]["message"]


async def test_a_bomb_ends(owner):
    """The hub answers, with what was too much."""
    values = {f"v{n}_w": n for n in range(60)}
    loop = '{% for a in event["values"] %}'
    bomb = {"templates": {"text": loop * 4 + "x" + "{% endfor %}" * 4}}
    event = EVENT | {"data": {"values": values}}
    refused = await owner.post(f"{TYPE}/email/preview", {"settings": bomb, "event": event})

    assert (422, "templates.text") == (refused.status, refused.json["setting"])
    assert "steps" in refused.json["detail"]


@pytest.mark.parametrize(
    ("type_", "settings", "field"),
    [
        ("email", {"host": "a b"}, "settings.host"),
        ("email", {"to": ["nobody"]}, "settings.to[0]"),
        ("email", {"templates": {"sbject": "x"}}, "settings.templates.sbject"),
        ("slack", {"mentions": ["<!x>"]}, "settings.mentions[0]"),
        ("slack", {"dashboard_url": "https://x/{nonsense}"}, "settings.dashboard_url"),
        ("slack", {"type": "email"}, "settings.type"),
    ],
)
async def test_settings_that_do_not_fit_are_named(owner, type_, settings, field):
    """What is given is checked by the type, as when it is stored."""
    refused = await owner.post(f"{TYPE}/{type_}/preview", {"settings": settings})

    assert (422, field) == (refused.status, refused.json["errors"][0]["field"])


@pytest.mark.parametrize(
    ("type_", "settings"),
    [
        ("email", {"username": "hub"}),
        ("email", {"username": "hub", "password": None, "port": 25}),
        ("slack", {"token": "not a token", "webhook_url": "nonsense"}),
        ("slack", {"webhook_url": None}),
    ],
)
async def test_secrets_need_not_be_real(owner, type_, settings):
    """A form that is half filled in, or a password that nobody typed, is previewed all the same."""
    parts(await owner.post(f"{TYPE}/{type_}/preview", {"settings": settings}))


async def test_an_integration_is_shown_with_changes(bench, owner, organization_id):
    """Its stored settings with the given ones over them; nothing is changed, nothing unsealed."""
    templates = {"subject": "{{ event.device }}!", "text": "{{ data.message }}"}
    settings = MAIL | {"username": "hub", "password": "s3cr3t", "templates": templates}
    path = await make(owner, "email", settings)
    await bench.pool.execute("UPDATE integration SET secrets = 'what no key opens'::bytea")
    before = await bench.pool.fetchval("SELECT i::text FROM integration i")

    shown = parts(await owner.post(path, {"event": EVENT}))
    assert ("Pump 3 (pump-3)!", "too hot") == (shown["subject"], shown["text"])
    given = {"templates": {"subject": "{{ event.severity }}", "html": None}}
    changed = parts(await owner.post(path, {"event": EVENT, "settings": given}))
    assert ("Warning", "too hot") == (changed["subject"], changed["text"])
    assert "<h2" in changed["html"]

    world = await make_world(bench.pool, organization_id, "own")
    stored = parts(await owner.post(path, {"event_id": world.ids["event"], "settings": {
        "templates": {"text": "{{ data.secret }}"}}}))  # fmt: skip
    assert "own data" == stored["text"]
    query = "SELECT i::text FROM integration i WHERE name = 'Desk'"
    assert before == await bench.pool.fetchval(query)


async def test_types_for_programs_say_where_their_body_is(owner):
    """422 that names the other preview; what does not exist is a 404."""
    path = await make(owner, "webhook", {"url": "https://example.com/hook"})
    for refused in (await owner.post(f"{TYPE}/webhook/preview", {}), await owner.post(path, {})):
        assert (422, "urn:wattwire:problem:no-preview") == (refused.status, refused.json["type"])
        assert "/api/v1/integrations/preview" in refused.json["detail"]

    assert 404 == (await owner.post(f"{TYPE}/carrier-pigeon/preview", {})).status
    assert 404 == (await owner.post(f"{PATH}/4711/preview", {})).status


async def test_another_organization_shows_nothing(bench, owner):
    """Neither its integrations nor its events; 404 as if they were not there."""
    other = await make_world(bench.pool, await bench.new_organization("Zebra"), "zebra")
    integration = await owner.post(f"{PATH}/{other.ids['mail']}/preview", {})
    event = await owner.post(f"{TYPE}/email/preview", {"event_id": other.ids["event"]})

    assert (404, 404) == (integration.status, event.status)
    assert b"zebra" not in integration.body + event.body


async def test_a_viewer_may_not(bench, organization_id):
    """Templates and events together show more than a list: editors may, viewers may not."""
    viewer = bench.client(await bench.token(organization_id, "viewer"))
    world = await make_world(bench.pool, organization_id, "own")

    assert 403 == (await viewer.post(f"{TYPE}/email/preview", {})).status
    assert 403 == (await viewer.post(f"{PATH}/{world.ids['mail']}/preview", {})).status


@pytest.mark.parametrize(
    "data",
    [
        {"message": "half \ud83d a character", "x": "\ud83d"},
        {"message": "\x1b[31m\x00", "deep": {"a": {"b": {"c": {"d": 1}}}}},
        {"n": 10**4000, "m": None, "l": [1, {"a": []}]},
    ],
)
async def test_whatever_an_event_holds_there_is_an_answer(owner, data):
    """Half characters, control characters, huge numbers: a preview, or a sentence why not."""
    told, whole = ({"templates": {"text": t}} for t in ("{{ data.x|d('') }}", "{{ data|tojson }}"))
    for type_, given in (("email", {}), ("email", told), ("email", whole), ("slack", {})):
        body = {"settings": given, "event": {"data": data}}
        answer = await owner.post(
            f"{TYPE}/{type_}/preview", data=json.dumps(body),
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        assert answer.status in {200, 422}, answer.body


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
async def test_times_that_no_zone_has_room_for(owner, time):
    """They are refused with their field by both previews."""
    for path, more in ((f"{TYPE}/email/preview", {}), (f"{PATH}/preview", {"format": "wattwire"})):
        refused = await owner.post(path, {**more, "event": {"time": time}})
        assert (422, "event.time") == (refused.status, refused.json["errors"][0]["field"])


@pytest.mark.parametrize(
    "kind", [k for k in TYPES.values() if k.preview], ids=[n for n, k in TYPES.items() if k.preview]
)
def test_no_preview_looks_at_a_secret(kind):
    """Every setting that is a secret is among those that are not looked at."""
    secrets = {
        name
        for name, about in kind.settings.model_json_schema()["properties"].items()
        if '"format": "password"' in json.dumps(about)
    }
    assert secrets
    assert secrets <= kind.preview.unseen
    kind.settings.model_validate(kind.preview.stand_ins)
