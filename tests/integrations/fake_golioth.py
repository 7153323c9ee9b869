"""A fake of Golioth's Management API, because the real one cannot run here.

It checks keys and their project, devices, paths and JSON, stores LightDB State as a tree, merges
as PATCH does, and refuses in the words of a gRPC gateway: {"code", "message", "details"}.
"""

import json
from dataclasses import dataclass, field

from aiohttp import web


class RefusedError(Exception):
    """What the gateway answers instead."""

    def __init__(self, status, code, message):
        super().__init__(message)
        body = {"code": code, "message": message, "details": []}
        self.response = lambda: web.json_response(body, status=status)


@web.middleware
async def _refusing(request, handler):
    try:
        return await handler(request)
    except RefusedError as refusal:
        return refusal.response()


@dataclass
class FakeGolioth:
    """One project of several: its devices, their state, and what was called."""

    project: str = "my-project"
    key: str = "s3cr3t-key"
    foreign_key: str = "key-of-another-project"
    devices: dict = field(default_factory=dict)  #: ID → device
    state: dict = field(default_factory=dict)  #: ID → tree
    written: list = field(default_factory=list)  #: (method, ID, path, body)
    calls: list = field(default_factory=list)  #: every request, as "METHOD path"
    rpc: object = None  #: answers (device, method, params) → (status, body)

    def add(self, device_id, name, *, hardware_id=None, tags=()):
        self.devices[device_id] = {
            "id": device_id,
            "name": name,
            "hardwareIds": [hardware_id or name],
            "tagIds": list(tags),
        }

    def bodies(self):
        return [body for *_, body in self.written]

    def app(self):
        app = web.Application(middlewares=[_refusing], client_max_size=4 * 1024 * 1024)
        here = "/v1/projects/{project}"
        app.router.add_get(here, self._project)
        app.router.add_get(f"{here}/devices", self._list)
        app.router.add_post(f"{here}/devices", self._create)
        app.router.add_post(f"{here}/devices/{{device}}/rpc", self._rpc)
        app.router.add_route("*", f"{here}/devices/{{device}}/data/{{path:.+}}", self._data)
        app.router.add_route("*", f"{here}/devicesByTag/{{tag}}/data/{{path:.+}}", self._by_tag)
        return app

    def _admit(self, request):
        self.calls.append(f"{request.method} {request.path}")
        key = request.headers.get("x-api-key")
        if key == self.foreign_key:
            raise RefusedError(403, 7, "not allowed")
        if key != self.key:
            raise RefusedError(401, 16, "invalid api key")
        if request.match_info["project"] != self.project:
            raise RefusedError(404, 5, "project not found")

    async def _project(self, request):
        self._admit(request)
        return web.json_response({"data": {"id": self.project, "name": "Meters"}})

    async def _list(self, request):
        self._admit(request)
        query = request.query
        found = [
            d
            for d in self.devices.values()
            if query.get("deviceName", "") in d["name"]  # it finds parts of names
            and query.get("hardwareId", d["hardwareIds"][0]) in d["hardwareIds"]
        ]
        per_page = int(query.get("perPage", "100"))
        page = {"list": found[:per_page], "page": 0, "perPage": per_page, "total": len(found)}
        return web.json_response(page)

    async def _create(self, request):
        self._admit(request)
        body = await _body(request)
        if not isinstance(body, dict) or not body.get("name"):
            raise RefusedError(400, 3, "name is required")
        if any(d["name"] == body["name"] for d in self.devices.values()):
            raise RefusedError(409, 6, "device already exists")
        device_id = f"id-{len(self.devices) + 1}"
        self.devices[device_id] = {"id": device_id, "tagIds": [], **body}
        return web.json_response({"data": self.devices[device_id]})

    async def _data(self, request):
        self._admit(request)
        device = request.match_info["device"]
        if device not in self.devices:
            raise RefusedError(404, 5, "device not found")
        raw = await request.read()
        value = await _body(request)
        self._store(request.method, device, request.match_info["path"], value)
        self.written.append((request.method, device, request.match_info["path"], raw))
        return web.json_response({"data": value})

    async def _by_tag(self, request):
        self._admit(request)
        tag, raw = request.match_info["tag"], await request.read()
        value = await _body(request)
        tagged = [i for i, d in self.devices.items() if tag in d["tagIds"]]
        if not tagged:
            raise RefusedError(404, 5, "tag not found")
        for device in tagged:
            self._store(request.method, device, request.match_info["path"], value)
            self.written.append((request.method, device, request.match_info["path"], raw))
        return web.json_response({"data": value})

    def _store(self, method, device, path, value):
        if method not in {"PUT", "POST", "PATCH"}:
            raise RefusedError(405, 12, "Method Not Allowed")
        *parents, last = path.split("/")
        tree = self.state.setdefault(device, {})
        for level in parents:
            tree = tree.setdefault(level, {})
        if method == "PATCH" and isinstance(value, dict) and isinstance(tree.get(last), dict):
            tree[last] |= value
        else:
            tree[last] = value

    async def _rpc(self, request):
        self._admit(request)
        device, body = request.match_info["device"], await _body(request)
        if device not in self.devices:
            raise RefusedError(404, 5, "device not found")
        if set(body) - {"method", "params", "timeout"} or not isinstance(body["params"], list):
            raise RefusedError(400, 3, "method and params")
        status, answer = self.rpc(device, body["method"], body["params"])
        if status != 200:
            raise RefusedError(status, *answer)
        self.written.append(("POST", device, "rpc", await request.read()))
        return web.json_response(answer)


async def _body(request):
    try:
        return json.loads(await request.text())
    except ValueError as error:
        raise RefusedError(400, 3, f"invalid JSON: {error}") from error
