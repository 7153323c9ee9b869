"""InfluxDB: answers that neither version would give; settings."""

import gzip
import json
from datetime import timedelta

import pytest
from bench_influxdb import influx_error
from hypothesis import given
from hypothesis import strategies as st
from influx_counterparts import BUCKET, ORG, TOKEN, unpacked
from influx_sending import (
    KIND,
    TAKEN,
    deliver,
    delivered,
    point,
    points,
    rejected,
    two,
    verdict,
)
from integrations_counterparts import FaultServer, Reply
from pydantic import ValidationError

from wattwire.integrations import TYPES, _line_refusals
from wattwire.integrations._line_refusals import MOST_WRITES, Answer
from wattwire.integrations.contract import (
    ConfigurationError,
    Delivered,
    Retry,
    UnreachableError,
    Verdict,
)
from wattwire.model import Message


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
