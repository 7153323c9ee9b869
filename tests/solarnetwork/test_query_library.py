"""SolarNetwork's own JavaScript library, unmodified, asks SolarQuery and uploads to SolarIn."""

import asyncio
import shutil
from pathlib import Path

import msgspec
import pytest
from query_world import NOON, World, at

MODULES = Path(__file__).parents[1] / "node" / "node_modules"
CLIENT = Path(__file__).with_name("query_client.mjs")


async def ask(folder, *arguments):
    """Run the client in a folder of its own and return what it found."""
    if not (MODULES / "solarnetwork-api-core").exists():
        pytest.fail("solarnetwork-api-core is missing: npm ci --prefix tests/node")
    (folder / "node_modules").symlink_to(MODULES)
    script = shutil.copy(CLIENT, folder)
    process = await asyncio.create_subprocess_exec(
        "node", script, *map(str, arguments), cwd=folder,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return msgspec.json.decode(out)


async def test_the_library_finds_what_is_stored(bench, organization_id, tmp_path):
    """Addresses, signatures, pages, sorts, dates and patterns, all as the library writes them."""
    world = World(bench.pool, bench, organization_id)
    rows = [(at(30 * i), {"watts": float(i), "wattHours": 10.0 * i}) for i in range(5)]
    node, _ = await world.store(rows, kinds={"wattHours": "accumulating"})
    await world.store([(NOON, {"l": 1.0})], path="/water/cold/1")
    await world.store([(NOON, {"l": 1.0})], path="/gas/1")
    await world.compute()
    client = (await world.client()).signing

    found = await ask(tmp_path, bench.url, client.token_id, client.secret, node, 1_600_000_000_000)

    def created(page):
        return [(f["sourceId"], f["created"]) for f in page["results"]]

    pairs = [{"nodeId": node, "sourceId": path} for path in ("/power/1", "/water/cold/1")]
    assert found["uploaded"]["datum"][0]["sourceId"] == "/größe/1"
    assert found["nodes"] == [node]
    assert found["sources"] == ["/power/1", "/water/cold/1"]
    assert found["available"] == pairs
    assert found["interval"]["endDateMillis"] == int(at(120).timestamp() * 1000)
    assert found["raw"]["totalResults"] == 6
    assert created(found["raw"]) == [
        ("/power/1", "2020-06-01 13:30:00Z"), ("/power/1", "2020-06-01 13:00:00Z"),
    ]  # fmt: skip
    assert found["parsed"] == "2020-06-01T13:30:00.000Z"
    assert created(found["hours"])[:2] == [
        ("/power/1", "2020-06-01 12:00:00Z"), ("/power/1", "2020-06-01 13:00:00Z"),
    ]  # fmt: skip
    assert created(found["recent"]) == [
        ("/power/1", "2020-06-01 14:00:00Z"), ("/water/cold/1", "2020-06-01 12:00:00Z"),
    ]  # fmt: skip
    assert found["reading"]["results"][0]["wattHours"] == 40
