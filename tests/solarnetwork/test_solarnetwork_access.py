"""Who gets in to SolarNetwork's API, and what the others are told."""

import contextlib
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solarnetwork_bench import BASE, SolarNetworkClient, http_date, make_client

from wattwire.api.application import check_guards
from wattwire.solarnetwork import access, hooks
from wattwire.solarnetwork.pace import Pace
from wattwire.solarnetwork.policy import Policy

TOPICS = f"{BASE}/topics"
HOOK = {"name": "a", "topic": "datum/agg/update", "serviceIdentifier": "webhook"}
ANONYMOUS = "Full authentication is required to access this resource"


def said(answer, status, message):
    """The whole of a refusal: status, body, headers."""
    assert (status, {"success": False, "message": message}) == (answer.status, answer.json)
    assert "SNWS2" == answer.headers["WWW-Authenticate"]
    assert message == answer.headers["X-SN-ErrorMessage"]
    assert "*" == answer.headers["Access-Control-Allow-Origin"]
    assert "X-SN-Date" in answer.headers["Access-Control-Allow-Headers"]
    assert "DELETE" in answer.headers["Access-Control-Allow-Methods"]
    assert "Accept" == answer.headers["Vary"]
    assert "application/json" == answer.headers["Content-Type"]


async def test_a_signed_request_gets_in(user, bench):
    """And its token shows when it was used."""
    answer = await user.get(TOPICS)

    assert 200 == answer.status
    assert "Accept" == answer.headers["Vary"]
    assert await bench.pool.fetchval("SELECT last_used_at IS NOT NULL FROM solarnetwork_token")


@pytest.mark.parametrize(
    "header", [{}, {"authorization": "Bearer x"}, {"authorization": "Basic x"}]
)
async def test_nobody_and_other_schemes_are_anonymous(user, header):
    """401: sign, and with SNWS2."""
    said(await user.send("GET", TOPICS, header), 401, ANONYMOUS)


async def test_what_is_wrong_is_told(user):
    """Each fault of a header has its status and message."""
    good = user.sign("GET", TOPICS)
    faults = {
        "Invalid Signature value": {"authorization": good["authorization"][:-1]},
        "The 'x-sn-more' HTTP header must be included in SignedHeaders": {"x-sn-more": "1"},
        "Invalid HTTP X-SN-Date header value": {"x-sn-date": "yesterday"},
        "Bad credentials": {"x-sn-date": http_date(datetime.now(UTC) - timedelta(seconds=60))},
    }
    for message, change in faults.items():
        said(await user.send("GET", TOPICS, {**good, **change}), 403, message)
    del good["x-sn-date"]
    said(await user.send("GET", TOPICS, good), 403, "Missing or invalid HTTP Date header value")


async def test_everything_signed_holds(user):
    """Another path, query, verb, header or body than the signed one is refused."""
    await user.post(f"{BASE}/hooks", HOOK)
    good = user.sign("GET", f"{TOPICS}?a=1")

    assert 200 == (await user.send("GET", f"{TOPICS}?a=1", good)).status
    for method, target in [
        ("GET", f"{TOPICS}?a=2"),
        ("GET", TOPICS),
        ("GET", f"{BASE}/hooks?a=1"),
        ("DELETE", f"{BASE}/hooks/1?a=1"),
        ("GET", f"{BASE}/%74opics?a=1"),
    ]:
        said(await user.send(method, target, good), 403, "Bad credentials")
    body = b'{"a":1}'
    post = user.sign("POST", f"{BASE}/hooks", body)
    answer = await user.send("POST", f"{BASE}/hooks", post, b'{"a":2}')
    said(answer, 403, "Content sha-256 digest value mismatch")


async def test_a_body_without_a_digest_is_signed_too(user):
    """The canonical request has its hash in any case."""
    body = b'{"name":"x"}'
    headers = user.sign("POST", f"{BASE}/hooks", body)
    stripped = user.sign("POST", f"{BASE}/hooks", b"", **{"content-type": headers["content-type"]})

    said(await user.send("POST", f"{BASE}/hooks", stripped, body), 403, "Bad credentials")


@pytest.mark.parametrize(
    ("minutes", "in_time"), [(-14, True), (14, True), (-16, False), (16, False)]
)
async def test_a_clock_may_be_wrong_by_a_quarter_of_an_hour(user, minutes, in_time):
    """Beyond it the signature is good and the date is not."""
    answer = await user.get(TOPICS, at=datetime.now(UTC) + timedelta(minutes=minutes))

    if in_time:
        assert 200 == answer.status
    else:
        said(answer, 403, "Date skew too large")


@pytest.mark.parametrize(("days", "status"), [(0, 200), (6, 200), (7, 403)])
async def test_a_derived_key_is_good_for_a_week(user, days, status):
    """Clients keep the key and forget the secret."""
    now = datetime.now(UTC)
    answer = await user.get(TOPICS, at=now, key_day=now - timedelta(days=days))

    assert status == answer.status


