"""A fake of Azure IoT Hub's HTTPS endpoints, because no emulator of it exists.

It says so, and it is strict: it verifies every shared access signature (resource, expiry, HMAC, the
policy's permission), the API version, sizes, the characters of properties and the form of batches,
and refuses with the codes of learn.microsoft.com/azure/iot-hub/troubleshoot-error-codes.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote

from aiohttp import web

MOST_BYTES = 262_144
VERSIONS = re.compile(r"20\d\d-\d\d-\d\d(-preview)?")
PROPERTY = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]*")
SYSTEM = {
    "iothub-messageid", "iothub-correlationid", "iothub-userid", "iothub-contenttype",
    "iothub-contentencoding", "iothub-creationtimeutc",
}  # fmt: skip
BATCH = "application/vnd.microsoft.iothub.json"
KEY = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
DEVICE_KEY = base64.b64encode(b"fedcba9876543210fedcba9876543210").decode()


class RefusedError(Exception):
    """What IoT Hub answers instead."""

    def __init__(self, status, code, text=""):
        super().__init__(code)
        body = {"Message": f"ErrorCode:{code};{text}", "ExceptionMessage": "Tracking ID:abc"}
        self.response = lambda: web.json_response(
            body, status=status, headers={"iothub-errorcode": code}
        )


@dataclass
class FakeIotHub:
    """One IoT hub: its policies, its devices, and what they sent."""

    host: str = "myhub.azure-devices.net"
    #: policy → (key, permissions)
    policies: dict = field(
        default_factory=lambda: {
            "device": (KEY, {"DeviceConnect"}),
            "service": (KEY, {"ServiceConnect"}),
            "registryRead": (KEY, {"RegistryRead"}),
        }
    )
    devices: dict = field(default_factory=dict)  #: device → its own key
    disabled: set = field(default_factory=set)
    messages: list = field(default_factory=list)  #: (device, properties, body)
    requests: int = 0
    batches: int = 0
    resources: list = field(default_factory=list)  #: what each token was good for

    def connection_string(self, policy="device"):
        key = self.policies[policy][0]
        return f"HostName={self.host};SharedAccessKeyName={policy};SharedAccessKey={key}"

    def bodies(self):
        return [body for _, _, body in self.messages]

    def app(self):
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post("/devices/{device}/messages/events", self._events)
        app.router.add_get("/devices/{device}", self._device)
        return app

    async def _events(self, request):
        self.requests += 1
        device, body = request.match_info["device"], await request.read()
        try:
            self._check_version(request)
            self._admit(request, f"/devices/{device}/messages/events", "DeviceConnect", device)
            self._check_device(device)
            _check_size(request, body)
            found = _batch(body) if request.content_type == BATCH else _single(request, body)
        except RefusedError as refusal:
            return refusal.response()
        self.batches += request.content_type == BATCH
        self.messages += [(device, properties, data) for properties, data in found]
        return web.Response(status=204, headers={"x-ms-request-id": f"r-{self.requests}"})

    async def _device(self, request):
        """The registry, for Microsoft's own service library."""
        device = request.match_info["device"]
        try:
            self._check_version(request)
            self._admit(request, f"/devices/{device}", "RegistryRead", None)
            self._check_device(device)
        except RefusedError as refusal:
            return refusal.response()
        return web.json_response({"deviceId": device, "status": "enabled", "etag": "MQ=="})

    def _check_device(self, device):
        if device not in self.devices or device in self.disabled:
            raise RefusedError(404, "DeviceNotFound", f"Device {device} not registered")

    def _check_version(self, request):
        if not VERSIONS.fullmatch(request.query.get("api-version", "")):
            raise RefusedError(400, "InvalidProtocolVersion")

    def _admit(self, request, path, permission, device):
        """Verify the shared access signature of a request."""
        kind, _, text = request.headers.get("Authorization", "").partition(" ")
        parts = dict(parse_qsl(text.replace("+", "%2B")))
        raw = dict(pair.split("=", 1) for pair in text.split("&") if "=" in pair)
        key = self._key(parts.get("skn"), permission, device)
        resource = unquote(raw.get("sr", ""))
        self.resources.append(resource)
        expected = hmac.new(
            base64.b64decode(key), f"{raw.get('sr')}\n{raw.get('se')}".encode(), hashlib.sha256
        )
        fine = (
            kind == "SharedAccessSignature"
            and quote(resource, safe="").lower() == raw.get("sr", "").lower()
            and f"{self.host}{path}/".startswith(f"{resource}/")
            and time.time() < int(raw.get("se", "0"))
            and hmac.compare_digest(
                base64.b64encode(expected.digest()).decode(), parts.get("sig", "")
            )
        )
        if not fine:
            raise RefusedError(401, "IotHubUnauthorizedAccess", "Unauthorized")

    def _key(self, policy, permission, device):
        if policy is None and device in self.devices:
            return self.devices[device]
        key, permissions = self.policies.get(policy, ("", set()))
        if permission not in permissions:
            raise RefusedError(401, "IotHubUnauthorizedAccess", "Unauthorized")
        return key


def _check_size(request, body):
    properties = _properties(request.headers).items()
    if len(body) + sum(len(name) + len(value) for name, value in properties) > MOST_BYTES:
        raise RefusedError(413, "MessageTooLarge", "at most 262144 bytes")


def _properties(headers):
    return {n.lower(): v for n, v in headers.items() if n.lower().startswith("iothub-")}


def _single(request, body):
    properties = _properties(request.headers)
    _check(properties)
    return [(properties, body)]


def _batch(body):
    try:
        entries = json.loads(body)
        found = [
            (e.get("properties", {}), base64.b64decode(e["body"], validate=True)) for e in entries
        ]
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise RefusedError(400, "IotHubFormatError", str(error)) from error
    if not found or not all(e.get("base64Encoded") is True for e in entries):
        raise RefusedError(400, "ArgumentInvalid", "base64Encoded")
    for properties, _ in found:
        _check(properties)
    return found


def _check(properties):
    for name, value in properties.items():
        if name in SYSTEM:
            continue
        if not name.startswith("iothub-app-") or not PROPERTY.fullmatch(name + value):
            raise RefusedError(400, "ArgumentInvalid", f"property {name}")
