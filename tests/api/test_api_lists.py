"""Every list in pages."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from api_worlds import make_world


async def walk(client, path, **query):
    """Return the items of all pages of two."""
    items, cursor, pages = [], None, 0
    while True:
        given = {k: v for k, v in {**query, "limit": 2, "cursor": cursor}.items() if v is not None}
        answer = await client.get(path, params=given)
        assert 200 == answer.status, answer.body
        items += answer.json["items"]
        cursor = answer.json["next_cursor"]
        pages += 1
        if cursor is None:
            return items, pages


async def test_devices_are_paged_and_filtered(owner):
    """All of them, each once, in order; search looks into name and key."""
    for n in range(5):
        await owner.post(
            "/api/v1/devices", {"key": f"d{n}", "name": f"Hall {n}", "type": "odd" if n % 2 else ""}
        )

    items, pages = await walk(owner, "/api/v1/devices")
    assert [f"d{n}" for n in range(5)] == [d["key"] for d in items]
    assert 3 == pages
    odd, _ = await walk(owner, "/api/v1/devices", type="odd")
    assert ["d1", "d3"] == [d["key"] for d in odd]
    found, _ = await walk(owner, "/api/v1/devices", search="hALL 4")
    assert ["d4"] == [d["key"] for d in found]


async def test_a_cursor_fits_only_its_own_list_and_filters(owner):
    """400 for a cursor of another list, of other filters, or one that was tampered with."""
    for n in range(3):
        await owner.post("/api/v1/devices", {"key": f"d{n}"})
    cursor = (await owner.get("/api/v1/devices?limit=1")).json["next_cursor"]
    broken = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    for path in (
        f"/api/v1/users?cursor={cursor}",
        f"/api/v1/devices?type=x&cursor={cursor}",
        f"/api/v1/devices?cursor={broken}",
        "/api/v1/devices?cursor=AAAA",
        "/api/v1/devices?cursor=%00",
    ):
        assert 400 == (await owner.get(path)).status, path


async def test_a_cursor_of_another_organization_shows_nothing_of_it(bench, owner):
    """A cursor is a position, not a permission."""
    other = bench.client(await bench.token(await bench.new_organization("Other")))
    for n in range(3):
        await other.post("/api/v1/devices", {"key": f"secret-{n}"})
    cursor = (await other.get("/api/v1/devices?limit=1")).json["next_cursor"]

    assert [] == (await owner.get(f"/api/v1/devices?cursor={cursor}")).json["items"]


@pytest.mark.parametrize(
    "path",
    [
        "users",
        "tokens",
        "mqtt-credentials",
        "sources",
        "integrations",
        "quarantine",
        "events",
        "audit",
    ],
)
async def test_every_list_gives_each_item_once(bench, owner, organization_id, path):
    """Pages of two join without gap or repeat, also where several rows share one instant."""
    for n in range(5):
        await make_world(bench.pool, organization_id, f"w{n}")
    at = datetime.now(UTC)
    await bench.pool.execute("UPDATE event SET created_at = $1", at)
    await bench.pool.execute("UPDATE token SET created_at = $1", at)
    items, pages = await walk(owner, f"/api/v1/{path}")
    ids = [item["id"] for item in items]

    assert 5 <= len(ids) == len(set(ids))
    assert pages == -(-len(ids) // 2)


async def test_deliveries_and_dead_letters_are_paged(bench, owner, organization_id):
    """Newest first, by time and number."""
    world = await make_world(bench.pool, organization_id, "w")
    path = f"/api/v1/integrations/{world.ids['integration']}"
    for _ in range(4):
        await bench.pool.execute(
            "INSERT INTO attempt (integration_id, organization_id, message_id, number, started_at,"
            " duration_ms, outcome) SELECT integration_id, organization_id, message_id, 2,"
            " started_at, 1, 'delivered' FROM attempt LIMIT 1"
        )
        await bench.pool.execute(
            "INSERT INTO dead_letter (integration_id, event_id, event_created_at, message_id,"
            " attempts, reason, died_at) SELECT integration_id, event_id, event_created_at,"
            " message_id, 1, reason, died_at FROM dead_letter LIMIT 1"
        )
    attempts, _ = await walk(owner, f"{path}/deliveries")
    letters, _ = await walk(owner, f"{path}/dead-letters")
    good, _ = await walk(owner, f"{path}/deliveries", outcome="delivered")

    assert 5 == len({a["id"] for a in attempts})
    assert 5 == len({a["id"] for a in letters})
    assert 4 == len(good)
    assert "device.telemetry" == letters[0]["topic"]


async def test_readings_are_paged_in_both_directions(owner, reading):
    """Two streams with the same times: each reading once, by time."""
    sent = [reading(minutes=n) for n in range(3)]
    sent += [r | {"stream": "/power/2"} for r in sent]
    await owner.post("/api/v1/readings", {"readings": sent})
    device = (await owner.get("/api/v1/devices")).json["items"][0]["id"]
    path = f"/api/v1/devices/{device}/readings"

    up, _ = await walk(owner, path)
    down, _ = await walk(owner, path, order="desc")
    one, _ = await walk(owner, path, stream="/power/2")
    assert 6 == len({(r["time"], r["stream"]) for r in up})
    assert [r["time"] for r in up] == sorted(r["time"] for r in up)
    assert up == down[::-1]
    assert 3 == len(one)
    assert 404 == (await owner.get(path + "?stream=/nowhere")).status


async def test_events_are_shown_live(bench, owner, organization_id):
    """Whoever watches gets what is recorded from now on, of the own organization alone."""
    other = await bench.new_organization("Other")
    headers = {"Authorization": f"Bearer {owner._token}"}
    async with bench.session.get(bench.url + "/api/v1/events/live", headers=headers) as response:
        assert "text/event-stream" == response.headers["Content-Type"].partition(";")[0]
        await response.content.readuntil(b": watching\n\n")
        await make_world(bench.pool, other, "secret")
        await make_world(bench.pool, organization_id, "mine")
        async with asyncio.timeout(10):
            frame = await response.content.readuntil(b"\n\n")

    assert b"event: device.telemetry\n" in frame
    assert b"mine data" in frame
    assert b"secret" not in frame.replace(b'"secret"', b"")


@pytest.mark.parametrize("busy", [False, True])
async def test_a_live_stream_ends_with_its_token(bench, organization_id, monkeypatch, busy):
    """A revoked token's stream is cut off at the next heartbeat, however much is going on."""
    import aiohttp

    import wattwire.api.events
    from wattwire.store import tokens

    monkeypatch.setattr(wattwire.api.events, "HEARTBEAT_SECONDS", 0.1)
    text = await bench.token(organization_id)
    headers = {"Authorization": f"Bearer {text}"}
    async with bench.session.get(bench.url + "/api/v1/events/live", headers=headers) as response:
        await response.content.readuntil(b": still here\n\n")
        if busy:
            await flood(bench, organization_id)
        await tokens.revoke(bench.pool, organization_id, text.partition(".")[0])
        with pytest.raises(aiohttp.ClientPayloadError):
            await asyncio.wait_for(response.read(), 10)


async def flood(bench, organization_id):
    """Keep the only watcher's queue from ever being empty."""
    watcher = next(iter(bench.app.state.face.live._watchers))
    row = {
        "id": 1, "organization_id": organization_id, "created_at": datetime.now(UTC), "topic": "a",
        "device_id": 1, "stream": "", "time": datetime.now(UTC), "severity": "info",
        "data": b'{"device": {}, "data": {}}',
    }  # fmt: skip
    watcher.queue.get_nowait = lambda: row
    watcher.queue.empty = lambda: False


async def test_a_slow_watcher_is_told_what_it_missed():
    """The queue is bounded; what does not fit is counted."""
    from uuid import uuid4

    from wattwire.api.live import QUEUE_SIZE, Watcher

    mine, now = uuid4(), datetime.now(UTC)
    watcher = Watcher(mine, frozenset({"a"}), None, now - timedelta(days=1))
    row = {"organization_id": mine, "created_at": now, "topic": "a", "device_id": 1}
    for _ in range(QUEUE_SIZE + 7):
        watcher.offer(row)
    watcher.offer(row | {"topic": "b"})
    watcher.offer(row | {"organization_id": uuid4()})

    assert QUEUE_SIZE == watcher.queue.qsize()
    assert 7 == watcher.missed
