"""What the InfluxDB integration is tested against: a real InfluxDB 1.6, and version 2's face."""

import asyncio
import gzip
import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import aiohttp
import aiohttp.web
import pytest
from mqtt_counterparts import PATH, free_port

PATIENCE = 30.0
ORG, BUCKET, TOKEN = "plant", "readings", "s3cr3t-token"

CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{backup}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = {auth}
  log-enabled = false
  max-body-size = {most}
[monitor]
  store-enabled = false
[logging]
  level = "error"
  suppress-logo = true
"""


class InfluxServer:
    """A real influxd on loopback."""

    def __init__(self, folder, *, auth=False, most=25_000_000):
        folder.mkdir()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.login = None
        text = CONFIG.format(
            folder=folder, port=self.port, backup=free_port(), auth=str(auth).lower(), most=most
        )
        (folder / "influxdb.conf").write_text(text)
        program = shutil.which("influxd", path=PATH)
        if program is None:
            pytest.fail("influxd is missing: apt-get install influxdb")
        self._process = subprocess.Popen(
            [program, "-config", str(folder / "influxdb.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    async def ready(self):
        async with asyncio.timeout(PATIENCE):
            while not await asyncio.to_thread(self._answers):
                assert self._process.poll() is None, "influxd stopped at once"
                await asyncio.sleep(0.05)

    def _answers(self):
        try:
            with urllib.request.urlopen(f"{self.url}/ping", timeout=5) as answer:
                return answer.status == 204
        except OSError:
            return False

    def query(self, text, db=None):
        """Rows of a query, each a dictionary."""
        form = {"q": text, **({"db": db} if db else {})}
        login = ""
        if self.login:
            login = "?" + urllib.parse.urlencode({"u": self.login[0], "p": self.login[1]})
        body = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(f"{self.url}/query{login}", body, timeout=10) as answer:
            result = json.loads(answer.read())["results"][0]
        assert "error" not in result, result
        return [
            dict(zip(series["columns"], row, strict=True))
            for series in result.get("series", ())
            for row in series["values"]
        ]

    def stop(self):
        self._process.terminate()
        self._process.wait(timeout=20)


class VersionTwo:
    """Version 2's `/api/v2/write` in front of a real InfluxDB 1: a fake, and it says so.

    Token, organization and bucket are checked as version 2 does (401, 400, 404); lines are parsed,
    typed and kept by the real one. Its partial writes are told as version 2 tells them (422), and
    a line that cannot be parsed makes it refuse the whole write, unwritten (400).
    """

    def __init__(self, server, db):
        self.server, self.db = server, db
        self.requests = []
        self.url = ""
        self._runner = None

    async def start(self):
        app = aiohttp.web.Application(client_max_size=50_000_000)
        app.router.add_post("/api/v2/write", self._write)
        self._runner = aiohttp.web.AppRunner(app)
        await self._runner.setup()
        await aiohttp.web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self):
        await self._runner.cleanup()

    async def _write(self, request):
        body = await request.read()  # aiohttp has unpacked it
        self.requests.append((request, body))
        query = request.query
        if request.headers.get("Authorization") != f"Token {TOKEN}":
            return _said(401, "unauthorized", "unauthorized access")
        if query["org"] != ORG:
            return _said(400, "invalid", "failed to decode request body: organization not found")
        if query["bucket"] != BUCKET:
            return _said(404, "not found", f'bucket "{query["bucket"]}" not found')
        return await self._pass_on(body, {"ns": "n", "us": "u"}.get(query["precision"], "ms"))

    async def _pass_on(self, body, precision):
        async with aiohttp.ClientSession() as session:
            # Version 2 refuses before it writes: tried on a database of its own first.
            for db in (f"{self.db}_trial", self.db):
                params = {"db": db, "precision": precision}
                async with session.post(
                    f"{self.server.url}/write", params=params, data=body
                ) as answer:
                    said = await answer.text()
                if answer.status == 400:
                    error = json.loads(said)["error"]
                    if "unable to parse" in error:
                        bad = error[error.index("unable to parse") :].split("\n")[0]
                        return _said(400, "invalid", bad.split(" dropped=")[0])
                    if db == self.db:
                        text = f"failure writing points to database: {error}"
                        return _said(422, "unprocessable entity", text)
        return aiohttp.web.Response(status=204, headers={"X-Request-Id": "0e5f3a"})


def _said(status, code, message):
    return aiohttp.web.json_response({"code": code, "message": message}, status=status)


def unpacked(request):
    """The lines of a write as the fault server read it."""
    body = request.body
    return gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body


def new_folder(tmp_path_factory):
    return Path(tmp_path_factory.mktemp("influx")) / "data"
