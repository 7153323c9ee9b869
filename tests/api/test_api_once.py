"""Idempotency keys: carried out once, whatever happens."""

import asyncio


async def post(client, body, key, path="/api/v1/devices"):
    return await client.post(path, body, headers={"Idempotency-Key": key})


async def test_a_repeat_gets_the_first_answer(bench, owner):
    """The same request with the same key makes one device and is answered twice alike."""
    first = await post(owner, {"key": "a"}, "k1")
    again = await post(owner, {"key": "a"}, "k1")

    assert 201 == first.status == again.status
    assert first.body == again.body
    assert "Idempotency-Replayed" not in first.headers
    assert "true" == again.headers["Idempotency-Replayed"]
    assert 1 == await bench.pool.fetchval("SELECT count(*) FROM device")


async def test_a_key_belongs_to_one_request(owner, bench, organization_id):
    """Another body, another address or another token under the same key is refused."""
    await post(owner, {"key": "a"}, "k1")
    other_token = bench.client(await bench.token(organization_id))
    answers = [
        await post(owner, {"key": "b"}, "k1"),
        await post(owner, {"role": "viewer"}, "k1", "/api/v1/tokens"),
        await post(other_token, {"key": "a"}, "k1"),
    ]

    assert [422, 422, 422] == [a.status for a in answers]
    assert all(a.json["type"].endswith("idempotency-key-reused") for a in answers)


async def test_organizations_do_not_share_keys(bench, owner):
    """The same key in another organization is another key."""
    await post(owner, {"key": "a"}, "k1")
    other = bench.client(await bench.token(await bench.new_organization("Other")))
    answer = await post(other, {"key": "a"}, "k1")

    assert 201 == answer.status
    assert "Idempotency-Replayed" not in answer.headers


async def test_requests_at_the_same_time_are_carried_out_once(bench, owner):
    """Ten at once: one is carried out, nine wait for it and get its answer."""
    answers = await asyncio.gather(
        *(post(owner, {"role": "viewer"}, "k", "/api/v1/tokens") for _ in range(10))
    )

    assert {201} == {a.status for a in answers}
    assert 1 == len({a.body for a in answers})
    assert 2 == await bench.pool.fetchval("SELECT count(*) FROM token")  # and the owner's own


async def test_a_failed_request_leaves_the_key_free(bench, owner):
    """What was refused was not carried out: the key can be used again, for something that works."""
    await owner.post("/api/v1/devices", {"key": "a"})
    assert 409 == (await post(owner, {"key": "a"}, "k1")).status

    assert 201 == (await post(owner, {"key": "b"}, "k1")).status


async def test_new_secrets_are_not_kept_in_clear(bench, owner):
    """The answer that shows a new token is kept sealed."""
    answer = await post(owner, {"role": "viewer"}, "k", "/api/v1/tokens")
    kept = await bench.pool.fetchval("SELECT response FROM idempotency")

    assert answer.json["token"].encode() not in kept
    assert answer.body == (await post(owner, {"role": "viewer"}, "k", "/api/v1/tokens")).body


async def test_readings_are_handed_over_once(bench, owner, reading):
    """A repeated batch gets its verdicts again without another trip through the log."""
    body = {"readings": [reading()]}
    first = await post(owner, body, "k", "/api/v1/readings")
    bench.writer.down = True
    again = await post(owner, body, "k", "/api/v1/readings")

    assert 200 == first.status == again.status
    assert first.json == again.json


async def test_a_key_of_yesterday_is_free(bench, owner):
    """Keys are kept for a day."""
    await post(owner, {"key": "a"}, "k1")
    await bench.pool.execute("UPDATE idempotency SET created_at = now() - interval '25 hours'")

    assert 201 == (await post(owner, {"key": "b"}, "k1")).status
