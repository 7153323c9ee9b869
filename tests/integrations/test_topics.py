"""Topic templates: what can be one, what fills it, and that nobody gets out of his place."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattwire.integrations._topics import MOST_BYTES, TopicTemplate
from wattwire.model import Event

EVENT = Event(
    id=UUID(int=7),
    topic="device.telemetry",
    organization_id=UUID(int=1),
    time=datetime(2025, 6, 1, 12, 30, tzinfo=UTC),
    data={},
    device_id=42,
    device_key="meter-1",
    device_name="Zähler 1",
    device_type="meter",
    stream="/power/1",
    severity="warning",
    metadata={"site": "north", "phases": 3, "main": True, "nested": {"a": 1}},
)


def fill(text, **changes):
    return TopicTemplate.parse(text).fill(replace(EVENT, **changes))


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        (
            "netneural/{organization_id}/devices/{device_key}/telemetry",
            "netneural/00000000-0000-0000-0000-000000000001/devices/meter-1/telemetry",
        ),
        ("d/{device_id}/{device_type}-x/{device_name}", "d/42/meter-x/Zähler 1"),
        ("{topic}/{event}/{severity}", "device.telemetry/telemetry/warning"),
        ("s/{stream}/v", "s/power/1/v"),
        ("{metadata.site}/{metadata.phases}/{metadata.main}", "north/3/true"),
        ("fixed/topic", "fixed/topic"),
        ("/leading", "/leading"),
    ],
)
def test_every_placeholder_is_filled(text, topic):
    """Each with what the event holds, anywhere in the template."""
    assert topic == fill(text)


def test_slashes_of_topics_and_streams_are_levels():
    """And those of nothing else."""
    assert "datum/agg/update/update" == fill("{topic}/{event}", topic="datum/agg/update")
    assert "a/b" == fill("{stream}", stream="//a///b/")
    assert "pm500%2Fedge%2F1" == fill("{device_key}", device_key="pm500/edge/1")


@pytest.mark.parametrize(
    ("key", "level"),
    [
        ("a/b", "a%2Fb"),
        ("a+b#c", "a%2Bb%23c"),
        ("$SYS", "%24SYS"),
        ("a$b", "a$b"),
        ("a%2Fb", "a%252Fb"),
        ("..", ".."),
    ],
)
def test_a_device_cannot_leave_its_level(key, level):
    """What would make levels, wildcards or the broker's own topics is encoded."""
    assert f"d/{level}/t" == fill("d/{device_key}/t", device_key=key)
    assert level == fill("{device_key}", device_key=key)


@given(st.lists(st.text("ab/+#$%", min_size=1, max_size=8), min_size=2, max_size=2, unique=True))
def test_two_devices_never_share_a_topic(keys):
    """Encoding is one to one, and leaves one level without wildcards."""
    one, other = (fill("d/{device_key}/t", device_key=key) for key in keys)

    assert one != other
    assert 2 == one.count("/")
    assert not set("+#") & set(one)
    assert "/$" not in one


@pytest.mark.parametrize(
    ("text", "changes", "name"),
    [
        ("{device_key}", {"device_key": ""}, "device_key"),
        ("{device_id}", {"device_id": None}, "device_id"),
        ("{stream}", {"stream": ""}, "stream"),
        ("{stream}", {"stream": "///"}, "stream"),
        ("{metadata.floor}", {}, "metadata.floor"),
        ("{metadata.nested}", {}, "metadata.nested"),
        ("{device_key}", {"device_key": "a\x00b"}, "device_key"),
        ("{device_name}", {"device_name": "a\nb"}, "device_name"),
        ("{device_key}", {"device_key": "a\ud800"}, "device_key"),
    ],
)
def test_a_value_that_is_missing_or_no_text_is_named(text, changes, name):
    """The message tells which placeholder could not be filled."""
    with pytest.raises(ValueError, match=f"^{{{name}}}: "):
        fill(text, **changes)


def test_a_topic_is_not_endless():
    """What MQTT cannot say in two bytes of length is no topic."""
    with pytest.raises(ValueError, match="longer"):
        fill("{device_key}", device_key="x" * (MOST_BYTES + 1))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("a/+/b", "wildcards"),
        ("a/#", "wildcards"),
        ("a/{device_key", "brace"),
        ("a}/b", "brace"),
        ("a/{{device_key}}", "brace"),
        ("{device}", "is none of"),
        ("{}", "is none of"),
        ("{device_key.__class__}", "is none of"),
        ("{metadata.}", "is none of"),
        ("a\nb", "control"),
        ("$SYS/x", "broker"),
        ("x" * (MOST_BYTES + 1), "at most"),
    ],
)
def test_what_is_no_template_is_refused_at_once(text, why):
    """When it is saved, not when the first message is to leave."""
    with pytest.raises(ValueError, match=why):
        TopicTemplate.parse(text)


def test_a_reserved_topic_has_to_be_meant():
    """AWS takes messages under $aws/rules/; who knows that says so."""
    template = TopicTemplate.parse("$aws/rules/r/{device_key}", reserved=True)

    assert "$aws/rules/r/meter-1" == template.fill(EVENT)
    assert ("device_key",) == template.names
