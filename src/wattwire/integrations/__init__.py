"""The places events go. One file each; this is the list."""

from typing import Any, Final

from wattwire.integrations import aws_sns, aws_sqs, webhook
from wattwire.integrations.contract import IntegrationType

TYPES: Final[dict[str, IntegrationType[Any]]] = {
    kind.name: kind for kind in (aws_sns.TYPE, aws_sqs.TYPE, webhook.TYPE)
}
