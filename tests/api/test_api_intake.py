"""Readings over HTTP: verdicts, quarantine, line protocol, deletion, rollups."""

import base64
import gzip
import json
from datetime import UTC, datetime, timedelta

import pytest
from api_bench import until

from wattwire.store import rollups
from wattwire.store.rollups import Rollup


async def device_id(client, key="meter-1"):
    return (await client.get("/api/v1/devices", params={"key": key})).json["items"][0]["id"]


async def test_each_reading_has_its_own_verdict(owner, reading):
    """The good are taken; each of the others is named with the reason and kept in quarantine."""
    future = reading() | {"time": "2199-01-01T00:00:00Z"}
    sent = [reading(), {"device": "x"}, reading(minutes=1), future]
    answer = await owner.post("/api/v1/readings", {"readings": sent})

    assert 200 == answer.status
    body = answer.json
    assert (2, 2) == (body["accepted"], body["refused"])
    assert [1, 3] == [i["index"] for i in body["items"]]
    assert all(i["quarantined"] and i["reason"] for i in body["items"])
    assert all(i["where"].startswith(f"readings[{i['index']}]") for i in body["items"])
    entries = (await owner.get("/api/v1/quarantine")).json["items"]
    assert {"the time" in e["reason"] for e in entries} == {True, False}
    assert 2 == len(entries)


async def test_nothing_taken_is_a_422(owner):
    """A batch of which nothing can be used is refused as a whole, and still kept."""
    answer = await owner.post("/api/v1/readings", {"readings": [{"device": "x"}]})

    assert 422 == answer.status
    assert (0, 1) == (answer.json["accepted"], answer.json["refused"])
    assert 1 == len((await owner.get("/api/v1/quarantine")).json["items"])


async def test_ten_thousand_readings_in_one_batch_and_no_more(owner, reading):
    """The bound is 10,000 readings."""
    batch = [reading(minutes=n) for n in range(10_000)]

    async def send(readings):
        packed = gzip.compress(json.dumps({"readings": readings}).encode())
        headers = {"Content-Encoding": "gzip"}
        return await owner.call("POST", "/api/v1/readings", data=packed, headers=headers)

    assert 10_000 == (await send(batch)).json["accepted"]
    assert 422 == (await send([*batch, reading()])).status


async def test_an_empty_batch_is_fine(owner):
    """Nothing to do is not an error."""
    assert {"accepted": 0, "refused": 0, "items": []} == (
        await owner.post("/api/v1/readings", {"readings": []})
    ).json


async def test_unknown_devices_wait_until_they_are_registered(owner, reading):
    """Without auto-registration a reading waits in quarantine until its device is registered."""
    await owner.patch("/api/v1/organization", {"auto_register": False})
    answer = await owner.post("/api/v1/readings", {"readings": [reading()]})
    assert 422 == answer.status
    entry = (await owner.get("/api/v1/quarantine")).json["items"][0]
    still = await owner.post(f"/api/v1/quarantine/{entry['id']}/replay")
    assert 422 == still.status

    await owner.post("/api/v1/devices", {"key": "meter-1"})

    async def replayed():  # as soon as intake has heard of the new device
        done = await owner.post("/api/v1/quarantine/replay", {"reason": "not known"})
        return (1, 0) == (done.json["replayed"], done.json["refused"])

    await until(replayed)
    stored = await owner.get(f"/api/v1/devices/{await device_id(owner)}/readings")
    assert 1 == len(stored.json["items"])
    assert [] == (await owner.get("/api/v1/quarantine?state=open")).json["items"]


async def test_an_entry_is_read_mended_and_fed_back(owner, reading):
    """The bytes can be seen as they came; a mended copy is taken; the entry is closed."""
    broken = reading() | {"time": "yesterday"}
    await owner.post("/api/v1/readings", {"readings": [broken]})
    entry = (await owner.get("/api/v1/quarantine")).json["items"][0]
    path = f"/api/v1/quarantine/{entry['id']}"
    shown = (await owner.get(path)).json
    assert shown["text"].encode() == base64.b64decode(shown["raw_base64"])
    assert "yesterday" in shown["text"]

    mended = json.dumps({"readings": [reading()]})
    for body in ({"text": mended}, {"raw_base64": base64.b64encode(mended.encode()).decode()}):
        assert 1 == (await owner.post(f"{path}/replay", body)).json["accepted"]
    assert "replayed" == (await owner.get(path)).json["state"]
    stored = await owner.get(f"/api/v1/devices/{await device_id(owner)}/readings")
    assert 1 == len(stored.json["items"])


