"""InfluxDB: a real 1.6, version 2's face before it, and answers that neither would give."""

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from bench_influxdb import influx_error
from hypothesis import given
from hypothesis import strategies as st
from influx_counterparts import BUCKET, ORG, TOKEN, InfluxServer, unpacked
from integrations_counterparts import LOCAL, FaultServer, Reply
from pydantic import ValidationError

from wattwire.delivery.rendering import find_format
from wattwire.delivery.verdicts import judge, merged
from wattwire.integrations import TYPES, _line_refusals
from wattwire.integrations._line_refusals import MOST_WRITES, Answer
from wattwire.integrations.contract import (
    ConfigurationError,
    Delivered,
    Rejected,
    Retry,
    UnreachableError,
    Verdict,
)
from wattwire.model import Event, Message, to_micros

KIND = TYPES["influxdb"]
NOW = datetime.now(UTC)
TAKEN = Reply(204, b"", {"X-Request-Id": "abc"})


def point(number, text="value=1.5", at=NOW, measurement="m"):
    line = f"{measurement},id=n{number} {text} {to_micros(at) * 1000}\n"
    return Message(f"m-{number}", line.encode(), "text/plain; charset=utf-8")


def points(count, **bad):
    """So many good points; `bad` gives the text of some: n7='value="x"'."""
    return [point(n, bad.get(f"n{n}", "value=1.5")) for n in range(count)]


def one(server, name, **more):
    return KIND.settings(url=server.url, version="1", database=name, flush_seconds=0, **more)


def two(url, **more):
    given = {"org": ORG, "bucket": BUCKET, "token": TOKEN, "flush_seconds": 0}
    return KIND.settings(url=url, **{**given, **more})


async def deliver(settings, messages):
    async with KIND.connect(settings, LOCAL) as integration:
        return await integration.deliver(messages)


def verdict(outcome):
    return judge(outcome, merged(KIND.verdicts, {}))


def stored(influx, measurement="m"):
    server, name = influx
    return {row["id"] for row in server.query(f"SELECT * FROM {measurement}", name)}


def rejected(outcomes):
    return {i for i, outcome in outcomes.items() if isinstance(outcome, Rejected)}


def delivered(outcomes):
    return {i for i, outcome in outcomes.items() if isinstance(outcome, Delivered)}


# --- version 1, real ---


async def test_version_1_takes_a_batch(influx):
    """One write, each point there, the receipt names status and request."""
    outcomes = await deliver(one(*influx), points(200))

    assert 200 == len(stored(influx))
    assert all(o.receipt.startswith("HTTP 204 ") and len(o.receipt) > 20 for o in outcomes.values())


async def test_a_point_of_another_type_is_found_among_many(influx):
    """InfluxDB says how many it dropped, not which: exactly that message is rejected, with why."""
    await deliver(one(*influx), [point(999)])
    outcomes = await deliver(one(*influx), points(60, n41='value="text"'))

    assert {"m-41"} == rejected(outcomes)
    assert 59 == len(delivered(outcomes))
    assert "field type conflict" in outcomes["m-41"].reason
    assert {f"n{n}" for n in range(60)} - {"n41"} == stored(influx) - {"n999"}


async def test_lines_that_cannot_be_parsed_are_named(influx):
    """InfluxDB quotes them: those messages are rejected, the others stored."""
    batch = points(40, n3="value=", n17="value=1.5 x", n39="value=\"it's: odd': yes\" bad")
    outcomes = await deliver(one(*influx), batch)

    assert {"m-3", "m-17", "m-39"} == rejected(outcomes)
    assert 37 == len(delivered(outcomes)) == len(stored(influx))
    assert all("unable to parse" in outcomes[i].reason for i in rejected(outcomes))


async def test_points_beyond_the_retention_period(influx):
    """The old ones are dead letters, the new ones are kept."""
    server, name = influx
    server.query(f'CREATE RETENTION POLICY "short" ON "{name}" DURATION 1h REPLICATION 1')
    settings = one(*influx, retention_policy="short")
    old = [point(n, at=NOW - timedelta(days=30)) for n in range(10, 13)]
    outcomes = await deliver(settings, [*points(5), *old])

    assert {"m-10", "m-11", "m-12"} == rejected(outcomes)
    assert 5 == len(server.query("SELECT * FROM short.m", name))
    assert "retention policy" in outcomes["m-10"].reason


