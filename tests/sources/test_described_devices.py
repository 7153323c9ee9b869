"""What a source says of its devices, in the database: laid over what is there, told to whoever
remembers it."""

import asyncio

import pytest

from wattwire.app.role_sources import Describer
from wattwire.sources.contract import DeviceDescription
from wattwire.store.watch import ConfigWatch

TAGS = {"site": "North", "breaker": "Q3"}
FEEDER = DeviceDescription("pm-1", "Feeder 1", "powermonitor_500", TAGS)


@pytest.fixture
def device_of(pool, organization_id):
    async def find(key):
        row = await pool.fetchrow(
            "SELECT name, type, status, metadata FROM device"
            " WHERE organization_id = $1 AND key = $2",
            organization_id,
            key,
        )
        return row and tuple(row)

    return find


async def test_a_device_that_is_not_there(pool, organization_id, device_of):
    """It is registered as it would register itself, with an event; it has not reported yet."""
    assert set() == await Describer(pool).describe(organization_id, [FEEDER])

    assert ("Feeder 1", "powermonitor_500", "offline", TAGS) == await device_of("pm-1")
    event = await pool.fetchrow("SELECT topic, device_id FROM event")
    assert "device.registered" == event["topic"]
    assert await pool.fetchval("SELECT id FROM device") == event["device_id"]


async def test_an_organization_that_registers_nothing_by_itself(pool, organization_id, device_of):
    """Then the source is told which devices are not there, and describes those that are."""
    await pool.execute("UPDATE organization SET auto_register = false")
    await pool.execute(
        "INSERT INTO device (organization_id, key, name) VALUES ($1, 'pm-2', 'pm-2')",
        organization_id,
    )
    other = DeviceDescription("pm-2", "", "powermonitor_500", {"phase": "A"})

    assert {"pm-1"} == await Describer(pool).describe(organization_id, [FEEDER, other])
    assert await device_of("pm-1") is None
    assert ("pm-2", "powermonitor_500", "offline", {"phase": "A"}) == await device_of("pm-2")
    assert 0 == await pool.fetchval("SELECT count(*) FROM event")


async def test_what_a_person_wrote_stays(pool, organization_id, device_of):
    """Only what is given is laid over the metadata; a name and a type that are there stay."""
    await pool.execute(
        "INSERT INTO device (organization_id, key, name, type, metadata)"
        " VALUES ($1, 'pm-1', 'Kitchen', 'meter', $2)",
        organization_id,
        {"site": "South", "floor": 3},
    )
    await Describer(pool).describe(organization_id, [FEEDER])

    assert ("Kitchen", "meter", "offline", {"floor": 3} | TAGS) == await device_of("pm-1")


async def test_a_device_that_registered_itself(pool, organization_id, device_of):
    """One that is still named by its key gets the name."""
    await pool.execute(
        "INSERT INTO device (organization_id, key, name, status)"
        " VALUES ($1, 'pm-1', 'pm-1', 'online')",
        organization_id,
    )
    await Describer(pool).describe(organization_id, [FEEDER])

    assert ("Feeder 1", "powermonitor_500", "online", TAGS) == await device_of("pm-1")


async def test_another_organization(pool, organization_id, device_of):
    """A device of the same key in another organization is none of ours."""
    await pool.execute(
        "INSERT INTO device (organization_id, key, name) VALUES ($1, 'pm-1', 'pm-1')",
        organization_id,
    )
    other = await pool.fetchval("INSERT INTO organization (name) VALUES ('Other') RETURNING id")
    await Describer(pool).describe(other, [FEEDER])

    assert ("pm-1", "", "offline", {}) == await device_of("pm-1")


async def test_whoever_remembers_is_told_once(pool, organization_id, database_url):
    """A change is told as that of a person is; describing the same again tells nobody."""
    await pool.execute(
        "INSERT INTO device (organization_id, key, name) VALUES ($1, 'pm-1', 'pm-1')",
        organization_id,
    )
    told = []
    watch = ConfigWatch(database_url)
    watch.subscribe(lambda table, key: told.append((table, key)))
    watching = asyncio.create_task(watch.run())
    async with asyncio.timeout(10):
        await watch.listening.wait()
        told.clear()
        for _ in range(3):
            await Describer(pool).describe(organization_id, [FEEDER])
        await pool.execute("SELECT pg_notify('wattwire_config', 'end:1')")
        while ("end", "1") not in told:
            await asyncio.sleep(0.01)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)

    device = await pool.fetchval("SELECT id::text FROM device")
    assert [("device", device), ("end", "1")] == told
