"""What there is to ask for, and who may see what: nodes, sources, ranges, policies."""

from datetime import UTC, datetime, timedelta

import pytest
from query_world import NOON, SEC, World, at

CALLS = ("/datum/list", "/datum/mostRecent", "/datum/reading", "/range/sources", "/range/interval")
RANGE = {"startDate": "2020-06-01", "endDate": "2020-06-02", "readingType": "Difference"}
ROWS = [(at(i), {"wattHours": float(i)}) for i in range(3)]
KINDS = {"wattHours": "accumulating"}


@pytest.fixture
def world(bench, organization_id):
    return World(bench.pool, bench, organization_id)


@pytest.fixture
async def nodes(world):
    """Two nodes with two sources each."""
    found = []
    for device in ("a", "b"):
        for path in ("/power/1", "/water/1"):
            node, _ = await world.store(ROWS, device=device, path=path, kinds=KINDS)
        found.append(node)
    return found


async def test_nodes_and_sources_are_listed(world, nodes):
    """Ids of nodes; sources by node and path; of one node just the paths."""
    client = await world.client()
    one, two = nodes

    pairs = [{"nodeId": n, "sourceId": p} for n in nodes for p in ("/power/1", "/water/1")]
    assert (await client.get("/nodes")).data == nodes
    assert (await client.get("/nodes/sources")).data == pairs
    assert (await client.get("/range/sources", nodeIds=f"{one},{two}")).data == pairs
    assert (await client.get("/range/sources", nodeId=one)).data == ["/power/1", "/water/1"]
    assert (await client.get("/range/sources", nodeId=one, sourceId="/w*/?")).data == ["/water/1"]
    assert (await client.get("/range/sources", nodeId=one, withNodeIds="true")).data == pairs[:2]


async def test_sources_of_a_range_have_readings_in_it(world, nodes):
    """A source that says nothing between the dates is left out; the end is exclusive."""
    client = await world.client()
    await world.store([(at(600), {"watts": 1.0})], device="a", path="/late")

    async def sources(start, end):
        answer = await client.get("/range/sources", nodeId=nodes[0], startDate=start, endDate=end)
        return answer.data

    assert await sources("2020-06-01T22:00", "2020-06-02") == ["/late"]
    assert await sources("2020-06-01T12:01", "2020-06-01T22:00") == ["/power/1", "/water/1"]


async def test_the_interval_of_a_node(world):
    """First and last reading in the node's zone, and how many days, months and years they touch."""
    end = datetime(2021, 2, 1, 11, 30, 0, 250000, tzinfo=UTC)
    node, _ = await world.store([(NOON, {"w": 1.0})], zone="Pacific/Auckland", path="/a")
    await world.store([(end, {"w": 1.0})], zone="Pacific/Auckland", path="/b")
    client = await world.client()

    whole = (await client.get("/range/interval", nodeId=node)).data
    part = (await client.get("/range/interval", nodeId=node, sourceIds="/a")).data
    none = await client.get("/range/interval", nodeId=node, sourceId="/c")

    assert whole == {
        "timeZone": "Pacific/Auckland",
        "startDate": "2020-06-02 00:00:00",
        "endDate": "2021-02-02 00:30:00.25",
        "startDateMillis": 1591012800000,
        "endDateMillis": 1612179000250,
        "dayCount": 246,
        "monthCount": 9,
        "yearCount": 2,
    }
    assert (part["startDate"], part["endDate"]) == ("2020-06-02 00:00:00", "2020-06-02 00:00:00")
    assert part["dayCount"] == part["monthCount"] == part["yearCount"] == 1
    assert none.body == b'{"success":true}'


async def test_a_token_tells_whose_it_is(world):
    """`whoami`, as SolarNetwork answers it."""
    client = await world.client(kind="ReadNodeData")

    said = (await client.get("/whoami")).data

    assert said["token"] == client.signing.token_id
    assert said["tokenType"] == "ReadNodeData"
    assert isinstance(said["userId"], int)


