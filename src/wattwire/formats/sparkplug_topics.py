"""Sparkplug topics, both ways.

spBv1.0/GROUP/NBIRTH|NDEATH|NDATA|NCMD/EDGE
spBv1.0/GROUP/DBIRTH|DDEATH|DDATA|DCMD/EDGE/DEVICE
spBv1.0/STATE/HOST
"""

from typing import Final, NamedTuple

from wattwire.formats.refusals import refused, shown
from wattwire.formats.shapes import check_key

NAMESPACE: Final = "spBv1.0"
STATE: Final = "STATE"
NODE_TYPES: Final = frozenset({"NBIRTH", "NDEATH", "NDATA", "NCMD"})
DEVICE_TYPES: Final = frozenset({"DBIRTH", "DDEATH", "DDATA", "DCMD"})

_NODE_LEVELS: Final = 4


class SparkplugTopic(NamedTuple):
    """The parts of a topic; `device` is '' for the edge node itself."""

    group: str
    message_type: str
    edge: str
    device: str = ""

    @property
    def key(self) -> str:
        """The key that this edge node or device has in the hub: group/edge or group/edge/device."""
        return device_key(self.group, self.edge, self.device)


def device_key(group: str, edge: str, device: str = "") -> str:
    """Return the hub's key of an edge node, or of one of its devices."""
    return f"{group}/{edge}/{device}" if device else f"{group}/{edge}"


def parse_topic(topic: str) -> SparkplugTopic:
    """Return the parts of a topic, STATE excepted. Raises RefusedError for any other."""
    namespace, *levels = topic.split("/", _NODE_LEVELS + 1)
    if namespace != NAMESPACE or len(levels) not in (3, 4) or not all(levels):
        raise refused(f"not a Sparkplug topic: {shown(topic)}", "topic")
    expected = NODE_TYPES if len(levels) == 3 else DEVICE_TYPES  # noqa: PLR2004 - no device level
    if levels[1] not in expected:
        raise refused(f"the message type must be one of {', '.join(sorted(expected))}", "topic")
    parsed = SparkplugTopic(*levels)
    check_key(parsed.key, "topic")
    return parsed


def is_state(topic: str) -> bool:
    """Tell whether a topic is the STATE of a host application, in the form of 3.0 or of 2.x."""
    return topic.startswith((f"{NAMESPACE}/{STATE}/", f"{STATE}/"))


def command_topic(group: str, edge: str) -> str:
    """Return the topic of commands to an edge node."""
    return f"{NAMESPACE}/{group}/NCMD/{edge}"


def state_topic(host_id: str) -> str:
    """Return the topic of a host application's own state."""
    return f"{NAMESPACE}/{STATE}/{host_id}"
