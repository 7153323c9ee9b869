"""The whole hub: what is uploaded to SolarIn is found by SolarQuery, raw and added up."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode

import aiohttp
import pytest
from query_world import QueryClient
from solarnetwork_bench import SolarNetworkClient

sys.path.insert(0, str(Path(__file__).parent.parent / "stories"))

from running_hub import RunningHub, until


@pytest.fixture
async def hub(tmp_path):
    made = RunningHub(tmp_path, LOG_LEVEL="warning")
    await made.start()
    yield made
    await made.stop()


@pytest.mark.slow
async def test_an_upload_becomes_a_datum_and_an_aggregate(hub):
    """Durable when answered: it is there after the hub was killed; then fetched as an event says.

    A node's datums, with a text among them, go through intake, log and pipeline to the store; the
    aggregate of the hour is asked for by the key and the timestamp of an aggregate's event.
    """
    async with hub.api() as api:
        device = await api.post("/api/v1/devices", {"key": "meter-1", "time_zone": "UTC"})
    token = await hub.command("solarnetwork-token", "create", "--name", "node")
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    node, millis = device["id"], int(hour.timestamp() * 1000)
    datums = [
        {"nodeId": node, "created": millis + 600_000 * i, "sourceId": "Main",
         "i": {"watts": 100 + i}, "a": {"wattHours": 5 * i}, "s": {"state": "on"}}
        for i in range(7)
    ]  # fmt: skip

    async with aiohttp.ClientSession() as session:
        bench = SimpleNamespace(url=hub.info["http_url"], session=session)
        client = QueryClient(SolarNetworkClient(bench, token["id"], token["secret"]))
        taken = (await client.upload(datums)).data["datum"]
        assert [d["sourceId"] for d in taken] == ["Main"] * 7
        hub.kill("all")
        await hub.process.wait()
        await hub.start()
        bench.url = hub.info["http_url"]

        async def stored():
            answer = await client.list(nodeId=node, startDate=f"{hour:%Y-%m-%d}")
            found = answer.data["results"]
            return found if len(found) == 7 else None

        async def added_up():
            query = urlencode({
                "nodeId": node, "sourceId": "Main", "aggregationKey": "h",
                "startDate": f"{hour:%Y-%m-%dT%H:%M}",
                "endDate": f"{hour + timedelta(hours=1):%Y-%m-%dT%H:%M}",
            })  # fmt: skip
            answer = await client.signing.get(f"/solarquery/api/v1/sec/datum/list?{query}")
            return answer.data["results"]

        raw = await until(stored, what="seven datums are stored")
        aggregate = await until(added_up, what="the hour is computed")

    assert (raw[0]["watts"], raw[0]["state"], raw[6]["wattHours"]) == (100, "on", 30)
    assert aggregate[0]["created"] == f"{hour:%Y-%m-%d %H:%M:%S}Z"
    assert (aggregate[0]["watts"], aggregate[0]["wattHours"]) == (102.5, 30)
    assert aggregate[0]["state"] == "on"
