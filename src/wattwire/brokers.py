"""What is said alike to a broker of somebody else, whoever connects: MQTT's versions, the will."""

from typing import Final, Literal, NamedTuple, TypeAlias

from paho.mqtt import client as paho

Version: TypeAlias = Literal["3.1.1", "5"]
PROTOCOLS: Final = {"3.1.1": paho.MQTTv311, "5": paho.MQTTv5}


class Will(NamedTuple):
    """What the broker publishes when this connection is lost."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