async def test_a_purged_entry_is_empty_and_keeps_its_reason(owner):
    """The bytes are gone, the record stays, and it cannot be fed back."""
    await owner.post("/api/v1/readings", {"readings": [{"device": "secret-in-here"}]})
    entry = (await owner.get("/api/v1/quarantine")).json["items"][0]
    path = f"/api/v1/quarantine/{entry['id']}"
    assert {"purged": 1} == (await owner.post("/api/v1/quarantine/purge", {})).json
    shown = (await owner.get(path)).json

    assert ("purged", 0, "", entry["reason"]) == (
        shown["state"], shown["size_bytes"], shown["text"], shown["reason"],
    )  # fmt: skip
    assert 409 == (await owner.post(f"{path}/replay")).status


async def write(client, body, path="/api/v1/write", **query):
    return await client.post(path, data=body, params=query)


@pytest.mark.parametrize("path", ["/api/v1/write", "/api/v2/write"])
@pytest.mark.parametrize(
    ("precision", "stamp"),
    [
        ("s", "1748779200"),
        ("ms", "1748779200000"),
        ("us", "1748779200000000"),
        ("ns", "1748779200000000000"),
    ],
)
async def test_lines_are_stored(owner, path, precision, stamp):
    """204, and the point is there at its time; bucket is accepted, whatever it is."""
    line = f"power,device=meter-1 active_power_w=5 {stamp}".encode()
    answer = await write(owner, line, path, precision=precision, org="Acme", bucket="any")
    assert (204, b"") == (answer.status, answer.body)

    stored = (await owner.get(f"/api/v1/devices/{await device_id(owner)}/readings")).json["items"]
    assert [("/power", "2025-06-01T12:00:00Z", {"active_power_w": 5.0})] == [
        (r["stream"], r["time"], r["values"]) for r in stored
    ]


async def test_a_line_that_cannot_be_read_refuses_the_batch(owner):
    """400 in InfluxDB's shape names the line; nothing is stored; the line is kept."""
    answer = await write(owner, b"power,device=meter-1 x_w=1\nthis is no line\n")

    assert 400 == answer.status
    assert "application/json" == answer.headers["Content-Type"]
    assert "invalid" == answer.json["code"]
    assert answer.json["message"].startswith("unable to parse 'this is no line'")
    assert [] == (await owner.get("/api/v1/devices")).json["items"]
    entry = (await owner.get("/api/v1/quarantine")).json["items"][0]
    assert ("line_protocol", "http") == (entry["format"], entry["source"])


async def test_a_partial_write_stores_the_good_points(owner):
    """422 in InfluxDB's shape; the good are stored; the others can be mended and fed back."""
    point = b"power,device=meter-1 x_w=1 "
    lines = point + b"1748779200000000000\n" + point + b"7258118400000000000"
    answer = await write(owner, lines)

    assert 422 == answer.status
    assert "unprocessable entity" == answer.json["code"]
    assert "partial write" in answer.json["message"]
    assert answer.json["message"].endswith("dropped=1")
    path = f"/api/v1/devices/{await device_id(owner)}/readings"
    assert 1 == len((await owner.get(path)).json["items"])
    entry = (await owner.get("/api/v1/quarantine")).json["items"][0]
    mended = {"text": "power,device=meter-1 x_w=2 1748779260000000000"}
    assert (
        1 == (await owner.post(f"/api/v1/quarantine/{entry['id']}/replay", mended)).json["accepted"]
    )
    assert 2 == len((await owner.get(path)).json["items"])


async def test_influx_clients_may_say_token(bench, organization_id):
    """`Authorization: Token …` works for line protocol, and a 401 is in InfluxDB's shape."""
    token = await bench.token(organization_id)
    client = bench.client(None)
    headers = {"Authorization": f"Token {token}"}
    good = await client.call("POST", "/api/v2/write", data=b"power x_w=1", headers=headers)
    bad = await client.call("POST", "/api/v2/write", data=b"power x_w=1")

    assert 204 == good.status
    assert (401, "unauthorized") == (bad.status, bad.json["code"])


async def test_an_unknown_precision_is_refused(owner):
    """400, and nothing is stored."""
    assert 400 == (await write(owner, b"power x_w=1", precision="h")).status


async def test_deleted_readings_are_gone_and_their_hours_are_computed_again(bench, owner, reading):
    """Half-open range; the number is told; the hours are marked."""
    await owner.post(
        "/api/v1/readings", {"readings": [reading(minutes=n) for n in range(0, 240, 30)]}
    )
    await bench.pool.execute("DELETE FROM stale")
    path = f"/api/v1/devices/{await device_id(owner)}/readings"
    span = "?from=2025-06-01T13:00:00Z&to=2025-06-01T14:00:00Z"
    answer = await owner.delete(path + span)

    assert {"deleted": 2} == answer.json
    assert 6 == len((await owner.get(path)).json["items"])
    hours = {
        r["start"].hour
        for r in await bench.pool.fetch("SELECT start FROM stale WHERE bucket = 'h'")
    }
    assert 13 in hours
    assert (
        422
        == (await owner.delete(path + "?from=2025-06-01T14:00:00Z&to=2025-06-01T13:00:00Z")).status
    )


