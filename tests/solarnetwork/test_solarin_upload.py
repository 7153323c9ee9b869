"""SolarIn: datums uploaded in bulk, signed by a token."""

import contextlib
import gzip
import time
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query_world import NOON, World

from wattwire.model import RefusedError
from wattwire.solarnetwork.bulk_upload import NodeDatum, Passed, StreamDatum, columns_of, read_item

MILLIS = int(NOON.timestamp() * 1000)
NOW = 1_600_000_000_000_000


@pytest.fixture
def world(bench, organization_id):
    return World(bench.pool, bench, organization_id)


@pytest.fixture
async def node(world):
    found, _ = await world.store(
        [(NOON, {"watts": 1.0, "wattHours": 5.0})], kinds={"wattHours": "accumulating"}
    )
    return found


async def stored(world):
    """All readings: (node, source, time in ms, {name: value})."""
    rows = await world.pool.fetch(
        "SELECT s.device_id, s.path, r.time, r.values, ARRAY(SELECT c.name FROM channel c"
        " WHERE c.stream_id = s.id ORDER BY c.position) AS names"
        " FROM reading r JOIN stream s ON s.id = r.stream_id ORDER BY r.time, s.path"
    )
    return [
        (r["device_id"], r["path"], int(r["time"].timestamp() * 1000),
         {n: v for n, v in zip(r["names"], r["values"], strict=False) if v is not None})
        for r in rows
    ]  # fmt: skip


async def quarantined(world):
    rows = await world.pool.fetch('SELECT reason, "where", format, raw FROM quarantine ORDER BY id')
    return [(r["where"], r["reason"], bytes(r["raw"])) for r in rows]


async def test_datums_become_readings(world, node):
    """Properties are channels of their kinds; the answer has an id for each, in order."""
    client = await world.client()

    answer = await client.upload(
        [
            {"nodeId": node, "created": MILLIS + 60_000, "sourceId": "/power/1",
             "i": {"watts": 231}, "a": {"wattHours": "1234.5"}, "t": ["new"]},
            {"nodeId": node, "created": "2020-06-01 12:02:00.25Z", "sourceId": "Main",
             "samples": {"i": {"volts": 230.5, "oops": "many"}}},
        ]
    )  # fmt: skip

    assert answer.data == {
        "datum": [
            {"kind": "n", "nodeId": node, "objectId": node, "sourceId": "/power/1",
             "created": "2020-06-01 12:01:00Z", "timestamp": "2020-06-01 12:01:00Z"},
            {"kind": "n", "nodeId": node, "objectId": node, "sourceId": "Main",
             "created": "2020-06-01 12:02:00.25Z", "timestamp": "2020-06-01 12:02:00.25Z"},
        ],
        "instructions": [],
    }  # fmt: skip
    assert (await stored(world))[1:] == [
        (node, "/power/1", MILLIS + 60_000, {"watts": 231, "wattHours": 1234.5}),
        (node, "Main", MILLIS + 120_250, {"volts": 230.5}),
    ]
    kinds = await world.pool.fetch(
        "SELECT c.name, c.kind FROM channel c JOIN stream s ON s.id = c.stream_id ORDER BY 1"
    )
    assert {(r["name"], r["kind"]) for r in kinds} >= {
        ("watts", "instantaneous"), ("wattHours", "accumulating"), ("volts", "instantaneous"),
    }  # fmt: skip


async def test_what_is_answered_is_durable_and_what_is_not_is_neither(world, node):
    """While the log takes nothing the answer is 429, and a client may send it again."""
    client = await world.client()
    datum = [{"nodeId": node, "created": MILLIS + 1000, "sourceId": "/power/1", "i": {"watts": 2}}]
    world.bench.writer.down = True

    full = await client.upload(datum)
    world.bench.writer.down = False
    again = await client.upload(datum, path="/solarin/u/bulkCollector.do")

    assert (full.status, full.json["success"]) == (429, False)
    assert full.headers["Retry-After"] == "5"
    assert len(again.data["datum"]) == 1
    assert len(await stored(world)) == 2


async def test_each_datum_is_judged_on_its_own(world, node):
    """What cannot be taken is left out of the answer and kept in quarantine, with the reason."""
    client = await world.client()
    good = {"nodeId": node, "created": MILLIS + 1000, "sourceId": "/power/1", "i": {"watts": 2}}
    bad = [
        {**good, "sourceId": ""},
        {**good, "created": "soon"},
        {**good, "created": 1},
        {**good, "i": {}},
        {**good, "i": [1]},
        {**good, "locationId": 5},
        {**good, "i": {"x": 1}, "s": {"x": "on"}},
        {**good, "nodeId": None},
        {**good, "nodeId": "1"},
        [1, 2],
        "text",
        7,
    ]

    answer = await client.upload(
        [*bad, good, {"__type__": "InstructionStatus", "instructionId": 1, "state": "Completed"}]
    )

    assert [d["created"] for d in answer.data["datum"]] == ["2020-06-01 12:00:01Z"]
    kept = await quarantined(world)
    assert sorted(raw for *_, raw in kept) == sorted(msgspec.json.encode(b) for b in bad)
    assert {"created", "sourceId", "nodeId", "i", "locationId"} <= {where for where, *_ in kept}
    assert len(await stored(world)) == 2


