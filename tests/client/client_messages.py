"""Messages of an edge node, as the tests of the client send them."""

from datetime import UTC, datetime

from wattwire.formats.sparkplug_b import Payload, encode_payload, metric_of
from wattwire.formats.sparkplug_values import DataType as T

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
MILLIS = int(NOW.timestamp() * 1000)
NODE = "spBv1.0/pm500/{}/edge-1"
DEVICE = "spBv1.0/pm500/{}/edge-1/pm-7"


def payload(*metrics, seq=None, timestamp=MILLIS, uuid=None):
    return encode_payload(Payload(metrics, timestamp, seq, uuid))


def number(value, at=MILLIS, **more):
    return metric_of(T.DOUBLE, value, timestamp=at, **more)


def node_birth(bd_seq=3, seq=0):
    return payload(
        metric_of(T.INT64, bd_seq, name="bdSeq", timestamp=MILLIS),
        metric_of(T.BOOLEAN, False, name="Node Control/Rebirth", timestamp=MILLIS),
        seq=seq,
    )


def node_death(bd_seq=3):
    return payload(metric_of(T.INT64, bd_seq, name="bdSeq", timestamp=MILLIS))


def device_birth(seq=1, first_alias=1, uuid="asset-7"):
    return payload(
        number(480.2, name="voltageAN", alias=first_alias, properties={"engUnit": "V"}),
        number(4.2, name="realPower", alias=first_alias + 1, properties={"unit": "kW"}),
        seq=seq,
        uuid=uuid,
    )


def device_data(seq, alias=1, value=481.0, historical=False, at=MILLIS):
    metric = metric_of(
        T.DOUBLE, value, alias=alias, timestamp=at, historical=historical, typed=False
    )
    return payload(metric, seq=seq, uuid="asset-7")
