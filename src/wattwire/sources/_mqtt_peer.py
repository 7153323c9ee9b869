"""A broker: where it is, and what is said to it when connecting."""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from wattwire.brokers import PROTOCOLS, Version, Will

CONNECT_TIMEOUT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A broker and how to talk to it."""

    host: str
    port: int
    client_id: str
    version: Version = "3.1.1"
    tls: ssl.SSLContext | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    lasting: bool = True  #: the broker keeps the session, and what was not acknowledged
    session_expiry_seconds: int = 7 * 86400  #: MQTT 5: for how long
    keepalive_seconds: int = 30
    max_in_flight: int = 1000  #: messages read and not acknowledged; then reading pauses
    will: Will | None = None


def new_client(peer: Peer) -> paho.Client:
    """Return a client of paho that is not connected yet."""
    five = peer.version == "5"
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=peer.client_id,
        clean_session=None if five else not peer.lasting,
        protocol=PROTOCOLS[peer.version],
        manual_ack=True,
        reconnect_on_failure=False,
    )
    client.connect_timeout = CONNECT_TIMEOUT_SECONDS
    if peer.username is not None:
        client.username_pw_set(peer.username, peer.password)
    if peer.tls is not None:
        client.tls_set_context(peer.tls)
    if peer.will is not None:
        client.will_set(*peer.will)
    return client


def connect_options(peer: Peer) -> dict[str, Any]:
    """Return what MQTT 5 asks to be told when connecting; nothing for 3.1.1."""
    if peer.version != "5":
        return {}
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.ReceiveMaximum = min(peer.max_in_flight, 65535)
    if peer.lasting:
        properties.SessionExpiryInterval = peer.session_expiry_seconds
    return {"clean_start": not peer.lasting, "properties": properties}


def shared(filters: Iterable[str], group: str) -> list[str]:
    """Return the filters as a shared subscription of a group (`$share/GROUP/FILTER`)."""
    return [f"$share/{group}/{name}" for name in filters]


def matches(topic_filter: str, topic: str) -> bool:
    """Tell whether a filter matches a topic."""
    return bool(paho.topic_matches_sub(topic_filter, topic))
