"""The real app on a real port, over a real database and the real intake.

Only the log between intake and pipeline is left out: what intake hands over is stored at once, by
the same statements that the pipeline uses.
"""

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from api_conformance import check

from wattwire.api.application import create_app
from wattwire.api.contract import Check, Hub, TestResult
from wattwire.api.server import serve
from wattwire.engines.secrets import Sealer
from wattwire.intake.intake import Intake
from wattwire.intake.writer import LogUnavailableError
from wattwire.integrations import TYPES
from wattwire.model import to_instant
from wattwire.settings import Settings
from wattwire.sources.mqtt import TYPE as MQTT
from wattwire.sources.routing import Publisher, TopicDecoder
from wattwire.store import organizations, readings, registry, tokens
from wattwire.store.directory import Directory
from wattwire.store.ledger import ensure_partitions
from wattwire.store.watch import ConfigWatch


class StoringWriter:
    """In place of the log writer: stores at once, or refuses when `down`, like a full log."""

    def __init__(self, pool):
        self._pool = pool
        self.down = False
        self.overloaded = False
        self.tasks = set()

    @property
    def figures(self):
        return self

    fault = "the log is full"

    def submit(self, organization_id, taken, statuses, received_at, release):
        self._start(self._store(organization_id, taken, received_at), release)

    def submit_refused(self, entry, release):
        self._start(self._quarantine(entry), release)

    def _start(self, work, release):
        async def run():
            if self.down:
                work.close()
                release(False)
                return
            await work
            release(True)

        task = asyncio.create_task(run())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _store(self, organization_id, taken, received_at):
        rows = {}
        async with self._pool.acquire() as connection:
            shapes = list({r.shape: None for r in taken})
            await readings.ensure_months(
                connection, readings.months_of(to_instant(r.time) for r in taken)
            )
            await registry.register_devices(connection, [(organization_id, s) for s in shapes])
            found = await registry.register_streams(
                connection, [(organization_id, s) for s in shapes]
            )
            for r in taken:
                stream = found[organization_id, r.shape]
                by_name = {c.name: v for c, v in zip(r.shape.channels, r.values, strict=True)}
                rows[stream.stream_id, r.time] = readings.Row(
                    stream.stream_id,
                    to_instant(r.time),
                    to_instant(received_at),
                    r.quality,
                    [by_name.get(name) for name in stream.names],
                    None,
                )
            await readings.prepare_stage(connection)
            async with connection.transaction():
                await readings.merge(connection, list(rows.values()))

    async def _quarantine(self, e):
        row = readings.Refused(
            e.organization_id, to_instant(e.received_at), e.source, e.format, e.topic, e.raw,
            e.reason, e.where, e.device_key, e.credential_id,
        )  # fmt: skip
        async with self._pool.acquire() as connection:
            await readings.insert_quarantine(connection, [row])


class Status:
    """How the hub is doing, as the test says."""

    def __init__(self):
        self.checks = [Check("database", ok=True), Check("log", ok=True)]

    async def readiness(self):
        return self.checks

    async def metrics(self):
        return b"wattwire_test_total 1.0\n"


@dataclass
class Bench:
    """A hub's API and what stands behind it."""

    pool: object
    hub: Hub
    app: object
    url: str
    session: aiohttp.ClientSession
    writer: StoringWriter
    status: Status
    watch: ConfigWatch
    directory: Directory
    https_url: str | None = None

    def client(self, token):
        return Client(self, token)

    async def new_organization(self, name):
        organization = await organizations.create(self.pool, name)
        return organization.id

    async def token(self, organization_id, role="owner", **fields):
        _, text = await tokens.create(self.pool, organization_id, name="test", role=role, **fields)
        return text


@dataclass
class Answer:
    status: int
    headers: object
    body: bytes

    @property
    def json(self):
        import msgspec

        return msgspec.json.decode(self.body)


class Client:
    """Calls the API with one token."""

    def __init__(self, bench, token):
        self._bench = bench
        self._token = token

    async def call(self, method, path, *, headers=None, **arguments):
        headers = dict(headers or {})
        if self._token is not None:
            headers.setdefault("Authorization", f"Bearer {self._token}")
        async with self._bench.session.request(
            method, self._bench.url + path, headers=headers, **arguments
        ) as response:
            answer = Answer(response.status, response.headers, await response.read())
        content_type = answer.headers.get("Content-Type", "")
        check(method, path.partition("?")[0], answer.status, content_type, answer.body)
        return answer

    async def get(self, path, **arguments):
        return await self.call("GET", path, **arguments)

    async def post(self, path, json=None, **arguments):
        if json is not None:
            arguments["json"] = json
        return await self.call("POST", path, **arguments)

    async def patch(self, path, json):
        return await self.call("PATCH", path, json=json)

    async def delete(self, path):
        return await self.call("DELETE", path)


@asynccontextmanager
async def open_bench(pool, database_url, folder, *, secure=None, **settings):
    """`secure` is where to listen with TLS as well; `settings` are further settings of the hub."""
    writer, directory, status = StoringWriter(pool), Directory(pool), Status()
    decoder = TopicDecoder()

    async def decode(entry):
        publisher = Publisher(
            entry.organization_id, lambda device: directory.zone(entry.organization_id, device)
        )
        while True:
            try:
                return decoder.decode(
                    entry.origin.format, entry.origin.topic, entry.raw, publisher,
                    time.time_ns() // 1000,
                )  # fmt: skip
            except LookupError as missing:
                await directory.load(entry.organization_id, [missing.device])

    async def try_out(integration_id):
        return TestResult("delivered", "", "HTTP 200", 1.5, f"test-{integration_id}")

    hub = Hub(
        pool=pool,
        settings=Settings(data_dir=folder, **settings),
        sealer=Sealer.open(folder / "secret.key"),
        intake=Intake(writer, directory),
        decode=decode,
        test_integration=try_out,
        status=status,
        integration_types=TYPES,
        source_types={"mqtt": MQTT},
        intake_errors=(LogUnavailableError,),
    )
    app = create_app(hub)
    watch = ConfigWatch(database_url)
    watch.subscribe(app.state.face.tokens.forget)
    watch.subscribe(app.state.solarnetwork.forget)
    watch.subscribe(directory.forget)
    async with pool.acquire() as connection:
        await ensure_partitions(connection, datetime.now(UTC).date())
    watching = asyncio.create_task(watch.run())
    try:
        async with asyncio.timeout(30):
            await watch.listening.wait()
        async with (
            serve(app, host="127.0.0.1", port=0, secure=secure) as served,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session,
        ):
            yield Bench(
                pool, hub, app, served.url, session, writer, status, watch, directory,
                served.https_url,
            )  # fmt: skip
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def until(condition, seconds=10):
    """Wait until an async condition holds."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)
