"""`datum/reading`: what meters say at dates, and by how much they rose between them."""

import pytest
from query_world import World, at

from wattwire.store import resets
from wattwire.store.resets import ResetRow

KINDS = {"wattHours": "accumulating"}
#: Noon to one o'clock.
HOUR = {"startDate": "2020-06-01T12:00", "endDate": "2020-06-01T13:00"}


@pytest.fixture
def world(bench, organization_id):
    return World(bench.pool, bench, organization_id)


@pytest.fixture
async def client(world):
    return await world.client()


def register(*minutes_and_values):
    return [(at(minutes), {"wattHours": float(value)}) for minutes, value in minutes_and_values]


async def one(answer):
    (found,) = answer.data["results"]
    return found


def figures(found):
    return tuple(found.get(f"wattHours{end}") for end in ("", "_start", "_end"))


async def test_a_difference_is_shown_as_solarnetwork_shows_it(world, client):
    """From the last value at or before the start to the last at or before the end, with dates."""
    node, _ = await world.store(
        register((-30, 100), (-1, 105), (30, 110), (59, 125.5), (61, 200)),
        zone="America/New_York",
        kinds=KINDS,
    )

    found = await one(await client.reading("Difference", nodeId=node, **HOUR))

    assert list(found.items()) == [
        ("created", "2020-06-01 11:59:00Z"),
        ("nodeId", node),
        ("sourceId", "/power/1"),
        ("localDate", "2020-06-01"),
        ("localTime", "07:59"),
        ("wattHours", 20.5),
        ("wattHours_start", 105),
        ("wattHours_end", 125.5),
        ("endDate", "2020-06-01 12:59:00Z"),
        ("timeZone", "America/New_York"),
        ("localEndDate", "2020-06-01 08:59:00"),
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Difference", (20, 105, 125)),
        ("delta", (20, 105, 125)),
        ("NearestDifference", (20, 105, 125)),
        ("DifferenceWithin", (15, 110, 125)),
        ("change", (15, 110, 125)),
        ("CalculatedAtDifference", (53.75, 107.5, 161.25)),
        ("CalculatedAt", (107.5, None, None)),
    ],
)
async def test_the_types_of_readings(world, client, kind, expected):
    """Each type counts from and to other values, as its description says."""
    rows = register((-30, 100), (-10, 105), (10, 110), (59, 125), (61, 197.5))
    node, _ = await world.store(rows, kinds=KINDS)

    found = await one(await client.reading(kind, nodeId=node, **HOUR))

    assert figures(found) == expected


async def test_values_at_the_very_dates_count(world, client):
    """At or before: a value at the end closes the range, one at the start begins it."""
    node, _ = await world.store(register((-5, 1), (0, 2), (60, 5), (65, 9)), kinds=KINDS)

    for kind in ("Difference", "DifferenceWithin", "CalculatedAtDifference"):
        found = await one(await client.reading(kind, nodeId=node, **HOUR))
        assert figures(found) == (3, 2, 5)


async def test_the_tolerance_bounds_how_far_neighbours_are(world, client):
    """`Difference` looks 365 days back, the others as far as the tolerance: a month by default."""
    days = 24 * 60
    node, _ = await world.store(register((-40 * days, 1), (30, 5), (90, 7)), kinds=KINDS)

    far = await one(await client.reading("Difference", nodeId=node, **HOUR))
    near = await client.reading("NearestDifference", nodeId=node, **HOUR)
    wide = await one(
        await client.reading("NearestDifference", nodeId=node, tolerance="P2M", **HOUR)
    )
    calculated = await client.reading("CalculatedAt", nodeId=node, tolerance="P7D", **HOUR)

    assert figures(far) == figures(wide) == (4, 1, 5)
    assert near.data["results"] == calculated.data["results"] == []


async def test_a_meter_that_began_later_is_counted_from_its_first_value(world, client):
    """Without a value before the start, `Difference` begins with the first one after it."""
    node, _ = await world.store(register((10, 100), (50, 130)), kinds=KINDS)

    found = await one(await client.reading("Difference", nodeId=node, **HOUR))

    assert figures(found) == (30, 100, 130)


