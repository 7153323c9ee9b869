"""Whatever is asked of SolarQuery and SolarIn, the answer is SolarNetwork's and never a fault."""

import asyncio
from urllib.parse import urlencode

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from query_world import NOON, SEC, World, at

CALLS = (
    "/datum/list", "/datum/mostRecent", "/datum/reading", "/range/sources", "/range/interval",
    "/nodes", "/nodes/sources", "/whoami", "/datum/stream/datum",
)  # fmt: skip
DATES = st.sampled_from(
    ["2020-06-01", "2020-06-01T12:30", "2020-06-02 00:00:00.5Z", "0001-01-01", "9999-12-31",
     "1900-01-01", "2020-02-30", "now", "2020-06-01T12:30:00+01:00"]
) | st.dates().map(str) | st.text(max_size=12)  # fmt: skip
WORDS = st.text(max_size=20) | st.sampled_from(["*", "/**", "?", "/power/1", "/**/1", "a" * 256])
NUMBERS = st.integers().map(str) | st.sampled_from(["1", "2", "1,2", "-1", "1e3", "", "\u0661"])
BOOLEANS = st.sampled_from(["true", "false", "yes", "", "maybe"])
PARAMETERS = {
    "nodeId": NUMBERS, "nodeIds": NUMBERS, "sourceId": WORDS, "sourceIds": WORDS,
    "streamIds": st.uuids().map(str) | WORDS,
    "startDate": DATES, "endDate": DATES, "localStartDate": DATES, "localEndDate": DATES,
    "aggregation": st.sampled_from(
        ["None", "Minute", "FiveMinute", "Hour", "Day", "Week", "Month", "Year", "RunningTotal"]
    ) | WORDS,
    "aggregationKey": st.sampled_from(["0", "m", "h", "d", "M", "y", "w", "rt"]),
    "mostRecent": BOOLEANS, "withoutTotalResultsCount": BOOLEANS, "withNodeIds": BOOLEANS,
    "offset": NUMBERS, "max": NUMBERS,
    "sorts[0].sortKey": st.sampled_from(["created", "time", "node", "source", "mood"]),
    "sorts[0].descending": BOOLEANS, "sorts[9].sortKey": WORDS,
    "readingType": st.sampled_from(
        ["Difference", "at", "atd", "diff", "change", "DifferenceWithin", "CalculatedAt"]
    ) | WORDS,
    "tolerance": st.sampled_from(["P1M", "P9999Y", "P0D", "PT1H"]) | WORDS,
    "propertyName": WORDS, "statusPropertyNames": WORDS, "metadataFilter": WORDS, "tags": WORDS,
}  # fmt: skip
NAMES = list(PARAMETERS)
QUERIES = st.lists(
    st.sampled_from(NAMES).flatmap(lambda name: st.tuples(st.just(name), PARAMETERS[name])),
    max_size=8,
)
#: With what a call needs, so that most requests get to the database.
LIKELY = st.tuples(
    st.just(("nodeId", "1")),
    st.tuples(st.just("startDate"), DATES),
    st.tuples(st.just("endDate"), DATES),
    st.tuples(st.just("readingType"), st.sampled_from(["Difference", "at", "atd", "change"])),
)
EXAMPLES = 150


async def test_no_request_is_a_fault(bench, organization_id):
    """Any parameters at any address: 200, 403 or 422 in the envelope, never 5xx."""
    world = World(bench.pool, bench, organization_id)
    rows = [(at(20 * i), {"w": float(i), "wh": 1.0 * i, "s": "x"}) for i in range(6)]
    await world.store(rows, kinds={"wh": "accumulating", "s": "status"}, zone="Asia/Kathmandu")
    await world.compute()
    client = (await world.client()).signing
    loop = asyncio.get_running_loop()
    statuses = set()

    def ask(target):
        waiting = asyncio.run_coroutine_threadsafe(client.get(target), loop)
        return waiting.result(timeout=60)

    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.sampled_from(CALLS), QUERIES, st.booleans(), LIKELY)
    def requests(call, items, likely, needed):
        items = [*(needed if likely else ()), *items]
        answer = ask(f"{SEC}{call}?{urlencode(items, errors='replace')}")
        statuses.add(answer.status)
        assert answer.status in {200, 403, 422}, (answer.status, answer.body)
        assert answer.json["success"] is (answer.status == 200)
        assert (answer.status == 200) or answer.json["message"]

    await asyncio.to_thread(requests)
    assert statuses == {200, 403, 422}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
MEMBERS = {
    "nodeId": st.sampled_from([1, 1, 1, 2, None, "1", 2**70]),
    "created": st.sampled_from([1591012800000, "2020-06-01 12:00:00Z", 0, 2**62, None, True]),
    "sourceId": st.sampled_from(["/a", "b", "", "\0", "\ud800", "x" * 300]) | st.text(max_size=4),
    "i": JSON, "a": JSON, "s": JSON, "t": JSON, "samples": JSON,
}  # fmt: skip
DATUMS = st.fixed_dictionaries({}, optional=MEMBERS) | st.lists(JSON, max_size=8) | JSON


async def test_no_upload_is_a_fault(bench, organization_id):
    """Any array of anything: 200 with what could be taken, or 403 or 422."""
    world = World(bench.pool, bench, organization_id)
    await world.store([(NOON, {"w": 1.0})])
    client = await world.client()
    loop = asyncio.get_running_loop()

    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.lists(DATUMS, max_size=4), st.integers(0, 2**32))
    def uploads(datums, salt):
        try:
            body = msgspec.json.encode(datums)
        except UnicodeEncodeError:
            return
        # A signature is good for one write: the address makes each request another one.
        path = f"/solarin/bulkCollector.do?salt={salt}"
        waiting = asyncio.run_coroutine_threadsafe(client.upload(body, path=path), loop)
        answer = waiting.result(timeout=60)
        spent = answer.status == 403 and answer.json["message"] == "Signature used before"
        assert spent or answer.status in {200, 403, 422}, (answer.status, answer.body)
        assert answer.json["success"] is (answer.status == 200)

    await asyncio.to_thread(uploads)
