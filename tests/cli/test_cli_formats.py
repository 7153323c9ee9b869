"""Formats and objects from the command line."""

import pytest


@pytest.fixture
async def acme(wattwire, organization_id):
    return organization_id


async def test_a_format_and_objects_are_given_and_previewed(wattwire, acme, tmp_path):
    """Settings of a format come from a file, objects one by one; preview shows the body."""
    (tmp_path / "form.json").write_text('{"template": "{{ device.id }}!"}')
    made = await wattwire(
        "integration", "create", "--type", "webhook", "--name", "Desk",
        "--topic", "device.telemetry", "--settings", '{"url": "https://a.example/"}',
        "--format", "template", "--format-settings", "@form.json",
        "--object", "adc_*", "--object", "T_hs", "--json",
    )  # fmt: skip
    assert 0 == made.code, made.err
    assert ("template", ["adc_*", "T_hs"]) == (made.json["format"], made.json["objects"])
    assert {"template": "{{ device.id }}!"} == made.json["format_settings"]

    shown = await wattwire(
        "integration",
        "preview",
        "--format",
        "template",
        "--format-settings",
        "@form.json",
        "--json",
    )
    assert "device-123!" == shown.json["body"]

    wrong = await wattwire(
        "integration", "preview", "--format", "template", "--format-settings", "[1]"
    )
    assert 1 == wrong.code
    assert "--format-settings" in wrong.err


async def test_a_mail_and_a_slack_message_are_previewed(wattwire, acme, tmp_path):
    """By type with settings of a file, or by the number of an integration with changes."""
    (tmp_path / "mail.json").write_text(
        '{"templates": {"subject": "{{ event.device }}!", "text": "a\\tb\\u001b[31m"}}'
    )
    shown = await wattwire(
        "integration", "preview", "--type", "email", "--settings", "@mail.json", "--json"
    )
    assert 0 == shown.code, shown.err
    assert "Temperature Sensor 1 (device-123)!" == shown.json["parts"][0]["content"]

    made = await wattwire(
        "integration", "create", "--type", "slack", "--name", "Ops", "--topic", "device.alert",
        "--settings", '{"webhook_url": "https://hooks.slack.com/services/T/B/s3cr3t"}', "--json",
    )  # fmt: skip
    text = await wattwire(
        "integration", "preview", "--id", made.json["id"], "--count", "3",
        "--settings", '{"mentions": ["here"], "mention_for": ["warning"]}',
    )  # fmt: skip
    assert 0 == text.code, text.err
    for said in ("--- text (text/plain)", "3 events", "--- blocks (application/json)", "<!here>"):
        assert said in text.out
    assert "s3cr3t" not in text.out

    plain = await wattwire("integration", "preview", "--type", "email", "--settings", "@mail.json")
    assert "\x1b" not in plain.out
    assert "a\tb?[31m" in plain.out


async def test_what_is_previewed_is_said_once(wattwire, acme):
    """One of the three ways, with what belongs to it; a template that fails is named."""
    for arguments, said in (
        ((), "one of --format, --type and --id"),
        (("--type", "email", "--id", "1"), "one of --format, --type and --id"),
        (("--format", "wattwire", "--count", "2"), "belong to --type and --id"),
        (("--type", "email", "--format-settings", "{}"), "belongs to --format"),
        (("--type", "webhook"), "for programs"),
        (("--type", "email", "--settings", '{"templates": {"text": "{{ nobody }}"}}'), "line 1"),
    ):
        done = await wattwire("integration", "preview", *arguments)
        assert 1 == done.code, done.out
        assert said in done.err