async def test_a_message_of_several_lines_stands_or_falls(influx):
    """A refused line rejects its message, whose other line may be kept; others are delivered."""
    both = replace(point(1), body=point(1).body + b"m,id=n2 value=\n")
    outcomes = await deliver(one(*influx), [point(0), both, point(3)])

    assert {"m-1"} == rejected(outcomes)
    assert {"m-0", "m-3"} == delivered(outcomes)


async def test_a_database_or_retention_policy_that_does_not_exist(influx):
    """Both wait for somebody to change something; no message is given up."""
    server, name = influx
    missing = await deliver(one(server, "nowhere"), points(2))
    policy = await deliver(one(server, name, retention_policy="nothing"), points(2))

    assert {Verdict.PARK} == {verdict(o) for o in (*missing.values(), *policy.values())}
    assert "not found" in policy["m-0"].reason


@pytest.fixture
async def guarded(tmp_path):
    """An InfluxDB that asks for a password, and takes 2,000 bytes at once."""
    server = InfluxServer(tmp_path / "guarded", auth=True, most=2000)
    try:
        await server.ready()
        server.query("CREATE USER root WITH PASSWORD 'secret' WITH ALL PRIVILEGES")
        server.login = ("root", "secret")
        server.query("CREATE USER nobody WITH PASSWORD 'pässword'")
        server.query("CREATE DATABASE plant")
        yield server
    finally:
        server.stop()


async def test_users_of_version_1(guarded):
    """A wrong password and a missing permission pause; the right user gets through."""
    wrong = await deliver(one(guarded, "plant", username="root", password="no"), points(1))
    barred = await deliver(one(guarded, "plant", username="nobody", password="pässword"), points(1))
    right = await deliver(one(guarded, "plant", username="root", password="secret"), points(1))

    assert (401, Verdict.PARK) == (wrong["m-0"].status, verdict(wrong["m-0"]))
    assert (403, Verdict.PARK) == (barred["m-0"].status, verdict(barred["m-0"]))
    assert {"m-0"} == delivered(right)


async def test_a_write_that_is_too_large_is_split(guarded):
    """413 for many: halves, until they fit; 413 for one: a dead letter."""
    login = {"username": "root", "password": "secret", "compress": False}
    large = point(1000, f'text="{"x" * 3000}"')
    outcomes = await deliver(one(guarded, "plant", **login), [*points(200), large])

    assert {"m-1000"} == rejected(outcomes)
    assert 413 == outcomes["m-1000"].status
    assert 200 == len(guarded.query("SELECT * FROM m", "plant"))


# --- version 2, its face before the real one ---


async def test_version_2_takes_a_batch(version_two, influx):
    """Organization, bucket, precision and token are as version 2 wants them; gzip is unpacked."""
    outcomes = await deliver(two(version_two.url), points(50))
    request, _body = version_two.requests[0]

    assert 50 == len(delivered(outcomes)) == len(stored(influx))
    assert "gzip" == request.headers["Content-Encoding"]
    assert {"HTTP 204 0e5f3a"} == {o.receipt for o in outcomes.values()}


async def test_version_2_tells_a_partial_write_by_422(version_two, influx):
    """The good ones are stored and delivered, the bad one is found."""
    await deliver(two(version_two.url), [point(999)])
    outcomes = await deliver(two(version_two.url), points(20, n8="value=true"))

    assert {"m-8"} == rejected(outcomes)
    assert 422 == outcomes["m-8"].status
    assert 20 == len(stored(influx))


async def test_version_2_writes_nothing_of_a_bad_line(version_two, influx):
    """It names the first bad line only: each is found in turn, the rest is written."""
    outcomes = await deliver(two(version_two.url), points(30, n2="value=", n20="=3"))

    assert {"m-2", "m-20"} == rejected(outcomes)
    assert 28 == len(stored(influx))
    assert 3 == len(version_two.requests)


@pytest.mark.parametrize("changes", [{"token": "wrong"}, {"org": "else"}, {"bucket": "nothing"}])
async def test_version_2_credentials_and_places(version_two, changes):
    """Token, organization and bucket: each pauses the integration, in one call."""
    outcomes = await deliver(two(version_two.url, **changes), points(10))

    assert {Verdict.PARK} == {verdict(o) for o in outcomes.values()}
    assert 1 == len(version_two.requests)


