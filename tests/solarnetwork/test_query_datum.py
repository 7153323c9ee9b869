"""`datum/list` and `datum/mostRecent` over the hub's own readings and rollups."""

from datetime import UTC, datetime, timedelta

import pytest
from query_world import NOON, World, at

from wattwire.solarnetwork import datum_lists
from wattwire.solarnetwork.access import Signed
from wattwire.solarnetwork.aggregations import UNSUPPORTED
from wattwire.solarnetwork.policy import Policy
from wattwire.solarnetwork.query_parameters import parse_query

DAY = {"startDate": "2020-06-01", "endDate": "2020-06-02"}
KINDS = {"wattHours": "accumulating", "state": "status"}


@pytest.fixture
def world(bench, organization_id):
    return World(bench.pool, bench, organization_id)


@pytest.fixture
async def client(world):
    return await world.client()


def hour_of_readings():
    """The first of the contract's worked examples."""
    x = [1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8]
    w = [100, 105, 110, 105, 115, 120, 125]
    return [
        (at(10 * i), {"watts": x[i], "wattHours": w[i], "state": "on" if i else "off"})
        for i in range(7)
    ]


def rising(start, hours, step=100.0):
    """A register that rises by `step` an hour, read every half hour."""
    return [
        (start + timedelta(minutes=30 * i), {"wattHours": i * step / 2})
        for i in range(2 * hours + 1)
    ]


async def test_a_reading_is_shown_as_solarnetwork_shows_it(world, client):
    """Dates in UTC and in the node's zone, properties by kind, in SolarNetwork's order."""
    node, _ = await world.store(
        [(NOON, {"state": "on", "wattHours": 1234.5, "watts": 231.0})],
        zone="Pacific/Auckland",
        kinds=KINDS,
    )

    answer = await client.list(nodeId=node, sourceId="/power/1", **DAY)

    assert answer.body.decode() == (
        '{"success":true,"data":{"totalResults":1,"startingOffset":0,"returnedResultCount":1,'
        f'"results":[{{"created":"2020-06-01 12:00:00Z","nodeId":{node},"sourceId":"/power/1",'
        '"localDate":"2020-06-02","localTime":"00:00","watts":231,"wattHours":1234.5,'
        '"state":"on"}]}}'
    )
    assert answer.headers["Vary"] == "Accept"


async def test_what_has_no_value_is_left_out(world, client):
    """A property that a reading lacks is not null, it is not there; nor one of the fixed names."""
    node, _ = await world.store(
        [(at(0.0025), {"watts": 1.0}), (at(1), {"volts": 2.0, "nodeId": 99.0, "state": "x"})],
        kinds=KINDS,
    )

    first, second = await client.results(nodeId=node, **DAY)

    assert first.keys() - {"localDate", "localTime"} == {"created", "nodeId", "sourceId", "watts"}
    assert first["created"] == "2020-06-01 12:00:00.15Z"
    assert (second["volts"], second["state"], second["nodeId"]) == (2, "x", node)


async def test_an_hour_has_mean_extremes_and_difference(world, client):
    """Vector 01 of the contract: a clock difference of 25, a mean of 1.45 between 1.2 and 1.7."""
    node, _ = await world.store(hour_of_readings(), kinds=KINDS)
    await world.compute()

    (first, *_) = await client.results(nodeId=node, aggregation="Hour", **DAY)

    assert list(first.items()) == [
        ("created", "2020-06-01 12:00:00Z"),
        ("nodeId", node),
        ("sourceId", "/power/1"),
        ("localDate", "2020-06-01"),
        ("localTime", "12:00"),
        ("watts", 1.45),
        ("watts_min", 1.2),
        ("watts_max", 1.7),
        ("wattHours", 25),
        ("state", "on"),
    ]


@pytest.mark.parametrize(
    ("named", "created", "local_date", "rise"),
    [
        ({"aggregation": "Day"}, "2020-05-31 12:00:00Z", "2020-06-01", 2400),
        ({"aggregationKey": "d"}, "2020-05-31 12:00:00Z", "2020-06-01", 2400),
        ({"aggregation": "Week"}, "2020-05-31 12:00:00Z", "2020-06-01", 4800),
        ({"aggregationKey": "M"}, "2020-05-31 12:00:00Z", "2020-06-01", 4800),
        ({"aggregation": "Year"}, "2019-12-31 11:00:00Z", "2020-01-01", 4800),
    ],
)
async def test_days_weeks_months_and_years_are_the_nodes_own(
    world, client, named, created, local_date, rise
):
    """In Auckland the first of June begins at noon of the last of May, the year in summer time."""
    start = datetime(2020, 5, 31, 12, tzinfo=UTC)
    node, _ = await world.store(rising(start, 48), zone="Pacific/Auckland", kinds=KINDS)
    await world.compute()

    found = await client.results(nodeId=node, startDate="2020-05-01", endDate="2020-07-01", **named)

    assert found[0]["created"] == created
    assert (found[0]["localDate"], found[0]["localTime"]) == (local_date, "00:00")
    assert found[0]["wattHours"] == rise


