"""Readings of which somebody wants channels one by one."""

from test_partition import BOTH, COUNT, STATE, at, bench, subscribe  # noqa: F401 - the fixture

from wattwire.model import Channel, Shape
from wattwire.store import ledger

EVENTS = "SELECT count(*) FROM event WHERE topic = 'device.telemetry'"
QUEUED = (
    "SELECT d.integration_id, d.part, e.data FROM delivery d JOIN event e ON e.id = d.event_id"
    " ORDER BY d.integration_id, d.sequence"
)


async def ask(bench, *objects):  # noqa: F811 - the fixture's value
    integration = await subscribe(bench, "device.telemetry")
    await bench.pool.execute(
        "UPDATE integration SET objects = $2 WHERE id = $1", integration, list(objects) or None
    )
    return integration


async def test_a_row_for_each_matching_channel(bench):  # noqa: F811 - the fixture's value
    """One event, a row per match, each counted; whoever has no patterns gets one row."""
    some = await ask(bench, "energy_*")
    every = await ask(bench, "*")
    whole = await ask(bench)
    nothing = await ask(bench, "voltage")
    await bench.start()
    await bench.send([at(0, BOTH, 100.0, 5.0)])
    await bench.until(EVENTS, 1)
    rows = [(r["integration_id"], r["part"]) for r in await bench.pool.fetch(QUEUED)]

    assert [(some, 2), (every, 1), (every, 2), (whole, None)] == rows
    for integration, matched in ((some, 1), (every, 2), (whole, 1), (nothing, 0)):
        counters = await ledger.counters(bench.pool, integration)
        assert counters.closes
        assert (matched, matched) == (counters.matched, counters.waiting)
    assert {some, every, whole} == set().union(*(stored.integrations for stored in bench.told))


async def test_nobody_asked_for_these_channels(bench):  # noqa: F811 - the fixture's value
    """No match, no event: as if there were no integration."""
    await ask(bench, "voltage")
    await bench.start()
    await bench.send([at(0, BOTH, 100.0, 5.0)])
    await bench.until(COUNT, 1)

    assert 0 == await bench.pool.fetchval(EVENTS)


async def test_the_number_is_that_of_the_events_own_values(bench):  # noqa: F811 - the fixture's value
    """A value that is missing is not counted: the part is found where the event has it."""
    one = await ask(bench, "state")
    await bench.start()
    shape = Shape("meter-1", "/power/1", (*BOTH.channels, STATE))
    await bench.send([at(0, shape, None, 5.0, None, texts=[None, None, "run"])])
    await bench.until(EVENTS, 1)
    (row,) = await bench.pool.fetch(QUEUED)

    assert (one, 2) == (row["integration_id"], row["part"])
    assert b'"values":{"energy_import_wh":5.0,"state":"run"}' in row["data"]


async def test_a_channel_that_comes_later_is_matched(bench):  # noqa: F811 - the fixture's value
    """What is remembered of a stream is asked again when it has new channels."""
    one = await ask(bench, "energy_*", "late")
    await bench.start()
    await bench.send([at(0, BOTH, 100.0, 5.0)], at=1)
    await bench.until(EVENTS, 1)
    late = Shape("meter-1", "/power/1", (Channel("late"),))
    await bench.send([at(1, late, 7.0)], at=2)
    await bench.until(EVENTS, 2)

    assert [(one, 2), (one, 1)] == [
        (r["integration_id"], r["part"]) for r in await bench.pool.fetch(QUEUED)
    ]


async def test_patterns_that_change_hold_at_once(bench):  # noqa: F811 - the fixture's value
    """The next reading after the change is matched by the new patterns."""
    one = await ask(bench, "energy_*")
    await bench.start()
    await bench.send([at(0, BOTH, 100.0, 5.0)], at=1)
    await bench.until(EVENTS, 1)
    await bench.pool.execute("UPDATE integration SET objects = '{active_*}' WHERE id = $1", one)
    await bench.send([at(1, BOTH, 101.0, 6.0)], at=2)
    await bench.until(EVENTS, 2)

    assert [2, 1] == [r["part"] for r in await bench.pool.fetch(QUEUED)]