async def test_a_powermonitor_500_in_the_seeds_shape(version_two, influx):
    """Format, preset and integration together: tags and fields as documented, really stored."""
    event = Event(
        id=UUID(int=7),
        topic="device.telemetry",
        organization_id=UUID(int=1),
        time=NOW,
        data={"values": {"voltageAN": 480.2, "currentA": 12.1, "realPower": 4.2, "realEnergy": 9}},
        device_key="pm-7",
        metadata={"site": "North Plant", "asset": "press=1", "breaker": "52-A"},
    )
    form = find_format("line_protocol", {"preset": "powermonitor_500"})
    message = Message("m-1", form.render(event), form.content_type, event=event)
    outcomes = await deliver(two(version_two.url), [message])
    server, name = influx
    rows = {r["phase"]: r for r in server.query("SELECT * FROM powermonitor_500", name)}

    assert {"m-1"} == delivered(outcomes)
    assert {"A", "total"} == set(rows)
    assert (480.2, 12.1) == (rows["A"]["voltage"], rows["A"]["current"])
    assert (4.2, 9.0) == (rows["total"]["kW"], rows["total"]["kWh"])
    assert {("North Plant", "press=1", "52-A")} == {
        (r["site"], r["asset"], r["breaker"]) for r in rows.values()
    }


# --- answers that have to be made up ---


@pytest.fixture
async def fault():
    """A server that answers as it is told."""
    server = FaultServer()
    async with server.serving() as server.url:
        yield server


async def test_an_unhelpful_refusal_is_bounded(fault):
    """Every write refused without a word: a bounded number of writes, no good message given up."""
    fault.reply = influx_error(400, "invalid", "partial write: something")
    outcomes = await deliver(two(fault.url), points(1000))

    assert 1000 == len(outcomes)
    assert MOST_WRITES == len(fault.requests)
    assert rejected(outcomes)
    assert {Verdict.RETRY} == {verdict(o) for o in outcomes.values() if isinstance(o, Retry)}


async def test_all_dropped_needs_no_halves(fault):
    """When as many points were dropped as were sent, one write is enough."""
    fault.reply = influx_error(
        422, "unprocessable entity", "partial write: points beyond retention policy dropped=500"
    )
    outcomes = await deliver(two(fault.url), points(500))

    assert 500 == len(rejected(outcomes))
    assert 1 == len(fault.requests)


async def test_a_busy_server_ends_the_search(fault):
    """In the middle of halves: what is written is delivered, the rest waits as it was asked to."""

    def reply(request):
        if len(unpacked(request).decode().split("\n")) > 2:
            return influx_error(422, "unprocessable entity", "partial write: dropped=1")
        if len(fault.requests) > 3:
            return influx_error(503, "unavailable", "busy", **{"Retry-After": "7"})
        return TAKEN

    fault.reply = reply
    outcomes = await deliver(two(fault.url), points(8))

    assert {"m-0", "m-1"} == delivered(outcomes)
    assert {f"m-{n}": (503, timedelta(seconds=7)) for n in range(2, 8)} == {
        i: (o.status, o.after) for i, o in outcomes.items() if isinstance(o, Retry)
    }
    assert 4 == len(fault.requests)


async def test_a_quoted_line_is_known_by_all_of_it(fault):
    """A quote that holds the very marks that end one is found at once, without halves."""
    line = "m text=\"it's: odd': yes\" bad"

    def reply(request):
        if line.encode() in unpacked(request):
            text = f"partial write: unable to parse '{line}': bad timestamp dropped=0"
            return influx_error(400, "invalid", text)
        return TAKEN

    fault.reply = reply
    outcomes = await deliver(two(fault.url), [*points(9), Message("m-9", line.encode())])

    assert ({"m-9"}, 2) == (rejected(outcomes), len(fault.requests))


async def test_an_address_that_is_something_else(fault):
    """404 in any words: somebody has to look at the address."""
    fault.reply = Reply(404, b"404 page not found")
    outcomes = await deliver(two(fault.url), points(3))

    assert {Verdict.PARK} == {verdict(o) for o in outcomes.values()}
    assert 1 == len(fault.requests)


async def test_a_proxys_400_rejects_nothing(fault):
    """What is not InfluxDB's own word about lines makes no dead letters."""
    fault.reply = Reply(400, b"<html>The plain HTTP request was sent to HTTPS port</html>")
    outcomes = await deliver(two(fault.url), points(3))

    assert {Verdict.RETRY} == {verdict(o) for o in outcomes.values()}
    assert 1 == len(fault.requests)


async def test_a_quoted_line_about_a_missing_bucket(fault):
    """What stands in a refused line is not taken for the server's own word about its buckets."""
    line = 'm text="bucket not found" x'
    fault.reply = influx_error(400, "invalid", f"unable to parse '{line}': bad timestamp")
    outcomes = await deliver(two(fault.url), [Message("m-1", line.encode())])

    assert {"m-1"} == rejected(outcomes)