async def test_a_week_begins_on_the_nodes_monday(world, client):
    """In Auckland's summer Monday begins on Sunday at 11 o'clock UTC."""
    monday = datetime(2020, 1, 5, 11, tzinfo=UTC)
    rows = [(monday + timedelta(hours=h), {"watts": float(h)}) for h in (-2, 1, 2)]
    node, _ = await world.store(rows, zone="Pacific/Auckland")
    await world.compute()

    found = await client.results(
        nodeId=node, aggregation="Week", startDate="2019-12-01", endDate="2020-02-01"
    )

    assert [(f["created"], f["watts"]) for f in found] == [
        ("2019-12-29 11:00:00Z", -2),
        ("2020-01-05 11:00:00Z", 1.5),
    ]


async def test_an_interval_of_energy_adds_up(world, client):
    """A channel of energy by intervals is a register to SolarNetwork: its aggregate is its sum."""
    rows = [(at(15 * i), {"energy": 0.1}) for i in range(3)]
    node, _ = await world.store(rows, kinds={"energy": "interval"})
    await world.compute()

    (hour,) = await client.results(nodeId=node, aggregation="Hour", **DAY)

    assert hour["energy"] == 0.3
    assert "energy_min" not in hour


async def test_minutes_are_computed_from_the_readings(world, client):
    """A quarter of an hour: means of what lies in it, registers in proportion to time."""
    node, _ = await world.store(hour_of_readings(), kinds=KINDS)

    found = await client.results(nodeId=node, aggregation="FifteenMinute", **DAY)

    assert [f["created"][11:16] for f in found] == ["12:00", "12:15", "12:30", "12:45", "13:00"]
    assert [f["watts"] for f in found] == [1.25, 1.4, 1.55, 1.7, 1.8]
    assert [f["wattHours"] for f in found[:4]] == [7.5, -2.5, 12.5, 7.5]


async def test_what_cannot_be_computed_is_refused_by_name(world, client):
    """No other aggregation is given in place of one that the hub has not."""
    node, _ = await world.store(hour_of_readings(), kinds=KINDS)

    for asked in (*UNSUPPORTED, *UNSUPPORTED.values(), "Fortnight"):
        answer = await client.list(nodeId=node, aggregation=asked, **DAY)

        assert answer.status == 422
        assert answer.json["code"] == "VAL.00003"
        assert asked in answer.json["message"]
        assert answer.json["errors"][0]["location"] == "aggregation"
        assert answer.json["errors"][0]["rejectedValue"] == asked


@pytest.mark.parametrize(
    ("days", "asked", "given"),
    [(7, "30m", 1800), (8, "30m", 3600), (32, "h", 3600), (33, "h", 86400), (732, "d", 2592000)],
)
async def test_a_long_range_is_answered_coarser(world, client, days, asked, given):
    """Minutes over 7 days become hours, hours over 32 days days, days over 731 days months."""
    node, _ = await world.store(rising(NOON, 2), kinds=KINDS)
    await world.compute()
    start = datetime(2020, 6, 2, tzinfo=UTC) - timedelta(days=days)

    found = await client.results(
        nodeId=node, aggregation=asked, startDate=f"{start:%Y-%m-%d}", endDate="2020-06-02"
    )

    starts = {1800: "12:00:00", 3600: "12:00:00", 86400: "00:00:00", 2592000: "00:00:00"}
    assert found[0]["created"][11:19] == starts[given]
    assert len(found) == {1800: 5, 3600: 3}.get(given, 1)


async def test_the_start_belongs_to_the_range_and_the_end_does_not(world, client):
    """`endDate` is exclusive, for readings and for aggregates."""
    node, _ = await world.store(rising(NOON, 3), kinds=KINDS)
    await world.compute()
    hours = {"startDate": "2020-06-01T12:00", "endDate": "2020-06-01T13:00"}

    raw = await client.results(nodeId=node, **hours)
    rolled = await client.results(nodeId=node, aggregation="Hour", **hours)

    assert [f["created"][11:16] for f in raw] == ["12:00", "12:30"]
    assert [f["created"][11:16] for f in rolled] == ["12:00"]


