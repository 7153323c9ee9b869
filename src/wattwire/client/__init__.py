"""Consume what devices publish on Sparkplug topics: both forms, decoded and typed.

    with listen("mqtt://127.0.0.1:1883", "spBv1.0/pm500/#") as results:
        for result in results:
            print(result)

`Decoder` works with any MQTT library; `subscribe` (asyncio) and `listen` (blocking) bring one.
`read_record` reads the JSON of Kinesis, S3, EventBridge and SQS. Importing this room imports
nothing of the hub but its wire formats.
"""

from wattwire.client.broker import Broker
from wattwire.client.decoder import Decoder
from wattwire.client.json_bodies import read_record
from wattwire.client.limits import Limits
from wattwire.client.results import (
    Born,
    ClientError,
    Command,
    Died,
    Gap,
    Interrupted,
    MetricInfo,
    Missed,
    Refused,
    RefusedByBrokerError,
    Result,
    Sample,
    Told,
    UnreachableError,
    Value,
)
from wattwire.client.subscriber import Listener, Subscriber, listen, subscribe
from wattwire.model import RefusedError

__all__ = [
    "Born",
    "Broker",
    "ClientError",
    "Command",
    "Decoder",
    "Died",
    "Gap",
    "Interrupted",
    "Limits",
    "Listener",
    "MetricInfo",
    "Missed",
    "Refused",
    "RefusedByBrokerError",
    "RefusedError",
    "Result",
    "Sample",
    "Subscriber",
    "Told",
    "UnreachableError",
    "Value",
    "listen",
    "read_record",
    "subscribe",
]
