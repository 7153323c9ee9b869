"""A real InfluxDB behind version 2's face, and its words for refusals."""

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from influx_counterparts import BUCKET, ORG, TOKEN, InfluxServer, VersionTwo, new_folder, unpacked
from integrations_counterparts import LOCAL, Bench, Reply

from wattwire.integrations import TYPES

JSON = {"Content-Type": "application/json"}


def influx_error(status, code, message, **headers):
    body = json.dumps({"code": code, "message": message}).encode()
    return Reply(status, body, JSON | headers)


@pytest.fixture(scope="session")
def influx_process(tmp_path_factory):
    """One influxd for the whole run."""
    server = InfluxServer(new_folder(tmp_path_factory))
    yield server
    server.stop()


@pytest.fixture
async def influx(influx_process, request):
    """A database of the test's own: the server and the name."""
    await influx_process.ready()
    name = f"t{abs(hash(request.node.nodeid)) % 10**9}"
    influx_process.query(f'CREATE DATABASE "{name}"')
    influx_process.query(f'CREATE DATABASE "{name}_trial"')
    yield influx_process, name
    influx_process.query(f'DROP DATABASE "{name}"')
    influx_process.query(f'DROP DATABASE "{name}_trial"')


@pytest.fixture
async def version_two(influx):
    """The same with version 2's face."""
    shim = VersionTwo(*influx)
    await shim.start()
    yield shim
    await shim.stop()


@dataclass
class AsLines:
    """The integration, given the suite's bodies as the text of a field: they are no lines."""

    integration: object

    async def deliver(self, batch):
        return await self.integration.deliver([lined(message) for message in batch])

    async def test(self, probe):
        return await self.integration.test(lined(probe))


def lined(message):
    text = message.body.decode().replace("\\", "\\\\").replace('"', '\\"')
    line = f'suite,id={message.id} body="{text}" 1748781000000000000\n'
    return replace(message, body=line.encode(), content_type="text/plain; charset=utf-8")


def connected(kind):
    @asynccontextmanager
    async def connect(settings, surroundings):
        async with kind.connect(settings, surroundings) as integration:
            yield AsLines(integration)

    return connect


def half_of_the_lines(request):
    """Too much unless it is one line; then every other one fails."""
    lines = unpacked(request).decode().split("\n")
    if len([line for line in lines if line]) > 1:
        return influx_error(413, "request too large", "points batch is too large")
    if "id=m-1 " in lines[0] or "id=m-3 " in lines[0]:
        return influx_error(500, "internal error", "half")
    return Reply(204, b"", {"X-Request-Id": "abc"})


@pytest.fixture
def influxdb_bench(influx, version_two):
    """An InfluxDB 1.6 as version 2."""
    kind = TYPES["influxdb"]
    server, name = influx

    def aimed_at(url):
        return kind.settings(url=url, org=ORG, bucket=BUCKET, token=TOKEN, flush_seconds=0)

    return Bench(
        kind=replace(kind, connect=connected(kind)),
        surroundings=LOCAL,
        settings=aimed_at(version_two.url),
        received=lambda: [r["body"].encode() for r in server.query("SELECT * FROM suite", name)],
        aimed_at=aimed_at,
        replies={
            "denied": influx_error(401, "unauthorized", "unauthorized access"),
            "refused": influx_error(400, "invalid", "unable to parse 'x': missing fields"),
            "broken": influx_error(500, "internal error", "unexpected error"),
            "away": influx_error(503, "unavailable", "later", **{"Retry-After": "7"}),
            "throttled": influx_error(429, "too many requests", "slow", **{"Retry-After": "7"}),
            "half": half_of_the_lines,
            "taken": Reply(204, b"", {"X-Request-Id": "abc"}),
        },
    )
