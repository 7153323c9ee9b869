"""Which MQTT topics a credential may have."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattwire.api.mqtt_filters import find_fault, find_publish_fault

ME = UUID(int=7)


@pytest.mark.parametrize("topic", ["a", "a/b c", "/", "+", "#", "a/+/b", "+/a/#", "a//b", "größe"])
def test_topics_as_the_standard_has_them(topic):
    """Spaces, empty levels and letters of any script are allowed."""
    assert None is find_fault(topic)


@pytest.mark.parametrize(
    "topic",
    ["", "a#", "#/a", "a/#/b", "a+", "a/b+/c", "$SYS/x", "a\x00b", "a\nb", "\ud800", "x" * 1025],
)
def test_topics_that_cannot_be(topic):
    """Wildcards out of place, control characters, the server's own topics, and too long ones."""
    assert find_fault(topic)


@given(st.text(max_size=30))
def test_any_text_gets_an_answer(topic):
    """No text raises."""
    find_fault(topic)


@pytest.mark.parametrize(
    ("name", "topic", "taken"),
    [
        ("smart_meter", "meters/1", True),
        ("smart_meter", "meters/+", False),
        ("smart_meter", "meters/#", False),
        ("sparkplug_b", "spBv1.0/#", True),
        ("sparkplug_b", "spBv1.1/#", False),
        ("netneural", f"netneural/{ME}/devices/+/telemetry", True),
        ("netneural", f"netneural/{UUID(int=8)}/devices/+/telemetry", False),
        ("netneural", "netneural/+/devices/+/telemetry", False),
        ("json", "anything/#", True),
    ],
)
def test_formats_have_their_topics(name, topic, taken):
    """A smart meter has one exact topic; Sparkplug and NetNeural have their own roots."""
    assert taken is (find_publish_fault(topic, name, ME) is None)
