"""The places events go. One file each; this is the list."""

from typing import Any, Final

from wattwire.integrations import (
    aws_eventbridge,
    aws_iot,
    aws_kinesis,
    aws_s3,
    aws_sns,
    aws_sqs,
    azure_iot,
    email,
    gcp_pubsub,
    golioth,
    google_iot,
    influxdb,
    mqtt,
    slack,
    webhook,
)
from wattwire.integrations.contract import IntegrationType

TYPES: Final[dict[str, IntegrationType[Any]]] = {
    kind.name: kind
    for kind in (
        aws_eventbridge.TYPE,
        aws_iot.TYPE,
        aws_kinesis.TYPE,
        aws_s3.TYPE,
        aws_sns.TYPE,
        aws_sqs.TYPE,
        azure_iot.TYPE,
        email.TYPE,
        gcp_pubsub.TYPE,
        golioth.TYPE,
        google_iot.TYPE,
        influxdb.TYPE,
        mqtt.TYPE,
        slack.TYPE,
        webhook.TYPE,
    )
}
