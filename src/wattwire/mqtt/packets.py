"""MQTT 3.1.1 control packets as values, and what can be wrong with what a client sends.

    MqttError
    ├── MalformedPacketError       the bytes are no MQTT packet
    │   └── PacketTooLargeError    it announces more bytes than are taken
    ├── UnsupportedLevelError      a CONNECT of a protocol level that is not spoken here
    ├── ProtocolViolationError     a well-formed packet at the wrong time
    └── ForbiddenTopicError        a topic that this user may not publish to

The words are those of the specification: OASIS MQTT Version 3.1.1, chapters 2 and 3.
"""

from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

CONNECT: Final = 1
CONNACK: Final = 2
PUBLISH: Final = 3
PUBACK: Final = 4
PUBREC: Final = 5
PUBREL: Final = 6
PUBCOMP: Final = 7
SUBSCRIBE: Final = 8
SUBACK: Final = 9
UNSUBSCRIBE: Final = 10
UNSUBACK: Final = 11
PINGREQ: Final = 12
PINGRESP: Final = 13
DISCONNECT: Final = 14

LEVEL_311: Final = 4  #: protocol level of MQTT 3.1.1
SUBSCRIPTION_REFUSED: Final = 0x80  #: return code in a SUBACK


class ConnectCode(IntEnum):
    """Return codes of a CONNACK (table 3.1)."""

    ACCEPTED = 0
    UNSUPPORTED_LEVEL = 1
    IDENTIFIER_REFUSED = 2
    UNAVAILABLE = 3
    BAD_CREDENTIALS = 4
    NOT_AUTHORIZED = 5


class MqttError(Exception):
    """What a client sent cannot be accepted; its connection is closed."""


class MalformedPacketError(MqttError):
    """The bytes are no MQTT packet."""


class PacketTooLargeError(MalformedPacketError):
    """The packet announces more bytes than are taken."""


class UnsupportedLevelError(MqttError):
    """The client speaks another version of MQTT."""

    def __init__(self, name: str, level: int) -> None:
        super().__init__(f"protocol {name!r} level {level} is not spoken here")
        self.level = level


class ProtocolViolationError(MqttError):
    """A well-formed packet at the wrong time."""


class ForbiddenTopicError(MqttError):
    """The user may not publish to this topic."""


class Will(NamedTuple):
    """What is published for a client that goes without saying goodbye."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


class Connect(NamedTuple):
    """The first packet of a client. `keep_alive` is in seconds, 0 means off."""

    client_id: str
    clean_session: bool = True
    keep_alive: int = 0
    username: str | None = None
    password: bytes | None = None
    will: Will | None = None
    level: int = LEVEL_311


class Connack(NamedTuple):
    """The answer to CONNECT."""

    code: int = ConnectCode.ACCEPTED
    session_present: bool = False


class Publish(NamedTuple):
    """A message. `packet_id` is 0 at QoS 0 and 1 to 65535 otherwise."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0


class Puback(NamedTuple):
    """A QoS 1 message has been taken over."""

    packet_id: int


class Pubrec(NamedTuple):
    """A QoS 2 message has been taken over (first answer)."""

    packet_id: int


class Pubrel(NamedTuple):
    """The sender has seen the PUBREC."""

    packet_id: int


class Pubcomp(NamedTuple):
    """The receiver has forgotten the identifier."""

    packet_id: int


class Subscribe(NamedTuple):
    """Filters and the QoS asked for each."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]


class Suback(NamedTuple):
    """One code per filter: the granted QoS, or 0x80."""

    packet_id: int
    codes: tuple[int, ...]


class Unsubscribe(NamedTuple):
    """Filters to forget."""

    packet_id: int
    filters: tuple[str, ...]


class Unsuback(NamedTuple):
    """The answer to UNSUBSCRIBE."""

    packet_id: int


class Pingreq(NamedTuple):
    """The client is alive."""


class Pingresp(NamedTuple):
    """So are we."""


class Disconnect(NamedTuple):
    """The client says goodbye: its will is not published."""


Packet: TypeAlias = (
    Connect
    | Connack
    | Publish
    | Puback
    | Pubrec
    | Pubrel
    | Pubcomp
    | Subscribe
    | Suback
    | Unsubscribe
    | Unsuback
    | Pingreq
    | Pingresp
    | Disconnect
)