async def test_unknown_and_wrong_sound_alike(user, bench):
    """A token that does not exist, a wrong secret, a revoked token: one answer for all three."""
    stranger = SolarNetworkClient(bench, "x" * 20, user.secret)
    odd = SolarNetworkClient(bench, "ä", user.secret)
    wrong = SolarNetworkClient(bench, user.token_id, "y" * 40)
    answers = [await client.get(TOPICS) for client in (stranger, stranger, odd, wrong)]
    await bench.pool.execute("UPDATE solarnetwork_token SET revoked_at = now()")
    bench.app.state.solarnetwork.forget("solarnetwork_token", user.token_id)
    answers.append(await user.get(TOPICS))

    for answer in answers:
        said(answer, 403, "Bad credentials")


async def test_who_cannot_sign_does_not_hear_that_a_token_expired(bench, organization_id):
    """401 Expired token for its owner; for others it is like any unknown one."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    client = await make_client(bench, organization_id, expires_at=past)
    wrong = SolarNetworkClient(bench, client.token_id, "y" * 40)

    said(await client.get(TOPICS), 401, "Expired token")
    said(await wrong.get(TOPICS), 403, "Bad credentials")


async def test_an_unknown_token_costs_the_same_work(user, bench, monkeypatch):
    """As many keys are derived and as many signatures made for it as for a wrong secret."""
    counted = []
    sign, derive = access.snws2.sign, access.snws2.signing_key
    monkeypatch.setattr(access.snws2, "sign", lambda *a: counted.append("sign") or sign(*a))
    monkeypatch.setattr(access.snws2, "signing_key", lambda *a: counted.append("key") or derive(*a))
    work = []
    for client in (
        SolarNetworkClient(bench, user.token_id, "y" * 40),
        SolarNetworkClient(bench, "x" * 20, "y" * 40),
    ):
        counted.clear()
        await client.get(TOPICS)
        work.append(sorted(counted))

    assert work[0] == work[1]
    assert 7 == work[0].count("key")


async def test_a_revoked_token_ends_at_once_through_the_api(user, bench, organization_id):
    """The native API revokes; what was remembered is forgotten."""
    owner = bench.client(await bench.token(organization_id))
    assert 200 == (await user.get(TOPICS)).status

    assert 204 == (await owner.delete(f"/api/v1/solarnetwork-tokens/{user.token_id}")).status
    said(await user.get(TOPICS), 403, "Bad credentials")


async def test_a_captured_write_cannot_be_sent_again(user, bench):
    """The same signature twice: the first is carried out; through another process, too."""
    import msgspec

    body = msgspec.json.encode(HOOK)
    headers = user.sign("POST", f"{BASE}/hooks", body)
    first = await user.send("POST", f"{BASE}/hooks", headers, body)
    bench.app.state.solarnetwork.forget("*", "")  # as good as another process: nothing remembered
    again = await user.send("POST", f"{BASE}/hooks", headers, body)

    assert 200 == first.status
    said(again, 403, "Signature used before")
    assert 1 == await bench.pool.fetchval("SELECT count(*) FROM integration")
    read = user.sign("GET", TOPICS)
    assert [200, 200] == [(await user.send("GET", TOPICS, read)).status for _ in range(2)]


async def test_a_captured_delete_finds_nothing(user, bench):
    """It may be sent again: 404, whatever was made meanwhile, for ids are not given out again."""
    made = (await user.post(f"{BASE}/hooks", HOOK)).data["id"]
    headers = user.sign("DELETE", f"{BASE}/hooks/{made}")
    first = await user.send("DELETE", f"{BASE}/hooks/{made}", headers)
    await user.post(f"{BASE}/hooks", {**HOOK, "name": "another"})
    again = await user.send("DELETE", f"{BASE}/hooks/{made}", headers)

    assert [200, 404] == [first.status, again.status]
    assert 1 == len((await user.get(f"{BASE}/hooks")).data)


async def test_old_signatures_are_cleared_away(user, bench):
    """Each write clears more than it adds; what may still be sent again stays."""
    await bench.pool.execute(
        "INSERT INTO solarnetwork_signature SELECT int4send(n), now() + n * interval '1 hour'"
        " FROM generate_series(-8, 2) n WHERE n <> 0"
    )
    await user.post(f"{BASE}/hooks", HOOK)

    assert 3 == await bench.pool.fetchval("SELECT count(*) FROM solarnetwork_signature")


async def test_reading_tokens_manage_no_hooks(bench, organization_id):
    """ReadNodeData is refused, after its signature was checked."""
    reader = await make_client(bench, organization_id, kind="ReadNodeData")

    said(await reader.get(f"{BASE}/hooks"), 403, "Access denied")
    said(await reader.get(TOPICS), 403, "Access denied")


async def test_a_client_may_sign_port_443(user):
    """Java's builder does, JavaScript's does not."""
    bare = user.sign("GET", TOPICS, host="hub.example")
    ported = user.sign("GET", TOPICS, host="hub.example:443")
    other = user.sign("GET", TOPICS, host="other.example")

    for signed, status in [(bare, 200), (ported, 200), (other, 403)]:
        answer = await user.send("GET", TOPICS, {**signed, "host": "hub.example"})
        assert status == answer.status


@pytest.mark.parametrize(
    ("networks", "status"), [((), 403), (("10.0.0.0/8",), 403), (("127.0.0.0/8",), 200)]
)
async def test_only_a_proxy_we_know_may_say_the_host(user, bench, networks, status):
    """X-Forwarded-Host and -Port of anybody else are not looked at."""
    bench.app.state.solarnetwork._proxies = tuple(map(ip_network, networks))
    name = user.sign("GET", TOPICS, host="front.example")
    port = user.sign("GET", TOPICS, host="front.example:8443")
    forwarded = {"x-forwarded-host": "evil.example, front.example", "x-forwarded-port": "8443"}

    for signed in (name, port):
        headers = {**signed, "host": "back:1", **forwarded, "x-forwarded-for": "10.1.2.3"}
        assert status == (await user.send("GET", TOPICS, headers)).status
    spoofed = user.sign("GET", TOPICS, host="evil.example")
    headers = {**spoofed, "host": "back:1", **forwarded}
    assert 403 == (await user.send("GET", TOPICS, headers)).status


async def test_who_asks_too_fast_is_told_to_wait(user, bench):
    """429 with Retry-After, for this token alone; a bad signature is not counted."""
    bench.app.state.solarnetwork._pace = Pace(1, clock=lambda: 1.0)
    stranger = SolarNetworkClient(bench, user.token_id, "y" * 40)
    await stranger.get(TOPICS)
    first, second = await user.get(TOPICS), await user.get(TOPICS)

    assert (200, 429) == (first.status, second.status)
    assert {"success": False, "message": "Too many requests"} == second.json
    assert "1" == second.headers["Retry-After"]
    other = await make_client(bench, (await bench.new_organization("Other")))
    assert 200 == (await other.get(TOPICS)).status


def test_a_bucket_fills_by_the_second():
    """A second's worth at once, then by the clock; zero is no limit; memory is bounded."""
    now = [0.0]
    pace = Pace(10, clock=lambda: now[0])
    assert [0] * 10 + [1] == [pace.wait_seconds("a") for _ in range(11)]
    now[0] = 0.25
    assert [0, 0, 1] == [pace.wait_seconds("a") for _ in range(3)]
    assert 0 == pace.wait_seconds("b")
    assert [0] * 5 == [Pace(0).wait_seconds("a") for _ in range(5)]
    for n in range(20_000):
        pace.wait_seconds(str(n))
    assert 10_000 == len(pace._buckets)


