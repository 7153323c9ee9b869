"""A fake of ClearBlade IoT Core's publishEvent, because the real one cannot run here.

It checks the path, the query, the registry's token, the device and the base64 of the payload, and
answers with 204 as documented: docs.clearblade.com/iotcore/publishevent-projects-locations-…
"""

import base64
import binascii
import json
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class FakeClearBlade:
    """One registry."""

    system_key: str = "baa6bab40cb6959087ada3f0e9f401"
    token: str = "s3cr3t-token"
    devices: set = field(default_factory=set)
    events: list = field(default_factory=list)  #: (device, subfolder, data)

    def app(self):
        app = web.Application()
        path = "/api/v/4/webhook/execute/{key}/cloudiotdevice_devices"
        app.router.add_post(path, self._publish)
        return app

    def _refused(self, request, name):
        if request.match_info["key"] != self.system_key:
            return _refusal(404, "system not found")
        if request.headers.get("ClearBlade-UserToken") != self.token:
            return _refusal(401, "not authorized")
        if request.query.get("method") != "publishEvent":
            return _refusal(400, "method is unknown")
        return None if name in self.devices else _refusal(404, f"device {name} not found")

    async def _publish(self, request):
        name = request.query.get("name", "")
        if refusal := self._refused(request, name):
            return refusal
        try:
            body = json.loads(await request.text())
            data = base64.b64decode(body["binaryData"], validate=True)
        except (ValueError, KeyError, binascii.Error):
            return _refusal(400, "binaryData")
        if set(body) - {"binaryData", "subFolder", "gatewayInfo"}:
            return _refusal(400, "unknown field")
        self.events.append((name, body.get("subFolder", ""), data))
        return web.Response(status=204)


def _refusal(status, message):
    return web.json_response({"error": {"code": status, "message": message}}, status=status)
