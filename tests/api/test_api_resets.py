"""Register resets: entered, listed, taken back; what they change is computed again."""

from datetime import UTC, datetime, timedelta

from wattwire.rollups.recompute import recompute_once
from wattwire.store.rollups import mark_deleted

DAY = (datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 6, 2, tzinfo=UTC))


async def make_register(bench, owner, reading):
    """A register that falls from 5,000 to 10 between 12:30 and 13:30."""
    values = {0: 4_000.0, 30: 5_000.0, 90: 10.0, 120: 30.0}
    batch = [reading(minutes=m, energy_import_wh=v, active_power_w=1.0) for m, v in values.items()]
    await owner.post("/api/v1/readings", {"readings": batch})
    stream = await bench.pool.fetchval("SELECT id FROM stream")
    await mark_deleted(bench.pool, [stream], *DAY)  # as the pipeline does for new readings
    devices = (await owner.get("/api/v1/devices", params={"key": "meter-1"})).json["items"]
    return f"/api/v1/devices/{devices[0]['id']}"


def reset(**changes):
    return {
        "stream": "/power/1",
        "channel": "energy_import_wh",
        "time": "2025-06-01T13:00:00Z",
        "final": 5_100.0,
        "start": 0.0,
        **changes,
    }


async def day_total(bench, owner, path):
    await recompute_once(bench.pool, quiet=timedelta(0))
    span = {"from": DAY[0].isoformat(), "to": DAY[1].isoformat(), "aggregation": "d"}
    days = (await owner.get(f"{path}/rollups", params=span)).json["items"]
    return days[0]["channels"]["energy_import_wh"]["difference"]


async def test_a_reset_makes_the_day_add_up(bench, owner, reading):
    """Without it the register fell; with it: 1,000 + 100 until the reset, 10 + 20 after it."""
    path = await make_register(bench, owner, reading)
    assert 0 > await day_total(bench, owner, path)

    answer = await owner.call("PUT", f"{path}/resets", json=reset(notes="New meter."))
    assert 200 == answer.status
    assert "New meter." == answer.json["notes"]
    assert 1_130.0 == await day_total(bench, owner, path)

    items = (await owner.get(f"{path}/resets")).json["items"]
    assert [("energy_import_wh", 5_100.0, 0.0)] == [
        (i["channel"], i["final"], i["start"]) for i in items
    ]
    corrected = await owner.call("PUT", f"{path}/resets", json=reset(final=5_200.0))
    assert 200 == corrected.status
    assert 1_230.0 == await day_total(bench, owner, path)
    assert 1 == len((await owner.get(f"{path}/resets")).json["items"])


async def test_a_reset_is_taken_back(bench, owner, reading):
    """The figures are what they were; taking it back twice is a 404."""
    path = await make_register(bench, owner, reading)
    before = await day_total(bench, owner, path)
    await owner.call("PUT", f"{path}/resets", json=reset())
    await day_total(bench, owner, path)
    query = {key: reset()[key] for key in ("stream", "channel", "time")}

    assert 204 == (await owner.call("DELETE", f"{path}/resets", params=query)).status
    assert before == await day_total(bench, owner, path)
    assert 404 == (await owner.call("DELETE", f"{path}/resets", params=query)).status


async def test_only_registers_are_reset(bench, owner, reading):
    """A power has no register; a channel or stream that is not there is a 404."""
    path = await make_register(bench, owner, reading)
    power = await owner.call("PUT", f"{path}/resets", json=reset(channel="active_power_w"))
    missing = await owner.call("PUT", f"{path}/resets", json=reset(channel="nothing"))
    stream = await owner.call("PUT", f"{path}/resets", json=reset(stream="/none"))

    assert 422 == power.status
    assert "channel" == power.json["errors"][0]["field"]
    assert [404, 404] == [missing.status, stream.status]