async def test_a_reset_ends_one_count_and_begins_another(world, client):
    """Vectors 15, 16, 17 and 20 of the contract: the rise leads over resets, the ends are shown."""
    vectors = [
        ([(-1, 100), (9, 15), (59, 40), (69, 45)], [(0, 100, 10)], (30, 10, 40)),
        ([(-1, 100), (9, 105), (19, 110), (29, 10), (59, 25), (69, 30)], [(20, 115, 5)],
         (35, 100, 25)),
        ([(-1, 10), (59, 40), (69, 105)], [(60, 41, 100)], (31, 10, 41)),
        ([(-1, 100), (19, 110), (29, 10), (39, 15), (49, 205), (59, 210), (69, 215)],
         [(20, 115, 5), (40, 16, 200)], (36, 100, 210)),
    ]  # fmt: skip
    for number, (rows, reset, expected) in enumerate(vectors):
        path = f"/m/{number}"
        node, stream = await world.store(register(*rows), path=path, kinds=KINDS)
        for minutes, final, start in reset:
            row = ResetRow(path, "wattHours", at(minutes), float(final), float(start), "")
            await resets.put_reset(world.pool, stream, row)

        found = await one(await client.reading("Difference", nodeId=node, sourceId=path, **HOUR))

        assert figures(found) == expected


async def test_a_fall_is_a_reset_where_the_stream_says_so(world, client):
    """With `detect_resets` every fall on the way counts from zero, wherever it lies."""
    rows = register((-1, 100), (10, 120), (20, 5), (30, 25), (40, 3), (59, 13))
    node, _ = await world.store(rows, kinds=KINDS, detect_resets=True)
    await world.store(rows, path="/plain", kinds=KINDS)

    detecting, plain = (await client.reading("Difference", nodeId=node, **HOUR)).data["results"][
        ::-1
    ]

    assert figures(detecting) == (58, 100, 13)
    assert figures(plain) == (-87, 100, 13)


async def test_aggregates_of_readings_are_the_hubs_rollups(world, client):
    """Vector 03 of the contract: meters rose by 20, by the clock it was 19.5."""
    rows = [
        (at(minutes), {"watts": (11 + i) / 10, "wattHours": 100.0 + 5 * i})
        for i, minutes in enumerate((-1, 9, 19, 29, 39))
    ]
    node, _ = await world.store(rows, kinds=KINDS)
    await world.compute()

    answer = await client.reading("Difference", nodeId=node, aggregation="Hour", **HOUR)
    (clock,) = await client.results(nodeId=node, aggregation="Hour", **HOUR)

    found = await one(answer)
    assert figures(found) == (20, 100, 120)
    assert (found["watts"], found["watts_min"], found["watts_max"]) == (1.35, 1.2, 1.5)
    assert figures(clock) == (19.5, None, None)


async def test_local_dates_are_those_of_the_node(world, client):
    """`localStartDate` is midnight at the node."""
    node, _ = await world.store(
        register((-1, 1), (0, 2), (24 * 60, 5), (24 * 60 + 1, 9)),
        zone="Pacific/Auckland",
        kinds=KINDS,
    )
    dates = {"localStartDate": "2020-06-02", "localEndDate": "2020-06-03"}

    found = await one(await client.reading("Difference", nodeId=node, **dates))

    assert figures(found) == (3, 2, 5)
    assert found["localEndDate"] == "2020-06-03 00:00:00"


REFUSED = [
    ({"readingType": ""}, "readingType is required"),
    ({"readingType": "Guess"}, "unknown readingType"),
    ({"tolerance": "a month"}, "not a period such as P1M or P7D: 'a month'"),
    ({"endDate": ""}, "A date range is required."),
    ({"mostRecent": "true"}, "The mostRecent mode is not supported for reading queries."),
    ({"aggregation": "Week"}, "Only Hour/Day/Month aggregation is supported for reading queries."),
    ({"aggregation": "Day", "readingType": "CalculatedAt"},
     "Only the Difference reading type is supported for aggregate queries."),
]  # fmt: skip


async def test_what_is_no_reading_is_refused(world, client):
    """With SolarNetwork's own reasons."""
    node, _ = await world.store(register((0, 1)), kinds=KINDS)

    for changed, message in REFUSED:
        answer = await client.get(
            "/datum/reading", **{"nodeId": node, "readingType": "Difference", **HOUR, **changed}
        )

        assert (answer.status, answer.json["message"]) == (422, message)


async def test_readings_are_paged(world, client):
    """Offset and size hold for results at dates, too."""
    for number in range(3):
        node, _ = await world.store(register((0, 1), (30, 2)), path=f"/m/{number}", kinds=KINDS)

    data = (await client.reading("Difference", nodeId=node, max=1, offset=1, **HOUR)).data

    assert (data["totalResults"], data["startingOffset"]) == (3, 1)
    assert [f["sourceId"] for f in data["results"]] == ["/m/1"]