async def test_local_dates_are_in_the_zone_of_each_node(world, client):
    """One request, two nodes in two zones: each gives its own first of June."""
    start = datetime(2020, 5, 31, tzinfo=UTC)
    rows = [(start + timedelta(hours=i), {"watts": float(i)}) for i in range(72)]
    east, _ = await world.store(rows, device="east", zone="Pacific/Auckland")
    west, _ = await world.store(rows, device="west", zone="America/New_York")

    found = await client.results(
        nodeIds=f"{east},{west}", localStartDate="2020-06-01", localEndDate="2020-06-02"
    )

    assert {f["localDate"] for f in found} == {"2020-06-01"}
    assert [f["nodeId"] for f in found].count(east) == 24
    assert [f["nodeId"] for f in found].count(west) == 24


async def test_only_the_properties_that_are_asked_for(world, client):
    """`propertyNames`, and the names by kind."""
    node, _ = await world.store(hour_of_readings(), kinds=KINDS)

    by_name = await client.results(nodeId=node, propertyNames="watts,state", max=1, **DAY)
    by_kind = await client.results(nodeId=node, accumulatingPropertyName="wattHours", max=1, **DAY)

    fixed = {"created", "nodeId", "sourceId", "localDate", "localTime"}
    assert by_name[0].keys() - fixed == {"watts", "state"}
    assert by_kind[0].keys() - fixed == {"wattHours"}


@pytest.fixture
async def merged(world):
    """Two sources of a node and one of another, at odd times: (node, source, created) of each."""
    expected = []
    for device, path, offset in (("a", "/x", 0), ("a", "/y", 3), ("b", "/x", 7)):
        rows = [(at(10 * i + offset), {"watts": 1.0}) for i in range(4)]
        node, _ = await world.store(rows, device=device, path=path)
        expected += [(node, path, time) for time, _ in rows]
    return expected


