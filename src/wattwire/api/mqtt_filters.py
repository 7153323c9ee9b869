"""Which MQTT topics a credential may have, by the format of what it publishes. Pure."""

from collections.abc import Sequence
from typing import Final, Literal, get_args
from uuid import UUID

Format = Literal["smart_meter", "sparkplug_b", "netneural", "json"]
FORMATS: Final = get_args(Format)
MAX_TOPIC_BYTES: Final = 1024
MAX_TOPICS: Final = 100


def find_fault(topic: str) -> str | None:
    """Return what is wrong with a topic filter (MQTT 3.1.1, section 4.7), or None."""
    if not topic or len(topic.encode(errors="surrogatepass")) > MAX_TOPIC_BYTES:
        return f"must have 1 to {MAX_TOPIC_BYTES} bytes"
    if any(ord(c) < 0x20 or ord(c) == 0x7F or 0xD800 <= ord(c) < 0xE000 for c in topic):  # noqa: PLR2004 - control characters and surrogates
        return "must not contain control characters"
    if topic.startswith("$"):
        return "must not begin with $"
    levels = topic.split("/")
    if any("#" in level and level != "#" for level in levels) or "#" in levels[:-1]:
        return "may have # only as its last level"
    if any("+" in level and level != "+" for level in levels):
        return "may have + only as a whole level"
    return None


def find_publish_fault(topic: str, format_name: str, organization_id: UUID) -> str | None:
    """Return why a credential of this format may not publish to a topic, or None."""
    fault = find_fault(topic)
    if fault:
        return fault
    if format_name == "smart_meter" and ("+" in topic or "#" in topic):
        return "must be one exact topic: smart meters publish to nothing else"
    if format_name == "sparkplug_b" and not topic.startswith("spBv1.0/"):
        return "must begin with spBv1.0/"
    own = f"netneural/{organization_id}/devices/"
    if format_name == "netneural" and not topic.startswith(own):
        return f"must begin with {own}"
    return None


def find_faults(
    publish: Sequence[str],
    subscribe: Sequence[str],
    format_name: str,
    organization_id: UUID,
) -> list[tuple[str, str]]:
    """Return (field, fault) for each topic that does not fit."""
    faults = [
        (f"publish_topics[{i}]", find_publish_fault(t, format_name, organization_id))
        for i, t in enumerate(publish)
    ]
    faults += [(f"subscribe_topics[{i}]", find_fault(t)) for i, t in enumerate(subscribe)]
    found = [(field, fault) for field, fault in faults if fault]
    if format_name == "smart_meter" and not publish and not subscribe:
        found.append(("publish_topics", "must name the topic of the meter"))
    return found