@pytest.mark.parametrize("compress", [True, False])
async def test_what_stands_in_a_request(fault, compress):
    """Version 1: database, policy, precision by its own letter, Basic; one line per message."""
    fault.reply = TAKEN
    settings = KIND.settings(
        url=f"{fault.url}/influx/",
        version="1",
        database="my db",
        retention_policy="a&b",
        username="me",
        password="pass:word",
        precision="us",
        compress=compress,
    )
    await deliver(settings, points(2))
    request = fault.requests[0]

    assert "/influx/write?db=my+db&rp=a%26b&precision=u" == request.target
    assert "Basic bWU6cGFzczp3b3Jk" == request.headers["authorization"]
    assert compress == (request.headers.get("content-encoding") == "gzip")
    body = gzip.decompress(request.body) if compress else request.body
    assert b"".join(m.body for m in points(2)).strip() == body


async def test_a_message_without_a_line(fault):
    """Nothing to write is a dead letter, and keeps nobody else."""
    fault.reply = TAKEN
    outcomes = await deliver(two(fault.url), [Message("m-1", b" \n"), point(2)])

    assert ({"m-1"}, {"m-2"}) == (rejected(outcomes), delivered(outcomes))


@given(
    st.integers(1, 120),
    st.sets(st.integers(0, 119), max_size=3),
    st.sets(st.integers(0, 119), max_size=10),
)
async def test_whoever_is_bad_is_found(count, nameless, named):
    """Whichever few lines a server refuses, named or not: they are rejected, the rest written."""
    batch, written = points(count), set()

    async def post(part):
        bad = [m for m in part if int(m.id[2:]) in named]
        dropped = [m for m in part if int(m.id[2:]) in nameless - named]
        written.update(m.id for m in part if m not in bad and m not in dropped)
        if not bad and not dropped:
            return Answer(204, "", spoken=False)
        text = "\n".join(f"unable to parse '{m.body.decode().strip()}': bad" for m in bad)
        return Answer(400, f"partial write: {text} dropped={len(dropped)}", spoken=True)

    outcomes = await _line_refusals.write(batch, post, 60)
    ids = {m.id for m in batch}
    bad = {f"m-{n}" for n in nameless | named} & ids

    assert bad == rejected(outcomes)
    assert ids - bad == delivered(outcomes) == written


async def test_a_connection_that_breaks_between_parts():
    """What was written before is delivered, the rest is unreachable."""
    calls = []

    async def post(part):
        calls.append(part)
        if len(part) > 1:
            return Answer(413, "", spoken=False)
        if len(calls) > 2:
            raise UnreachableError("gone")
        return Answer(204, "", spoken=False)

    outcomes = await _line_refusals.write(points(2), post, 60)

    assert isinstance(outcomes["m-0"], Delivered)
    assert (Verdict.DOWN, "gone") == (verdict(outcomes["m-1"]), outcomes["m-1"].reason)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"url": "ftp://x"}, "must be an address"),
        ({"url": "http://u:p@x"}, "no password"),
        ({"url": "http://x/?p=1"}, "no query"),
        ({"bucket": None}, "needs bucket"),
        ({"database": "x"}, "has no database"),
        ({"version": "1"}, "needs database"),
        ({"version": "1", "database": "x"}, "has no org"),
        ({"precision": "m"}, "precision"),
        ({"flush_seconds": -1}, "flush_seconds"),
    ],
)
def test_settings_that_cannot_work(changes, why):
    """Each version asks for its own fields; what is wrong is said before the network is used."""
    given = {"url": "http://x", "org": ORG, "bucket": BUCKET, "token": TOKEN}
    with pytest.raises(ValidationError, match=why):
        KIND.settings(**{**given, **changes})


def test_the_address_names_the_place_and_no_secret():
    """What the ledger shows: server, organization, bucket."""
    shown = KIND.address(two("http://influx:8086"))

    assert f"http://influx:8086/api/v2/write?org={ORG}&bucket={BUCKET}&precision=ns" == shown
    assert json.dumps(shown).find(TOKEN) < 0


async def test_lines_of_another_precision_are_not_written(surroundings):
    """Milliseconds read as nanoseconds would be of 1970: the integration says so and waits."""
    kind = TYPES["influxdb"]
    settings = kind.settings(url="http://127.0.0.1:9", version="1", database="db", precision="ns")
    message = Message("m-1", b"power x=1 1748779200000", "text/plain; charset=utf-8; precision=ms")
    async with kind.connect(settings, surroundings) as influx:
        with pytest.raises(ConfigurationError, match="precision ms"):
            await influx.deliver([message])
