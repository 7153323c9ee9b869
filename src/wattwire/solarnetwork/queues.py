"""The properties of SolarNetwork's SQS service as settings of the type `aws_sqs`, and back. Pure.

SolarNetwork names a queue by its name, and asks AWS for its address when it delivers, which needs
one more permission (`sqs:GetQueueUrl`). So the address is made here where it can be, of the region,
of the account that owns the access key (AWS writes it into the key ids that it gives out since
2019) and of the name. Where the account cannot be told, the setting is the name, and delivery asks
AWS as SolarNetwork does; or the address of the queue is given in place of its name.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

_KEY_LETTERS: Final = 20
_PREFIX: Final = 4
_FIRST_WITH_ACCOUNT: Final = "Q"
_ACCOUNT_BITS: Final = 0x7FFFFFFFFF80

#: SolarNetwork's property, and the setting.
RENAMED: Final = {
    "region": "aws.region",
    "queueName": "queue_url",
    "accessKey": "aws.access_key_id",
    "secretKey": "aws.secret_access_key",
}


def account_of(access_key: str) -> str | None:
    """Return the number of the account that owns an access key; None where it does not tell."""
    if len(access_key) != _KEY_LETTERS or not access_key.isascii():
        return None
    tail = access_key[_PREFIX:]
    if tail[0] < _FIRST_WITH_ACCOUNT:  # given out before 2019, or a digit
        return None
    try:
        first = base64.b32decode(tail)[:6]
    except binascii.Error:
        return None
    return f"{(int.from_bytes(first, 'big') & _ACCOUNT_BITS) >> 7:012d}"


def queue_url(region: str, access_key: str, name: str) -> str | None:
    """Return the address of a queue; None where the account cannot be told."""
    account = account_of(access_key)
    if account is None:
        return None
    ending = ".cn" if region.startswith("cn-") else ""
    return f"https://sqs.{region}.amazonaws.com{ending}/{account}/{name}"


def to_settings(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by their flat keys; a queue whose address is not known is `queue_name`."""
    settings = {RENAMED.get(key, key): value for key, value in properties.items()}
    name = settings.get("queue_url")
    if isinstance(name, str) and name and "://" not in name:
        region, key = settings.get("aws.region", ""), settings.get("aws.access_key_id", "")
        found = queue_url(region, key, name) if isinstance(key, str) and region else None
        del settings["queue_url"]
        settings["queue_url" if found else "queue_name"] = found or name
    return settings


def to_properties(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return SolarNetwork's properties, in its order, and then what else is set."""
    settings = dict(settings)
    url = settings.get("queue_url", settings.pop("queue_name", None))
    name = str(url or "").rpartition("/")[2]
    key, region = settings.get("aws.access_key_id"), settings.get("aws.region")
    if key and region and url == queue_url(region, key, name):
        url = name
    if url is not None:
        settings["queue_url"] = url
    own = {word: settings.pop(key) for word, key in _OUT.items() if key in settings}
    return own | settings


#: In the order of SolarNetwork's own answers.
_OUT: Final = {word: RENAMED[word] for word in ("region", "accessKey", "queueName", "secretKey")}