def test_a_route_without_a_guard_does_not_start():
    """The API refuses a router of this room that lets anybody in."""
    check_guards()

    @hooks.router.get("/open")
    async def open_to_all():
        return None

    try:
        with pytest.raises(ValueError, match="lets anybody in"):
            check_guards()
    finally:
        hooks.router.routes.pop()


def test_a_policy_covers_only_what_is_inside():
    """Filters of hooks against limits of tokens; no filter asks for everything."""
    free = Policy.read({}, None)
    nodes = Policy.read({"node_ids": [1, 2]}, None)
    sources = Policy.read({"source_ids": ["/power/**", "/a"]}, None)

    assert free.covers(None, None)
    assert [True, True, False, False, False] == [
        nodes.covers(ids, None) for ids in ([1], [1, 2], [1, 3], [], None)
    ]
    assert [True, True, True, False, False, False, False] == [
        sources.covers(None, wanted)
        for wanted in (["/a"], ["/power/**"], ["/power/x/y"], ["/power/*"], ["/b"], ["**"], None)
    ]
    assert (True, False) == (nodes.allows_node(1), nodes.allows_node(3))
    assert (True, False) == (sources.allows_source("/power/1"), sources.allows_source("/x"))


PIECES = st.sampled_from(
    [
        "SNWS2 ",
        "SNWS2",
        "Credential=",
        "SignedHeaders=",
        "Signature=",
        ",",
        "=",
        ";",
        "host",
        "x-sn-date",
        "date",
        "a" * 20,
        "ab" * 32,
        " ",
        "\t",
        "ä",
        "%00",
        "content-type",
        "x" * 5000,
    ]
)
HEADERS = st.one_of(
    st.lists(PIECES, max_size=14).map("".join),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=200),
)


@settings(max_examples=500, deadline=None)
@given(HEADERS)
def test_parsing_raises_nothing_but_its_own(header):
    """Whatever the header is."""
    with contextlib.suppress(access.snws2.BadCredentialsError):
        access.snws2.parse(header)
