"""The everyday calls."""


async def test_readings_go_in_and_come_out(bench, owner, reading):
    """What POST /readings accepts, GET readings returns, values in the order of the channels."""
    sent = await owner.post(
        "/api/v1/readings",
        {
            "readings": [
                reading(active_power_w=100, energy_import_wh=5),
                reading(minutes=1, active_power_w=101),
            ]
        },
    )
    assert 200 == sent.status, sent.body
    assert {"accepted": 2, "refused": 0, "items": []} == sent.json

    devices = (await owner.get("/api/v1/devices")).json
    assert ["meter-1"] == [d["key"] for d in devices["items"]]
    assert None is devices["next_cursor"]
    device_id = devices["items"][0]["id"]
    got = await owner.get(f"/api/v1/devices/{device_id}/readings")
    assert 200 == got.status, got.body
    assert [
        {"active_power_w": 100.0, "energy_import_wh": 5.0},
        {"active_power_w": 101.0, "energy_import_wh": None},
    ] == [r["values"] for r in got.json["items"]]
