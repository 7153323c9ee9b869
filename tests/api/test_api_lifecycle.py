"""Copies of integrations, and deletions that show first what they would throw away."""

import socket

import pytest
from test_api_integrations import HOOK, PATH, QUEUE, queue_events, stored_settings

from wattwire.api.integration_lifecycle import copy_name


@pytest.mark.parametrize("body", [HOOK, QUEUE], ids=["webhook", "aws_sqs"])
async def test_a_copy_has_everything_but_the_past(bench, owner, organization_id, body):
    """Paused, named `(copy)`, secrets included and never shown; nothing of queue and ledger."""
    more = {"outcomes": {"409": "ok"}, "schedule_seconds": [0, 5], "max_age_seconds": 600}
    made = (await owner.post(PATH, body | more)).json
    await queue_events(bench, organization_id, made["id"], 2)
    answer = await owner.post(f"{PATH}/{made['id']}/duplicate")
    copy = answer.json

    assert 201 == answer.status
    assert b"s3cr3t" not in answer.body
    own = {"id", "name", "enabled", "status", "created_at", "updated_at"}
    assert {k: v for k, v in made.items() if k not in own} == {
        k: v for k, v in copy.items() if k not in own
    }
    assert (f"{body['name']} (copy)", False, "inactive") == (
        copy["name"], copy["enabled"], copy["status"],
    )  # fmt: skip
    assert await stored_settings(bench, made["id"]) == await stored_settings(bench, copy["id"])
    stats = (await owner.get(f"{PATH}/{copy['id']}/stats")).json
    assert 0 == stats["matched"] + stats["waiting"]
    assert [] == (await owner.get(f"{PATH}/{copy['id']}/deliveries")).json["items"]
    audited = (await owner.get("/api/v1/audit")).json["items"][0]
    assert ("integration.created", made["id"]) == (audited["action"], audited["detail"]["copy_of"])


async def test_copies_have_names_of_their_own(owner):
    """A second copy is `(copy 2)`; a name at its longest is cut, not refused."""
    made = (await owner.post(PATH, HOOK | {"name": "n" * 200})).json["id"]
    names = [(await owner.post(f"{PATH}/{made}/duplicate")).json["name"] for _ in range(2)]

    assert ["n" * 193 + " (copy)", "n" * 191 + " (copy 2)"] == names
    assert {200} == {len(copy_name("n" * 200, number)) for number in range(1, 20)}


async def test_a_copy_is_made_once_per_key(owner):
    """The same request with the same idempotency key makes one copy."""
    made = (await owner.post(PATH, HOOK)).json["id"]
    headers = {"Idempotency-Key": "k1"}
    copies = [
        (await owner.post(f"{PATH}/{made}/duplicate", headers=headers)).json["id"] for _ in range(2)
    ]

    assert copies[0] == copies[1]
    assert 2 == len((await owner.get(PATH)).json["items"])


async def test_a_deletion_says_what_waits(bench, owner, organization_id):
    """409 with waiting, in flight and dead; ?discard=true discards with a reason; sums close."""
    made = (await owner.post(PATH, HOOK)).json["id"]
    await queue_events(bench, organization_id, made, 5)
    await bench.pool.execute(
        "UPDATE integration_state SET in_flight = 2 WHERE integration_id = $1", made
    )
    refused = await owner.delete(f"{PATH}/{made}")

    assert (409, "urn:wattwire:problem:still-queued") == (refused.status, refused.json["type"])
    assert (5, 3, 2, 0) == tuple(
        refused.json[name] for name in ("queued", "waiting", "in_flight", "dead")
    )
    assert "Desk" in refused.json["detail"]
    assert "?discard=true" in refused.json["detail"]
    assert 200 == (await owner.get(f"{PATH}/{made}")).status
    assert 5 == (await owner.get(f"{PATH}/{made}/stats")).json["matched"]

    assert 204 == (await owner.delete(f"{PATH}/{made}?discard=true")).status
    ledger = await bench.pool.fetch(
        "SELECT sum(matched) AS matched, sum(discarded) AS discarded, max(reason) AS reason"
        " FROM ledger WHERE integration_id = $1", made,
    )  # fmt: skip
    assert [(5, 5, "the integration was deleted")] == [tuple(row) for row in ledger]
    assert 0 == await bench.pool.fetchval("SELECT count(*) FROM delivery")


async def test_an_edit_needs_no_network(owner):
    """Settings change while the receiver is down, and its name is nobody's: nothing is called."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        listening.settimeout(0)
        made = (await owner.post(PATH, HOOK)).json["id"]
        for url in (f"https://127.0.0.1:{port}/", "https://nobody.invalid/hook"):
            settings = HOOK["settings"] | {"url": url}
            changed = await owner.patch(f"{PATH}/{made}", {"settings": settings})
            assert (200, url) == (changed.status, changed.json["settings"]["url"])
        with pytest.raises(BlockingIOError):
            listening.accept()
