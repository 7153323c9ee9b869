"""InfluxDB: a real 1.6, and version 2's face before it."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from influx_counterparts import InfluxServer
from influx_sending import (
    NOW,
    deliver,
    delivered,
    one,
    point,
    points,
    rejected,
    stored,
    two,
    verdict,
)

from wattwire.delivery.rendering import find_format
from wattwire.integrations.contract import (
    Verdict,
)
from wattwire.model import Event, Message

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