async def test_a_deleted_device_takes_its_readings_with_it(bench, owner, reading):
    """Nothing of it stays behind in the tables without foreign keys."""
    await owner.post("/api/v1/readings", {"readings": [reading(), reading(device="meter-2")]})
    assert 204 == (await owner.delete(f"/api/v1/devices/{await device_id(owner)}")).status

    assert 1 == await bench.pool.fetchval("SELECT count(*) FROM reading")
    assert 1 == await bench.pool.fetchval("SELECT count(*) FROM stream")


async def test_another_zone_has_days_computed_again(bench, owner, reading):
    """Changing the time zone drops the old days and marks the hours."""
    await owner.post("/api/v1/readings", {"readings": [reading()]})
    number = await device_id(owner)
    await store_rollups(bench, 14)  # the reading is in the thirteenth hour
    await bench.pool.execute("DELETE FROM stale")
    await owner.patch(f"/api/v1/devices/{number}", {"name": "New"})
    assert 0 == await bench.pool.fetchval("SELECT count(*) FROM stale")
    await owner.patch(f"/api/v1/devices/{number}", {"time_zone": "Asia/Kathmandu"})

    assert 0 < await bench.pool.fetchval("SELECT count(*) FROM stale WHERE bucket = 'h'")
    assert 12 == await bench.pool.fetchval("SELECT count(*) FROM rollup")


async def test_streams_show_and_change_how_they_are_read(bench, owner, reading):
    """Channels in order with kind and unit; a change marks the stream's hours."""
    await owner.post(
        "/api/v1/readings", {"readings": [reading(active_power_w=1, energy_import_wh=2)]}
    )
    path = f"/api/v1/devices/{await device_id(owner)}/streams"
    stream = (await owner.get(path)).json["items"][0]
    assert ["active_power_w", "energy_import_wh"] == [c["name"] for c in stream["channels"]]
    await bench.pool.execute("DELETE FROM stale")
    changed = await owner.patch(path, {"path": "/power/1", "stamp": "end", "interval_seconds": 900})

    assert ("end", 900) == (changed.json["stamp"], changed.json["interval_seconds"])
    assert 0 < await bench.pool.fetchval("SELECT count(*) FROM stale")
    kept = (await owner.patch(path, {"path": "/power/1", "detect_resets": True})).json
    assert ("end", 900, True) == (kept["stamp"], kept["interval_seconds"], kept["detect_resets"])


async def store_rollups(bench, hours, width=1):
    """Store hourly rollups of the only stream, as the worker does."""
    stream_id = await bench.pool.fetchval("SELECT id FROM stream")
    start = datetime(2025, 6, 1, tzinfo=UTC)
    none = (None,) * width
    rows = [
        Rollup(
            stream_id,
            "h",
            start + timedelta(hours=n),
            start + timedelta(hours=n + 1),
            (60,) * width,
            (n + 0.25,) * width,
            (n + 0.0,) * width,
            (n + 0.5,) * width,
            none,
            none,
            none,
            none,
            none,
            60,
            1.0,
        )
        for n in range(hours)
    ]
    async with bench.pool.acquire() as db:
        await rollups.write_rollups(db, rows)


async def test_rollups_are_listed_by_channel(bench, owner, reading):
    """Each channel shows the members of its kind; the range is half-open; pages join."""
    await owner.post("/api/v1/readings", {"readings": [reading()]})
    await store_rollups(bench, 5)
    path = f"/api/v1/devices/{await device_id(owner)}/rollups"
    span = {"aggregation": "h", "from": "2025-06-01T01:00:00Z", "to": "2025-06-01T04:00:00Z"}
    first = (await owner.get(path, params=span | {"limit": 2})).json
    second = (
        await owner.get(path, params=span | {"limit": 2, "cursor": first["next_cursor"]})
    ).json

    items = first["items"] + second["items"]
    assert ["01", "02", "03"] == [i["start"][11:13] for i in items]
    assert None is second["next_cursor"]
    assert {"active_power_w": {"count": 60, "mean": 1.25, "min": 1.0, "max": 1.5}} == items[0][
        "channels"
    ]
    only = (await owner.get(path, params=span | {"channel": "other"})).json["items"]
    assert {} == only[0]["channels"]