ORDERS = {
    "": lambda item: item,
    "sorts[0].sortKey=created": lambda item: (item[2], item[0], item[1]),
    "sorts[0].sortKey=created&sorts[0].descending=true": lambda item: (
        -item[2].timestamp(), item[0], item[1],
    ),
    "sorts[0].sortKey=node&sorts[0].descending=true": lambda item: (-item[0], item[1], item[2]),
    "sorts[0].sortKey=source&sorts[1].sortKey=time&sorts[1].descending=true": lambda item: (
        item[1], item[0], -item[2].timestamp(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("sorts", ORDERS)
@pytest.mark.parametrize("aggregation", [None, "FiveMinute"])
async def test_pages_put_together_are_everything_in_order(
    world, client, merged, sorts, aggregation
):
    """Every page of every size, in every order, over several streams; the total stays the same."""
    nodes = ",".join(str(n) for n in sorted({node for node, _, _ in merged}))
    if aggregation:
        merged = [(n, p, t - timedelta(minutes=t.minute % 5)) for n, p, t in merged]
    expected = sorted(merged, key=ORDERS[sorts])
    parameters = dict(pair.split("=") for pair in sorts.split("&") if pair)
    if aggregation:
        parameters["aggregation"] = aggregation

    def identity(f):
        return (f["nodeId"], f["sourceId"])

    whole = await client.results(nodeIds=nodes, **DAY, **parameters)
    assert [identity(f) for f in whole] == [(n, p) for n, p, _ in expected]
    for size in (1, 5, 12):
        seen = []
        for offset in range(0, 13, size):
            answer = await client.list(nodeIds=nodes, max=size, offset=offset, **DAY, **parameters)
            data = answer.data
            assert (data["totalResults"], data["startingOffset"]) == (12, offset)
            assert data["returnedResultCount"] == len(data["results"])
            seen += data["results"]
        assert seen == whole


async def test_nobody_counts_when_it_is_not_wanted(world, client):
    """`totalResults` is left out with `withoutTotalResultsCount`."""
    node, _ = await world.store(hour_of_readings(), kinds=KINDS)

    data = (await client.list(nodeId=node, withoutTotalResultsCount="true", max=2, **DAY)).data

    assert list(data) == ["startingOffset", "returnedResultCount", "results"]
    assert len(data["results"]) == 2


async def test_a_page_has_a_thousand_results_at_most(world, client):
    """More than the ceiling, and sizes that mean nothing, are the ceiling."""
    rows = [(at(i), {"watts": float(i)}) for i in range(1100)]
    node, _ = await world.store(rows)

    for asked in ("0", "-1", "1001", ""):
        data = (await client.list(nodeId=node, max=asked, startDate="2020-06-01")).data

        assert (data["returnedResultCount"], data["totalResults"]) == (1000, 1100)


async def test_the_most_recent_of_each_source(world, client):
    """One result for each source, of the last 90 days unless a start is given."""
    now = datetime.now(UTC).replace(microsecond=0)
    recent = [(now - timedelta(hours=i), {"watts": float(i)}) for i in (3, 2, 1)]
    node, _ = await world.store(recent, path="/new")
    await world.store([(NOON, {"watts": 9.0})], path="/old")
    await world.compute()

    last = (await client.get("/datum/mostRecent", nodeId=node)).data
    listed = (await client.list(nodeId=node, mostRecent="true")).data
    ever = (await client.get("/datum/mostRecent", nodeId=node, startDate="2008-01-01")).data
    hour = (await client.get("/datum/mostRecent", nodeId=node, aggregation="Hour")).data

    assert [(f["sourceId"], f["watts"]) for f in last["results"]] == [("/new", 1)]
    assert listed == last
    assert [f["sourceId"] for f in ever["results"]] == ["/new", "/old"]
    assert [(f["watts"], f["created"][14:16]) for f in hour["results"]] == [(1, "00")]


REFUSED = [
    ({}, "VAL.00003", "A node or stream ID is required."),
    ({"nodeId": "x"}, "VAL.00003", "nodeIds is a whole number"),
    ({"nodeId": "1", "startDate": "yesterday"}, None, "Malformed date string: yesterday"),
    ({"nodeId": "1", "startDate": "2020-02-30"}, None, "Malformed date string: 2020-02-30"),
    ({"nodeId": "1", "localStartDate": "2020-02-03T00:00Z"}, None,
     "Malformed date string: 2020-02-03T00:00Z"),
    ({"nodeId": "1", "metadataFilter": "(/m/a=b)"}, "VAL.00003",
     "metadataFilter is not supported by this hub"),
    ({"nodeId": "1", "partialAggregation": "Day"}, "VAL.00003",
     "partialAggregation is not supported by this hub"),
    ({"nodeId": "1", "max": "many"}, "VAL.00003", "max is a whole number"),
    ({"nodeIds": [str(n) for n in range(1001)]}, "VAL.00003",
     "nodeIds has at most 1000 items, not 1001"),
]  # fmt: skip


async def test_a_request_that_does_not_fit_is_422(client):
    """Never 400; with SolarNetwork's code and the parameter's name."""
    for parameters, code, message in REFUSED:
        answer = await client.list(**parameters)

        assert (answer.status, answer.json["success"]) == (422, False)
        assert answer.json.get("code") == code
        assert answer.json["message"] == message


async def test_calls_that_there_is_nothing_for_say_so(client):
    """Other calls of SolarNetwork's clients are refused in words, not merely not found."""
    for call in ("/datum/stream/datum", "/datum/meta/1", "/datum/meta/1/%2Fpower", "/users/meta"):
        answer = await client.get(call)

        assert answer.status == 422
        assert "is not supported by this hub" in answer.json["message"]


async def test_too_much_for_one_answer_is_refused(world, client):
    """Slots of a minute for many sources would keep the hub busy for long."""
    for number in range(4):
        node, _ = await world.store(hour_of_readings(), path=f"/p/{number}", kinds=KINDS)

    answer = await client.list(
        nodeId=node, aggregation="Minute", startDate="2020-06-01", endDate="2020-06-08"
    )

    assert answer.status == 422
    assert "more than 25000 results" in answer.json["message"]


class Counting:
    """Counts the statements that go to the database."""

    def __init__(self, pool):
        self._pool = pool
        self.count = 0

    def __getattr__(self, name):
        self.count += name.startswith("fetch")
        return getattr(self._pool, name)


@pytest.mark.parametrize("aggregation", ["", "Hour", "Day", "FiveMinute", "Week"])
async def test_many_streams_need_no_more_statements_than_one(world, aggregation):
    """The number of statements does not depend on the number of streams."""
    for number in range(12):
        rows = [(at(i), {"watts": 1.0}) for i in range(3)]
        node, _ = await world.store(rows, path=f"/p/{number}")
    await world.compute()
    who = Signed(world.organization_id, "t" * 20, "User", Policy(), 1)
    counts, results = [], []
    for sources in ("/p/1", "/p/*"):
        db = Counting(world.pool)
        query = parse_query(
            [("nodeId", str(node)), ("sourceId", sources), ("aggregation", aggregation),
             ("startDate", "2020-06-01"), ("endDate", "2020-06-02")]
        )  # fmt: skip
        data = await datum_lists.list_datum(db, who, query)
        counts.append(db.count)
        results.append(data["totalResults"])

    assert counts[0] == counts[1] <= 8
    assert results[1] == 12 * results[0] > 0
