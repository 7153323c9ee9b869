"""Azure IoT Hub's words: properties of a message as headers, and what its answers mean."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import aiohttp

from wattwire.integrations import _http
from wattwire.integrations.contract import (
    HTTP_VERDICTS,
    Delivered,
    Outcome,
    Rejected,
    Retry,
    Verdict,
)
from wattwire.model import Message

# https://learn.microsoft.com/azure/iot-hub/troubleshoot-error-codes (read 2026-08)
VERDICTS: Final[Mapping[str, Verdict]] = {
    **HTTP_VERDICTS,
    "DeviceNotFound": Verdict.RETRY,  # or disabled; other devices are there
    "IotHubQuotaExceeded": Verdict.THROTTLE,  # a 403, until midnight UTC
    "IotHubSuspended": Verdict.PARK,
    "IotHubNotFound": Verdict.PARK,
    "InvalidProtocolVersion": Verdict.PARK,
    "InvalidOperation": Verdict.PARK,  # not for hubs of this tier
}
_DEVICE: Final = re.compile(r"[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}")
#: https://learn.microsoft.com/azure/iot-hub/iot-hub-devguide-messages-construct
_LITERAL: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&'*+-.^_`|~"
)
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_MOST_PROPERTY_BYTES: Final = 512
_CODE: Final = re.compile(r'"?ErrorCode"?\s*:\s*"?([A-Za-z]{3,60})', re.IGNORECASE)


def is_device_id(text: str) -> bool:
    """Return whether Azure could have a device of this name."""
    return bool(_DEVICE.fullmatch(text)) and text not in {".", ".."}


def check_properties(properties: Mapping[str, str]) -> Mapping[str, str]:
    """Return properties that a person set. Raises ValueError for what IoT Hub refuses."""
    for name in properties:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of a property")
    if sum(len(n) + len(literal(v)) for n, v in properties.items()) > _MOST_PROPERTY_BYTES:
        raise ValueError("are longer than 512 bytes together: they travel with every message")
    return properties


def literal(value: str) -> str:
    """Return a value with only what IoT Hub takes over HTTPS, the rest (and %) percent-encoded."""
    raw = value.encode(errors="replace")
    return "".join(chr(byte) if byte in _LITERAL else f"%{byte:02X}" for byte in raw)


def properties_of(message: Message, more: Mapping[str, str]) -> dict[str, str]:
    """Return system and application properties as they are called in headers."""
    facts = {**more, **message.attributes, "topic": message.topic, "device": message.device}
    applied = {
        f"iothub-app-{name}": literal(value)[:_MOST_PROPERTY_BYTES]
        for name, value in facts.items()
        if value and _NAME.fullmatch(name)
    }
    kind, _, parameters = message.content_type.partition(";")
    textual = "json" in kind or kind.startswith("text/") or "utf-8" in parameters.lower()
    system = {"iothub-messageid": message.id, "iothub-contenttype": kind.strip()}
    return applied | system | ({"iothub-contentencoding": "utf-8"} if textual else {})


def read(response: aiohttp.ClientResponse, excerpt: str, device: str) -> Outcome:
    """Return what an answer means for every message of the call."""
    status = response.status
    if status in {200, 204}:
        number = _http.printable(response.headers.get("x-ms-request-id", ""), 100)
        return Delivered(receipt=f"HTTP {status} as {device} {number}".rstrip(), status=status)
    found = _CODE.search(excerpt)
    code = found[1] if found else response.headers.get("iothub-errorcode", "")
    reason = f"device {device}: HTTP {status} {_http.printable(code, 60)}".rstrip()
    reason = f"{reason}: {excerpt}" if excerpt else reason
    if status == 413 or (status == 400 and code not in VERDICTS):  # noqa: PLR2004 - the sender's fault
        return Rejected(reason, status=status, code=code)
    wish = _http.retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    return Retry(reason, after=wish, status=status, code=code)
