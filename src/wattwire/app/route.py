"""MQTT messages between processes and hub nodes, over NATS subjects.

The subject is `mqtt.ORGANIZATION.TOPIC`, the topic escaped reversibly; the payload is preceded by
one byte: bit 0 says retained, bits 1 and 2 carry the quality of service.
"""

from typing import Any, Final
from uuid import UUID

from wattwire.mqtt.topics import to_subject, to_topic

PREFIX: Final = "mqtt"


def pack(payload: bytes, *, qos: int, retain: bool) -> bytes:
    """Return the body that carries an MQTT message."""
    return bytes([int(retain) | qos << 1]) + payload


def unpack(body: bytes) -> tuple[bytes, int, bool]:
    """Return payload, quality of service, retained."""
    return body[1:], body[0] >> 1 & 3, bool(body[0] & 1)


def subject_of(organization_id: UUID, topic: str) -> str:
    """Return the NATS subject of an organization's MQTT topic."""
    return f"{PREFIX}.{organization_id.hex}.{to_subject(topic)}"


def address_of(subject: str) -> tuple[UUID, str]:
    """Return organization and MQTT topic of a NATS subject."""
    _, organization, escaped = subject.split(".", 2)
    return UUID(hex=organization), to_topic(escaped)


async def send(
    client: Any,
    organization_id: UUID,
    topic: str,
    payload: bytes,
    *,
    qos: int = 1,
    retain: bool = False,
) -> None:
    """Give a message to the subscribers at every door."""
    await client.publish(subject_of(organization_id, topic), pack(payload, qos=qos, retain=retain))
