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