async def test_a_datum_may_come_under_the_id_of_its_stream(world, node):
    """Two halves of a UUID, then values in the order of the stream's properties, by kind."""
    client = await world.client()
    uuid = await world.pool.fetchval("SELECT uuid FROM stream")
    halves = [int.from_bytes(uuid.bytes[i : i + 8], "big", signed=True) for i in (0, 8)]

    answer = await client.upload(
        [[MILLIS + 1000, *halves, [7], [8]], [MILLIS + 2000, *halves, [1, 2, 3]]]
    )

    assert answer.data["datum"] == [{"streamId": str(uuid), "timestamp": "2020-06-01 12:00:01Z"}]
    assert (await stored(world))[1] == (
        node, "/power/1", MILLIS + 1000, {"watts": 7, "wattHours": 8},
    )  # fmt: skip
    assert [reason for _, reason, _ in await quarantined(world)] == [
        "the stream has 1 such properties, not 3"
    ]


async def test_the_node_may_be_said_once(world, node):
    """By the request, or by a token that is limited to one node, as a certificate would be."""
    datum = {"created": MILLIS + 1000, "sourceId": "/power/1", "i": {"watts": 2}}
    anyone, limited = await world.client(), await world.client(node_ids=[node])

    none = await anyone.upload([datum])
    said = await anyone.upload([datum], path=f"/solarin/bulkCollector.do?nodeId={node}")
    meant = await limited.upload([{**datum, "created": MILLIS + 2000}])

    assert none.data["datum"] == []
    assert [d["nodeId"] for d in said.data["datum"] + meant.data["datum"]] == [node, node]


async def test_nothing_is_stored_of_a_request_that_goes_too_far(world, node):
    """Another organization's node, a node or source outside the policy: 403, and no reading."""
    other = await world.bench.new_organization("Other")
    stranger = await world.client(organization_id=other)
    elsewhere, _ = await world.store([(NOON, {"watts": 1.0})], device="b")
    limited = await world.client(node_ids=[node], source_ids=["/power/**"])
    uuid = await world.pool.fetchval("SELECT uuid FROM stream WHERE device_id = $1", elsewhere)
    halves = [int.from_bytes(uuid.bytes[i : i + 8], "big", signed=True) for i in (0, 8)]
    before = await stored(world)

    def datum(node_id, source="/power/1"):
        return {"nodeId": node_id, "created": MILLIS + 5000, "sourceId": source, "i": {"w": 1}}

    for client, datums, reason in (
        (stranger, [datum(node)], "UNKNOWN_OBJECT"),
        (stranger, [datum(987654321)], "UNKNOWN_OBJECT"),
        (stranger, [[MILLIS, *halves, [1]]], "UNKNOWN_OBJECT"),
        (limited, [datum(node), datum(elsewhere)], "ACCESS_DENIED"),
        (limited, [datum(node), datum(node, "/water/1")], "ACCESS_DENIED"),
        (limited, [datum(node), [MILLIS, *halves, [1]]], "UNKNOWN_OBJECT"),
    ):
        answer = await client.upload(datums)
        assert (answer.status, answer.json["message"]) == (403, reason)
    assert await stored(world) == before
    assert await quarantined(world) == []


async def test_a_token_for_reading_writes_nothing(world, node):
    """Tokens of kind ReadNodeData are refused."""
    client = await world.client(kind="ReadNodeData")

    answer = await client.upload([{"nodeId": node, "sourceId": "/x", "i": {"watts": 2}}])

    assert (answer.status, answer.json["message"]) == (403, "Access denied")
    assert len(await stored(world)) == 1


async def test_a_body_may_be_packed(world, node):
    """`Content-Encoding: gzip`; what does not unpack is refused in SolarNetwork's shape."""
    client = await world.client()
    body = msgspec.json.encode([{"nodeId": node, "sourceId": "/power/1", "i": {"watts": 2}}])

    packed = await client.upload(gzip.compress(body), **{"content-encoding": "gzip"})
    broken = await client.upload(body, **{"content-encoding": "gzip"})

    assert len(packed.data["datum"]) == 1
    assert (broken.status, broken.json["message"]) == (
        422, "Illegal argument: The body is not gzip.",
    )  # fmt: skip


async def test_a_datum_without_a_date_is_of_now(world, node):
    """The moment of receipt stands in."""
    client = await world.client()
    before = time.time()

    await client.upload([{"nodeId": node, "sourceId": "/power/1", "i": {"watts": 2}}])

    (_, at) = [t / 1000 for _, _, t, _ in await stored(world)]
    assert before - 1 <= at <= time.time() + 1
    assert datetime.fromtimestamp(at, UTC).year >= 2025


async def test_what_is_no_array_is_malformed(world):
    """422 with what is wrong, never 400; GET is not a method of this address."""
    client = await world.client()

    for body in (b"{}", b"[", b"", b"\xff", b"[" * 100_000, b'"x"'):
        answer = await client.upload(body)
        assert answer.status == 422
        assert answer.json["message"].startswith("Malformed JSON: ")
    async with world.bench.session.get(world.bench.url + "/solarin/bulkCollector.do") as response:
        assert response.status == 405


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)
MEMBERS = ("nodeId", "created", "sourceId", "i", "a", "s", "t", "samples", "locationId", "__type__")
DATUMS = st.one_of(
    st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=8),
    st.lists(JSON, max_size=8),
    JSON,
)


@settings(max_examples=400)
@given(DATUMS)
def test_no_datum_surprises(item):
    """Whatever JSON comes, it is read or refused with a reason."""
    found = read_item(msgspec.json.encode(item), NOW)

    assert isinstance(found, NodeDatum | StreamDatum | Passed | RefusedError)
    if isinstance(found, NodeDatum):
        with contextlib.suppress(RefusedError):
            columns = columns_of(found.properties)
            assert len(columns.channels) == len(columns.values)
