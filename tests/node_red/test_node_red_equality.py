"""What the flow publishes and writes is what the hub does for the same values."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
from node_red_world import TAGS
from node_red_world import UUID as ASSET

from wattwire.client.decoder import Decoder
from wattwire.client.results import Sample
from wattwire.formats import sparkplug_json
from wattwire.formats.assembly_maps import DEFAULT_MAP, MAPS, read_values
from wattwire.model import Event
from wattwire.payloads import FORMATS

FOUND = MAPS[DEFAULT_MAP]
TOPIC = "spBv1.0/pm500/DDATA/edge%2F7/Press%234"
#: Beside the values of a feeder: nothing, and what is negative, large, or of many digits.
SHOWN = (
    None,
    {},
    {
        "realPowerA": -1.5, "realPower": -4.25, "powerFactor": -0.987, "reactivePower": 1234.5,
        "realEnergy": 87_654_321.5, "operatingHours": 12_345.75, "voltageAN": 276.9,
        "frequency": 59.98, "phaseSequence": 1.0,
    },
)  # fmt: skip


def hub_event(device, millis=0):
    """The hub's event of a reading of what a device shows."""
    values = read_values(FOUND, {number: device.assembly(number) for number in FOUND.sizes})
    return Event(
        id=UUID(int=1),
        topic="reading",
        organization_id=UUID(int=2),
        time=datetime.fromtimestamp(millis / 1000, UTC),
        data={"values": values},
        device_key="pm-1",
        metadata={**TAGS, "uuid": ASSET},
    )


def by_hub(name, event, **settings):
    kind = FORMATS[name]
    return kind.make(kind.settings.model_validate(settings), 1).render(event)


async def test_published_metrics_are_the_hubs(world):
    """Names, order, aliases, units and values are those of the hub's format; so is the uuid."""
    units = {name: unit for name, unit in FOUND.units.items() if unit}
    async with world() as running:
        device = running.monitors[0].device
        for values in SHOWN:
            device.hold(values)
            topic, body = await running.fresh()
            hubs = msgspec.json.decode(
                by_hub(
                    "sparkplug_json", hub_event(device), powermonitor_500_aliases=True, units=units
                )
            )
            assert TOPIC == topic
            assert hubs["metrics"] == body["metrics"]
            assert (ASSET, list(hubs)) == (body["uuid"], list(body))


async def test_published_messages_decode(world):
    """The hub's door and its client read them: 39 values under the asset's key, `seq` counting."""
    async with world() as running:
        messages = await running.messages(3)
        shown = hub_event(running.monitors[0].device).data["values"]
    for topic, body in messages:
        payload = msgspec.json.encode(body)
        (reading,) = sparkplug_json.decode(topic, payload, 0).readings
        names = [channel.name for channel in reading.shape.channels]
        samples = Decoder().decode(topic, payload)

        assert (ASSET, body["timestamp"] * 1000) == (reading.shape.device, reading.time)
        assert shown == dict(zip(names, reading.values, strict=True))
        assert all(isinstance(sample, Sample) for sample in samples)
        assert shown == {sample.name: sample.value for sample in samples}
    first = messages[0][1]["seq"]
    assert [first, first + 1, first + 2] == [body["seq"] for _, body in messages]


async def test_written_lines_are_the_hubs(world):
    """Measurement, tags, fields and their texts are those of the hub's preset, to the letter."""
    async with world() as running:
        device = running.monitors[0].device
        for values in SHOWN:
            device.hold(values)
            _topic, body = await running.fresh()
            millis = body["timestamp"]
            hubs = by_hub(
                "line_protocol",
                hub_event(device, millis),
                preset="powermonitor_500",
                precision="ms",
            )
            assert hubs.decode().splitlines() == await running.lines_of(millis)


async def test_influxdb_gives_back_what_was_shown(world):
    """A query finds a point for each phase and one for the total, tagged, with the same numbers."""
    async with world() as running:
        await running.lines()
        await running.lines()  # one write at a time: the one before is stored
        shown = hub_event(running.monitors[0].device).data["values"]
        points = running.influx.server.query(
            "SELECT * FROM powermonitor_500 LIMIT 4", running.influx.db
        )
    by_phase = {point["phase"]: point for point in points}

    assert {"A", "B", "C", "total"} == set(by_phase)
    assert all(TAGS == {name: point[name] for name in TAGS} for point in points)
    assert (shown["realEnergy"], shown["realPower"], shown["currentA"]) == (
        by_phase["total"]["kWh"], by_phase["total"]["kW"], by_phase["A"]["current"],
    )  # fmt: skip