async def test_nobody_reads_without_a_signature(world):
    """Every call asks for a token: 401 without one, in SolarNetwork's words."""
    for call in (*CALLS, "/nodes", "/nodes/sources", "/whoami", "/datum/stream/datum"):
        async with world.bench.session.get(world.bench.url + SEC + call + "?nodeId=1") as response:
            assert response.status == 401
            assert (await response.json())["success"] is False


async def test_organizations_are_isolated(world, nodes):
    """A node of another organization is refused just as one that does not exist."""
    other = await world.bench.new_organization("Other")
    stranger = await world.client(organization_id=other)

    for call in CALLS:
        foreign = await stranger.get(call, nodeId=nodes[0], **RANGE)
        missing = await stranger.get(call, nodeId=987654321, **RANGE)

        assert (foreign.status, foreign.json) == (
            403,
            {"success": False, "message": "UNKNOWN_OBJECT"},
        )
        assert (missing.status, missing.body) == (403, foreign.body)
    assert (await stranger.get("/nodes")).data == []
    assert (await stranger.get("/nodes/sources")).data == []


async def test_a_stream_of_another_organization_is_not_found_by_its_id(world, nodes):
    """Stream ids are looked up within the organization, too."""
    other = await world.bench.new_organization("Other")
    stranger, owner = await world.client(organization_id=other), await world.client()
    uuid = await world.pool.fetchval("SELECT uuid FROM stream ORDER BY id LIMIT 1")

    assert (await stranger.list(streamIds=uuid, startDate="2020-06-01")).data["results"] == []
    assert len((await owner.list(streamIds=uuid, startDate="2020-06-01")).data["results"]) == 3


async def test_a_policy_of_nodes_hides_the_others(world, nodes):
    """Other nodes are refused, whether they exist or not; several are narrowed down."""
    one, two = nodes
    client = await world.client(node_ids=[one])

    assert (await client.get("/nodes")).data == [one]
    assert {s["nodeId"] for s in (await client.get("/nodes/sources")).data} == {one}
    for call in CALLS:
        denied = await client.get(call, nodeId=two, **RANGE)
        missing = await client.get(call, nodeId=987654321, **RANGE)

        assert (denied.status, denied.json["message"]) == (403, "ACCESS_DENIED")
        assert missing.body == denied.body
    found = await client.results(nodeIds=f"{one},{two}", startDate="2020-06-01")
    assert {f["nodeId"] for f in found} == {one}


async def test_a_policy_of_nodes_hides_streams_that_are_asked_for_by_id(world, nodes):
    """Knowing a stream's id is no way around the policy."""
    client = await world.client(node_ids=[nodes[0]])
    uuids = await world.pool.fetch("SELECT uuid FROM stream WHERE device_id = $1", nodes[1])

    found = await client.results(streamIds=",".join(str(r["uuid"]) for r in uuids))

    assert found == []


async def test_a_policy_of_sources_hides_the_others(world, nodes):
    """Sources that no pattern lets through are not listed, found, measured or refused by halves."""
    client = await world.client(source_ids=["/power/**"])
    one = nodes[0]

    assert (await client.get("/range/sources", nodeId=one)).data == ["/power/1"]
    assert {s["sourceId"] for s in (await client.get("/nodes/sources")).data} == {"/power/1"}
    for sources in ({}, {"sourceIds": "/power/1,/water/1"}, {"sourceId": "/**"}):
        listed = await client.results(nodeId=one, startDate="2020-06-01", **sources)
        read = (await client.get("/datum/reading", nodeId=one, **RANGE, **sources)).data["results"]
        last = (await client.get("/datum/mostRecent", nodeId=one, **RANGE, **sources)).data
        for found in (listed, read, last["results"]):
            assert {f["sourceId"] for f in found} == {"/power/1"}
    for call in CALLS:
        denied = await client.get(call, nodeId=one, sourceId="/water/1", **RANGE)
        assert (denied.status, denied.json["message"]) == (403, "ACCESS_DENIED")


async def test_a_token_that_has_ended_reads_nothing(world, nodes):
    """Policies have an end, too."""
    client = await world.client(expires_at=datetime.now(UTC) - timedelta(seconds=1))

    answer = await client.list(nodeId=nodes[0], startDate="2020-06-01")

    assert (answer.status, answer.json["message"]) == (401, "Expired token")
