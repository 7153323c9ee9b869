"""The whole hub over HTTPS: a node with a certificate of the command line, until it is revoked."""

import json
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "stories"))

from running_hub import RunningHub, until

UPLOAD = "/solarin/bulkCollector.do"


@pytest.fixture
async def hub(tmp_path):
    made = RunningHub(tmp_path, LOG_LEVEL="warning", HTTPS_PORT="0", HTTPS_HOST="localhost")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def node(hub):
    async with hub.api() as api:
        return (await api.post("/api/v1/devices", {"key": "meter-1", "time_zone": "UTC"}))["id"]


@pytest.mark.slow
async def test_a_node_uploads_until_its_certificate_is_revoked(hub, node, tmp_path):
    """The ready file says where to; aiohttp and curl alike; revoked, it is out within seconds."""
    made = await hub.command(
        "solarnetwork-certificate", "create", "--node", str(node), "--folder", str(tmp_path)
    )
    context = ssl.create_default_context(cafile=hub.info["ca_file"])
    context.load_cert_chain(made["certificate_file"], made["key_file"])
    at = datetime.now(UTC) - timedelta(hours=2)
    datum = {"created": int(at.timestamp() * 1000), "sourceId": "Main", "i": {"watts": 231}}

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:

        async def upload():
            async with session.post(hub.info["https_url"] + UPLOAD, json=[datum]) as answer:
                return answer.status, await answer.json()

        status, taken = await upload()
        assert (200, node) == (status, taken["data"]["datum"][0]["nodeId"])

        async def stored():
            async with hub.api() as api:
                found = await api.get(
                    f"/api/v1/devices/{node}/readings?from={at - timedelta(hours=1):%FT%TZ}"
                    f"&to={at + timedelta(hours=1):%FT%TZ}"
                )
                return found["items"]

        assert await until(stored, what="the datum is stored")
        assert taken["data"] == curl(hub, made, datum)["data"]
        await hub.command("solarnetwork-certificate", "revoke", str(made["id"]))

        async def refused():
            return (await upload())[0] == 403

        assert await until(refused, what="the certificate is refused")


def curl(hub, made, datum):
    """The same with a client of another make."""
    url = hub.info["https_url"] + UPLOAD
    done = subprocess.run(
        [
            "curl", "-sS", "--cacert", hub.info["ca_file"], "--cert", made["certificate_file"],
            "--key", made["key_file"], "--json", json.dumps([datum]), url,
        ],
        capture_output=True, timeout=30, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)
