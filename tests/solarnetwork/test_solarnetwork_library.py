"""SolarNetwork's own JavaScript library, unmodified, as the client."""

import asyncio
import shutil
from pathlib import Path

import msgspec
import pytest
from solarnetwork_bench import BASE, SolarNetworkClient

MODULES = Path(__file__).parents[1] / "node" / "node_modules"
CLIENT = Path(__file__).with_name("solarnetwork_client.mjs")
HOOK = {
    "name": "Übersicht",
    "topic": "datum/agg/update",
    "nodeIds": [7],
    "serviceIdentifier": "webhook",
    "serviceProperties": {"url": "https://example.com/x"},
}


@pytest.fixture
def library(user, bench, tmp_path):
    """A function that has the library sign and send requests, by default with the user's token."""
    if not (MODULES / "solarnetwork-api-core").exists():
        pytest.fail("solarnetwork-api-core is missing: npm ci --prefix tests/node")
    (tmp_path / "node_modules").symlink_to(MODULES)
    script = shutil.copy(CLIENT, tmp_path)

    async def send(*requests, client=user):
        process = await asyncio.create_subprocess_exec(
            "node",
            script,
            bench.url,
            client.token_id,
            client.secret,
            cwd=tmp_path,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        lines = [msgspec.json.encode(request) for request in requests]
        async with asyncio.timeout(60):
            out, err = await process.communicate(b"\n".join(lines) + b"\n")
        assert 0 == process.returncode, err.decode()
        return [msgspec.json.decode(line) for line in out.splitlines()]

    return send


async def test_the_library_manages_hooks(library):
    """Creates, lists, reads, replaces, deletes; umlauts in the body, parameters in the address."""
    body = msgspec.json.encode(HOOK).decode()
    made, listed, topics, services = await library(
        {"method": "POST", "call": "/user/event/node/hooks", "body": body},
        {"method": "GET", "path": f"{BASE}/hooks?b=x%20y&a=%C3%A4%2F&b=1"},
        {"method": "GET", "call": "/user/event/node/topics"},
        {"method": "GET", "call": "/user/event/node/hook/services"},
    )
    hook = made["json"]["data"]
    again = msgspec.json.encode({**HOOK, "id": hook["id"], "name": "new"}).decode()
    one = f"{BASE}/hooks/{hook['id']}"
    replaced, seen, gone, missing = await library(
        {"method": "POST", "path": f"{BASE}/hooks", "body": again},
        {"method": "GET", "path": one},
        {"method": "DELETE", "path": one},
        {"method": "GET", "path": one},
    )

    assert [200, 200, 200, 200] == [a["status"] for a in (made, listed, topics, services)]
    assert "Übersicht" == hook["name"]
    assert [hook] == listed["json"]["data"]
    assert "datum/agg/update" == topics["json"]["data"][0]["id"]
    assert 15 == len(services["json"]["data"])
    assert [200, 200, 200, 404] == [a["status"] for a in (replaced, seen, gone, missing)]
    assert "new" == seen["json"]["data"]["name"]
    assert {"success": True} == gone["json"]


async def test_the_library_with_a_wrong_secret_is_refused(library, user, bench):
    """The library signs what it is given; the hub looks."""
    wrong = SolarNetworkClient(bench, user.token_id, "wrong")
    [answer] = await library({"method": "GET", "path": f"{BASE}/topics"}, client=wrong)

    assert (403, {"success": False, "message": "Bad credentials"}) == (
        answer["status"],
        answer["json"],
    )
