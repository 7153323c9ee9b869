"""schemathesis, unmodified, over the whole face: what the OpenAPI document says is what happens."""

import asyncio
import os
import sys
from collections import defaultdict
from pathlib import Path

import msgspec
from query_world import World, at
from solarnetwork_document import DOCUMENT, OPERATIONS

HERE = Path(__file__).parent
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance", "unsupported_method",
    "allow_header_conformance", "use_after_free", "ensure_resource_availability", "ignored_auth",
)  # fmt: skip
EXAMPLES = 10
SEED = 20261122
#: Boundaries are tried in full where parameters and bodies are read first; calls that read them by
#: the same code get those that fit, and the uploads' other addresses none, but the random ones.
CONFIG = """
[[operations]]
include-operation-id = ["list_solarquery_most_recent", "list_solarquery_readings", \
"list_solarquery_node_sources", "get_solarquery_interval"]
[operations.phases.coverage.generation]
mode = "positive"

[[operations]]
include-operation-id = ["upload_datum_as_user", "upload_datum_by_token"]
[operations.phases.coverage]
enabled = false
"""


async def run(bench, client, folder):
    """Run it against a hub; return (exit code, what it printed, its report)."""
    document = folder / "openapi.json"
    document.write_bytes(msgspec.json.encode(DOCUMENT))
    report, config = folder / "report.ndjson", folder / "schemathesis.toml"
    config.write_text(CONFIG.replace("\\\n", ""))
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
        "PYTHONPATH": str(HERE),
        "SN_TOKEN": client.token_id,
        "SN_SECRET": client.secret,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", str(config),
        "run", str(document), "--url", bench.url, "--checks", ",".join(CHECKS),
        "--max-examples", str(EXAMPLES), "--seed", str(SEED), "--generation-database", "none",
        "--generation-with-security-parameters", "false", "--suppress-health-check", "all",
        "--request-timeout", "30", "--continue-on-failure", "--no-shrink", "--warnings", "off",
        "--report", "ndjson", "--report-ndjson-path", str(report),
        env=environment, cwd=folder,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(150):
        out, _ = await process.communicate()
    return process.returncode, out.decode(), report


def statuses_of(report):
    """By operation, as `GET /path`, the statuses that were answered."""
    found = defaultdict(set)
    for line in report.read_text().splitlines():
        recorder = msgspec.json.decode(line).get("ScenarioFinished", {}).get("recorder", {})
        for call in recorder.get("interactions", {}).values():
            if call.get("response"):
                found[recorder["label"]].add(call["response"]["status_code"])
    return found


async def test_what_is_documented_is_what_happens(bench, organization_id, tmp_path):
    """No 5xx, no status, type or body that is not documented, no unsigned way in, 405 for the rest.

    Every operation that the hub has something for also succeeded at least once.
    """
    world = World(bench.pool, bench, organization_id)
    rows = [(at(20 * i), {"w": float(i), "wh": 1.0 * i, "s": "x"}) for i in range(6)]
    await world.store(rows, kinds={"wh": "accumulating", "s": "status"})
    await world.compute()
    client = (await world.client()).signing

    code, out, report = await run(bench, client, tmp_path)
    statuses = statuses_of(report)

    assert 0 == code, out[-20_000:]
    served = [f"{m.upper()} {p}" for m, p, op in OPERATIONS if "200" in op["responses"]]
    assert [] == [one for one in served if not {200, 401} <= statuses[one]]
    assert {404, 405, 422} <= set().union(*statuses.values())
