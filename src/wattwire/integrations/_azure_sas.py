"""Azure IoT Hub's connection strings, and tokens made of the keys in them. Pure.

https://learn.microsoft.com/azure/iot-hub/authenticate-authorize-sas (read 2026-08)
"""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

TOKEN_SECONDS: Final = 3600
#: A new token before the old one ends: clocks differ.
RENEW_BEFORE_SECONDS: Final = 300
#: Tokens kept, one for each device; the oldest goes first.
MOST_TOKENS: Final = 10_000
_KNOWN: Final = frozenset(
    (
        "HostName", "SharedAccessKeyName", "SharedAccessKey", "SharedAccessSignature", "DeviceId",
        "ModuleId", "GatewayHostName",
    )
)  # fmt: skip
_UNUSED: Final = ("SharedAccessSignature", "ModuleId", "GatewayHostName")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Access:
    """Who speaks to which hub: a shared access policy of it, or one of its devices."""

    host: str
    key: bytes = field(repr=False)
    policy: str = ""  #: the policy's name; empty for a device's own key
    device: str = ""  #: the only device that the key is of; empty for a policy


def read_connection_string(text: str) -> Access:
    """Read a connection string. Raises ValueError: unreadable, a strange key, or incomplete."""
    pairs = [part.partition("=") for part in text.strip().rstrip(";").split(";")]
    found = {name.strip(): value.strip() for name, equals, value in pairs if equals}
    if len(found) != len(pairs):
        raise ValueError("cannot be read: it must be Key=Value pairs with ; between them")
    if strange := sorted(set(found) - _KNOWN):
        raise ValueError(f"has a key that is none of IoT Hub's: {strange[0][:40]}")
    if unused := [name for name in _UNUSED if name in found]:
        raise ValueError(f"has a {unused[0]}, with which the hub cannot send")
    host, policy, device = (
        found.get(n, "") for n in ("HostName", "SharedAccessKeyName", "DeviceId")
    )
    if not host or not found.get("SharedAccessKey") or bool(policy) == bool(device):
        raise ValueError(
            "is incomplete: it needs HostName, SharedAccessKey, and SharedAccessKeyName (of a "
            "policy) or DeviceId (of a device)"
        )
    if not _HOST.fullmatch(host):
        raise ValueError("has a HostName that is none")
    return Access(host, _key(found["SharedAccessKey"]), policy, device)


def _key(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("has a SharedAccessKey that is not base64") from None


def token(access: Access, resource: str, expires_at: int) -> str:
    """Return a shared access signature for a resource such as `{host}/devices/{id}`."""
    encoded = quote(resource, safe="")
    mac = hmac.new(access.key, f"{encoded}\n{expires_at}".encode(), hashlib.sha256)
    signature = quote(base64.b64encode(mac.digest()), safe="")
    text = f"SharedAccessSignature sr={encoded}&sig={signature}&se={expires_at}"
    return f"{text}&skn={quote(access.policy, safe='')}" if access.policy else text


@dataclass(slots=True)
class Tokens:
    """Tokens for single devices: whoever sees one can send as that device only, for an hour."""

    access: Access
    _kept: dict[str, tuple[str, float]] = field(default_factory=dict, repr=False)

    def of(self, device: str, now: float) -> str:
        """Return a token with which to send as a device. `now`: seconds since the epoch."""
        kept, good_until = self._kept.get(device, ("", 0.0))
        if now < good_until:
            return kept
        made = token(self.access, f"{self.access.host}/devices/{device}", int(now) + TOKEN_SECONDS)
        self._kept.pop(device, None)
        while len(self._kept) >= MOST_TOKENS:
            del self._kept[next(iter(self._kept))]
        self._kept[device] = made, now + TOKEN_SECONDS - RENEW_BEFORE_SECONDS
        return made
