"""Tokens of SolarNetwork's API, made and ended in the native one."""

from datetime import UTC, datetime, timedelta

import pytest
from solarnetwork_bench import BASE, SolarNetworkClient

from wattwire.engines.rotation import rotate

TOKENS = "/api/v1/solarnetwork-tokens"


@pytest.fixture
async def owner(bench, organization_id):
    return bench.client(await bench.token(organization_id))


async def test_a_token_is_made_shown_once_and_signs(bench, owner):
    """Twenty characters and a secret, which no list and no row in clear has."""
    made = await owner.post(TOKENS, {"name": "x", "policy": {"node_ids": [1]}})
    token = made.json

    assert 201 == made.status
    assert (20, "User", {"node_ids": [1], "source_ids": None}) == (
        len(token["id"]),
        token["kind"],
        token["policy"],
    )
    client = SolarNetworkClient(bench, token["id"], token["secret"])
    assert 200 == (await client.get(f"{BASE}/topics")).status
    listed = await owner.get(TOKENS)
    assert [token["id"]] == [item["id"] for item in listed.json["items"]]
    assert listed.json["items"][0]["last_used_at"]
    assert token["secret"].encode() not in listed.body
    assert token["secret"].encode() not in (await owner.get(f"{TOKENS}/{token['id']}")).body
    stored = await bench.pool.fetchval("SELECT secret FROM solarnetwork_token")
    assert token["secret"].encode() not in stored


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "Admin"},
        {"policy": {"node_ids": []}},
        {"policy": {"node_ids": [0]}},
        {"policy": {"x": 1}},
        {"policy": {"source_ids": [""]}},
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"name": "a\x00"},
    ],
)
async def test_a_token_that_makes_no_sense_is_refused(owner, body):
    """422, and nothing is made."""
    assert 422 == (await owner.post(TOKENS, body)).status
    assert [] == (await owner.get(TOKENS)).json["items"]


async def test_only_owners_manage_tokens(bench, organization_id):
    """Editors are refused."""
    editor = bench.client(await bench.token(organization_id, role="editor"))

    assert [403, 403] == [(await editor.get(TOKENS)).status, (await editor.post(TOKENS, {})).status]


async def test_tokens_of_others_are_not_there(bench, owner):
    """Neither to see nor to revoke."""
    token_id = (await owner.post(TOKENS, {})).json["id"]
    other = bench.client(await bench.token(await bench.new_organization("Other")))

    assert [] == (await other.get(TOKENS)).json["items"]
    assert [404, 404] == [
        (await other.get(f"{TOKENS}/{token_id}")).status,
        (await other.delete(f"{TOKENS}/{token_id}")).status,
    ]


async def test_a_repeated_request_makes_one_token(owner):
    """Under an idempotency key, the secret included."""
    headers = {"Idempotency-Key": "k"}
    first = await owner.post(TOKENS, {"name": "x"}, headers=headers)
    again = await owner.post(TOKENS, {"name": "x"}, headers=headers)

    assert first.json == again.json
    assert 1 == len((await owner.get(TOKENS)).json["items"])


async def test_a_token_survives_a_rotation_of_the_key(bench, owner):
    """Its secret is sealed with the new one, and opens."""
    token = (await owner.post(TOKENS, {})).json
    before = await bench.pool.fetchval("SELECT secret FROM solarnetwork_token")
    async with bench.pool.acquire() as connection:
        await rotate(connection, bench.hub.sealer, grace_seconds=0)
    bench.app.state.solarnetwork.forget("*", "")

    assert before != await bench.pool.fetchval("SELECT secret FROM solarnetwork_token")
    client = SolarNetworkClient(bench, token["id"], token["secret"])
    assert 200 == (await client.get(f"{BASE}/topics")).status


async def test_a_change_elsewhere_is_heard_of(bench, owner):
    """The database tells every process: a token that ends there ends here."""
    token = (await owner.post(TOKENS, {})).json
    client = SolarNetworkClient(bench, token["id"], token["secret"])
    assert 200 == (await client.get(f"{BASE}/topics")).status
    await bench.pool.execute(
        "UPDATE solarnetwork_token SET expires_at = $1", datetime.now(UTC) - timedelta(hours=1)
    )

    import asyncio

    async with asyncio.timeout(5):  # less than what is remembered lasts
        while (await client.get(f"{BASE}/topics")).status != 401:
            await asyncio.sleep(0.02)
