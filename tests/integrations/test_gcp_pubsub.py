"""What only Pub/Sub promises: tokens, attributes, order, the bad message found, the emulator."""

import asyncio
import base64
import json
import time
from dataclasses import replace

import pytest
from bench_gcp_pubsub import GOOD_KEY, TOPIC, google_error
from fake_pubsub import AUDIENCES, EMAIL, FakePubSub, Key
from fake_serving import serving
from google.auth import jwt
from google.auth.transport.requests import Request
from google.oauth2 import service_account
from integrations_counterparts import LOCAL, FaultServer, Reply
from pydantic import ValidationError

from wattwire.delivery.verdicts import judge
from wattwire.integrations import _google, _pubsub, gcp_pubsub
from wattwire.integrations.contract import (
    UNREACHABLE,
    Delivered,
    Rejected,
    Retry,
    Surroundings,
    Verdict,
)
from wattwire.model import Message


def batch(count, **facts):
    return [Message(f"m-{n}", b'{"n": %d}' % n, **facts) for n in range(count)]


def settings(pubsub, key=GOOD_KEY, **more):
    text = key.json(token_uri=f"{pubsub.url}/token")
    return gcp_pubsub.Settings(
        topic=TOPIC, service_account_key=text, **{"endpoint_url": pubsub.url, **more}
    )


async def deliver(given, messages, surroundings):
    async with gcp_pubsub.TYPE.connect(given, surroundings) as integration:
        return await integration.deliver(messages)


def verdict(outcome):
    return judge(outcome, gcp_pubsub.TYPE.verdicts)


# --- tokens ---


async def test_a_signed_token_is_what_googles_library_signs():
    """The same header and claims, the signature verified by google-auth."""
    account = _google.read_account(GOOD_KEY.json())
    ours = await _google.SignedTokens(account, "https://pubsub.googleapis.com/").bearer()
    theirs = service_account.Credentials.from_service_account_info(GOOD_KEY.info())
    theirs = theirs.with_always_use_jwt_access(True)
    theirs._create_self_signed_jwt("https://pubsub.googleapis.com/")
    theirs.refresh(None)
    certs = {GOOD_KEY.key_id: GOOD_KEY.public_pem}
    mine, expected = (
        jwt.decode(token, certs=certs, audience=list(AUDIENCES)) for token in (ours, theirs.token)
    )

    assert jwt.decode_header(theirs.token) == jwt.decode_header(ours)
    assert set(expected) == set(mine)
    assert {k: expected[k] for k in ("iss", "sub", "aud")} == {
        k: mine[k] for k in ("iss", "sub", "aud")
    }
    assert expected["exp"] - expected["iat"] == mine["exp"] - mine["iat"]


async def test_the_fake_gives_tokens_to_googles_library(pubsub, authority, tmp_path):
    """google-auth, which knows nothing of us, gets its token there: so the fake is faithful."""
    authority.write_pem(tmp_path / "ca.pem")
    request = Request()
    request.session.trust_env = False  # a bundle of the machine's own would be preferred
    request.session.verify = str(tmp_path / "ca.pem")
    info = GOOD_KEY.info(f"{pubsub.url}/token")
    theirs = service_account.Credentials.from_service_account_info(
        info, scopes=["https://www.googleapis.com/auth/pubsub"]
    )
    await asyncio.to_thread(theirs.refresh, request)

    assert theirs.token in pubsub.tokens


async def test_one_token_serves_many_calls(pubsub, google_surroundings):
    """It is exchanged once, for calls at the same time, too."""
    given = settings(pubsub, token="exchanged")
    async with gcp_pubsub.TYPE.connect(given, google_surroundings) as integration:
        answers = await asyncio.gather(*(integration.deliver(batch(3)) for _ in range(5)))

    assert all(isinstance(o, Delivered) for a in answers for o in a.values())
    assert (1, 5) == (pubsub.exchanges, pubsub.requests)


async def test_a_token_is_renewed_before_it_ends(pubsub, google_surroundings, monkeypatch):
    """Five minutes before: no call is refused for a token that just ended."""
    given = settings(pubsub, token="exchanged")
    now = time.time()
    async with gcp_pubsub.TYPE.connect(given, google_surroundings) as integration:
        await integration.deliver(batch(1))
        monkeypatch.setattr(_google.time, "time", lambda: now + 3599 - 310)
        await integration.deliver(batch(1))
        assert 1 == pubsub.exchanges
        monkeypatch.setattr(_google.time, "time", lambda: now + 3599 - 290)
        await integration.deliver(batch(1))

    assert 2 == pubsub.exchanges


async def test_a_refused_token_is_not_used_again(pubsub, google_surroundings):
    """The first 401 parks; what is tried after it comes with another token."""
    given = settings(pubsub, token="exchanged")
    async with gcp_pubsub.TYPE.connect(given, google_surroundings) as integration:
        await integration.deliver(batch(1))
        pubsub.tokens.clear()
        refused = (await integration.deliver(batch(1)))["m-0"]
        again = (await integration.deliver(batch(1)))["m-0"]

    assert (401, Verdict.PARK) == (refused.status, verdict(refused))
    assert isinstance(again, Delivered)


@pytest.mark.parametrize("way", ["signed", "exchanged"])
async def test_a_deleted_key_parks(pubsub, google_surroundings, way):
    """Google does not know the key any more: the integration waits for somebody."""
    pubsub.keys.clear()
    outcome = (await deliver(settings(pubsub, token=way), batch(1), google_surroundings))["m-0"]

    assert isinstance(outcome, Retry)
    assert Verdict.PARK == verdict(outcome)
    assert [] == pubsub.messages


async def test_an_account_without_the_permission_parks(pubsub, google_surroundings):
    """A good key of somebody who may not publish: said in Google's words."""
    stranger = pubsub.add_key(Key("stranger@test-project.iam.gserviceaccount.com", "kid-2"))
    given = settings(pubsub, stranger)
    outcome = (await deliver(given, batch(1), google_surroundings))["m-0"]

    assert ("PERMISSION_DENIED", Verdict.PARK) == (outcome.code, verdict(outcome))
    assert "not authorized" in outcome.reason


async def test_a_missing_topic_parks(pubsub, google_surroundings):
    """Sending on is of no use until it is there."""
    pubsub.topics.clear()
    outcome = (await deliver(settings(pubsub), batch(1), google_surroundings))["m-0"]

    assert ("NOT_FOUND", Verdict.PARK) == (outcome.code, verdict(outcome))


async def test_the_token_endpoint_away_is_an_outage(google_surroundings, authority):
    """Nothing is counted against messages, and nothing is parked."""
    faults = FaultServer()
    faults.reply = Reply(503, b"later", {"Retry-After": "9"})
    async with faults.serving(authority.served()) as url:
        text = GOOD_KEY.json(token_uri=f"{url}/token")
        given = gcp_pubsub.Settings(
            topic=TOPIC, service_account_key=text, token="exchanged", endpoint_url=url
        )
        outcome = (await deliver(given, batch(1), google_surroundings))["m-0"]

    assert (503, Verdict.DOWN, 9) == (outcome.status, verdict(outcome), outcome.after.seconds)


# --- what is published ---


async def test_attributes_tell_what_a_message_is(pubsub, google_surroundings):
    """Subscriptions filter by them; its own number is the same over all attempts."""
    message = Message("m-1", b"{}", "application/json", "device.alert", "meter-1", {"unit": "W"})
    given = settings(pubsub, attributes={"site": "Süd"})
    outcome = (await deliver(given, [message], google_surroundings))["m-1"]
    ((topic, sent),) = pubsub.messages

    assert TOPIC == topic
    assert {
        "message_id": "m-1",
        "topic": "device.alert",
        "device": "meter-1",
        "content_type": "application/json",
        "unit": "W",
        "site": "Süd",
    } == sent["attributes"]
    assert "orderingKey" not in sent
    assert "4985640066378276" == outcome.receipt


async def test_an_attribute_that_is_too_long_is_left_out(pubsub, google_surroundings):
    """It does not cost the message."""
    message = Message("m-1", b"{}", attributes={"long": "ü" * 600, "n" * 300: "x"})
    outcome = (await deliver(settings(pubsub), [message], google_surroundings))["m-1"]

    assert isinstance(outcome, Delivered)
    assert {"message_id", "content_type"} == set(pubsub.messages[0][1]["attributes"])


async def test_a_thousand_messages_are_one_call(pubsub, google_surroundings):
    """As many as Pub/Sub takes; receipts stay with their messages."""
    outcomes = await deliver(settings(pubsub), batch(1000), google_surroundings)

    assert 1 == pubsub.requests
    assert str(4985640066378276 + 999) == outcomes["m-999"].receipt


async def test_the_largest_batch_that_the_engine_cuts_is_one_call(pubsub, google_surroundings):
    """Bodies and attributes as large as the limits allow stay below 10 MB in base64."""
    limits = gcp_pubsub.TYPE.limits
    size = limits.max_bytes // limits.max_messages - limits.overhead_bytes
    given = settings(pubsub, attributes={"a" * 100: "b" * 400})
    facts = {"device": "d" * 255, "topic": "device.telemetry"}
    messages = [Message(f"{n:080}", b"x" * size, **facts) for n in range(limits.max_messages)]
    outcomes = await deliver(given, messages, google_surroundings)

    assert all(isinstance(o, Delivered) for o in outcomes.values())
    assert 1 == pubsub.requests


async def test_what_is_too_large_for_a_call_goes_in_two(pubsub, google_surroundings):
    """Whatever the engine gave."""
    messages = [Message(f"m-{n}", b"x" * 4_000_000) for n in range(3)]
    outcomes = await deliver(settings(pubsub), messages, google_surroundings)

    assert all(isinstance(o, Delivered) for o in outcomes.values())
    assert 3 == pubsub.requests


async def test_the_invalid_message_is_found(pubsub, google_surroundings):
    """One that does not fit the topic's schema is rejected; 999 others are delivered, each once."""
    pubsub.schema = lambda data: data != b'{"n": 617}'
    outcomes = await deliver(settings(pubsub), batch(1000), google_surroundings)
    bad = outcomes.pop("m-617")

    assert isinstance(bad, Rejected)
    assert "schema" in bad.reason
    assert all(isinstance(o, Delivered) for o in outcomes.values())
    assert sorted(m.body for m in batch(1000) if m.id != "m-617") == sorted(pubsub.bodies())
    assert pubsub.requests < 25


async def test_the_search_for_invalid_messages_has_an_end(pubsub, google_surroundings):
    """When all are invalid, some are found at each attempt, and none is lost."""
    pubsub.schema = lambda _: False
    outcomes = await deliver(settings(pubsub), batch(1000), google_surroundings)
    kinds = [type(o) for o in outcomes.values()]

    assert 1000 == len(outcomes)
    assert {Rejected, Retry} == set(kinds)
    assert kinds.count(Rejected) > 10
    assert _pubsub.MOST_CALLS == pubsub.requests


# --- order ---


def readings(devices, count):
    return [
        Message(f"m-{d}-{n}", b"%d" % n, device=f"meter-{d}")
        for n in range(count)
        for d in range(devices)
    ]


async def test_ordered_messages_of_a_device_travel_alone(pubsub, google_surroundings):
    """One key in a call, as Pub/Sub demands; their order is that of the queue."""
    given = settings(pubsub, ordering_key="device")
    outcomes = await deliver(given, readings(5, 4), google_surroundings)
    of = {}
    for _, message in pubsub.messages:
        of.setdefault(message["orderingKey"], []).append(base64.b64decode(message["data"]))

    assert all(isinstance(o, Delivered) for o in outcomes.values())
    assert {f"meter-{d}": [b"0", b"1", b"2", b"3"] for d in range(5)} == of
    assert 5 == pubsub.requests
    assert gcp_pubsub.TYPE.ordered(given)


async def test_nothing_overtakes_a_message_that_was_not_taken():
    """Of a device whose batch was halved: what follows a failure waits with it."""
    calls = []

    def reply(request):
        messages = json.loads(request.body)["messages"]
        calls.append([m["attributes"]["message_id"] for m in messages])
        name = "INVALID_ARGUMENT" if len(messages) > 1 else "INTERNAL"
        return google_error(400 if len(messages) > 1 else 500, name)

    faults = FaultServer()
    faults.reply = reply
    async with faults.serving() as url:
        given = gcp_pubsub.Settings(topic=TOPIC, endpoint_url=url, ordering_key="device")
        outcomes = await deliver(given, readings(1, 4), LOCAL)

    assert [["m-0-0", "m-0-1", "m-0-2", "m-0-3"], ["m-0-0", "m-0-1"], ["m-0-0"]] == calls
    assert {Retry} == {type(o) for o in outcomes.values()}


async def test_a_service_that_is_away_is_not_asked_for_each_device():
    """The first answers tell enough: the rest is not sent, and gets the same verdict."""
    faults = FaultServer()
    faults.reply = google_error(503, "UNAVAILABLE")
    async with faults.serving() as url:
        given = gcp_pubsub.Settings(topic=TOPIC, endpoint_url=url, ordering_key="device")
        outcomes = await deliver(given, readings(100, 1), LOCAL)

    assert 100 == len(outcomes)
    assert {Verdict.DOWN} == {verdict(o) for o in outcomes.values()}
    assert len(faults.requests) <= 8


# --- the emulator, and who may be reached ---


async def test_the_operators_emulator_is_honoured(monkeypatch):
    """Without a key, unencrypted; a key that is there does not leave."""
    fake = FakePubSub(topics={TOPIC: set()}, tls=False)
    seen = []
    app = fake.app()

    async def note(request, _response):
        seen.append(request.headers.get("Authorization"))

    app.on_response_prepare.append(note)
    async with serving(app) as url:
        monkeypatch.setenv(_pubsub.EMULATOR_VARIABLE, url.removeprefix("http://"))
        for key in (None, GOOD_KEY.json()):
            given = gcp_pubsub.Settings(topic=TOPIC, service_account_key=key)
            outcomes = await deliver(given, batch(2), LOCAL)
            assert all(isinstance(o, Delivered) for o in outcomes.values())

    assert [None, None] == seen


async def test_the_emulator_is_behind_the_guard_like_everything(monkeypatch):
    """The variable opens no private network: the operator says so in the usual place."""
    fake = FakePubSub(topics={TOPIC: set()}, tls=False)
    async with serving(fake.app()) as url:
        monkeypatch.setenv(_pubsub.EMULATOR_VARIABLE, url.removeprefix("http://"))
        given = gcp_pubsub.Settings(topic=TOPIC)
        outcome = (await deliver(given, batch(1), Surroundings()))["m-0"]

    assert UNREACHABLE == outcome.code
    assert "WATTWIRE_WEBHOOK_ALLOW" in outcome.reason
    assert 0 == fake.requests


# --- settings ---


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"topic": "MainSolarData"}, "must look like"),
        ({"topic": "projects/p1/topics/goog-x"}, "must look like"),
        ({"topic": "projects/p1/topics/a/../b"}, "must look like"),
        ({"project_id": "other"}, "the project ID is other"),
        ({"service_account_key": "{"}, "not the JSON file"),
        ({"service_account_key": '{"type": "authorized_user"}'}, "must be service_account"),
        ({"service_account_key": '{"type": "service_account"}'}, "lacks client_email"),
        ({"service_account_key": GOOD_KEY.json(private_key="s3cr3t")}, "cannot be read"),
        ({"service_account_key": GOOD_KEY.json(token_uri="http://x.example/t")}, "https"),
        ({"service_account_key": None}, "is needed"),
        ({"endpoint_url": "https://u:p@example.com"}, "no password"),
        ({"endpoint_url": "gopher://example.com"}, "must be an address"),
        ({"attributes": {"googclient": "x"}}, "does not begin with goog"),
        ({"attributes": {"a": "x" * 600}}, "512 bytes"),
    ],
)
def test_wrong_settings_are_told_in_words(given, words):
    """Without the network, and without a word of the key."""
    with pytest.raises(ValidationError, match=words) as caught:
        gcp_pubsub.Settings(**{"topic": TOPIC, "service_account_key": GOOD_KEY.json(), **given})

    told = [error["msg"] for error in caught.value.errors()]
    assert "s3cr3t" not in str(told)


def test_project_and_name_make_the_topic():
    """The form asks for both; the record shows the topic in full."""
    given = gcp_pubsub.Settings(
        project_id="test-project", topic="MainSolarData", service_account_key=GOOD_KEY.json()
    )

    assert TOPIC == gcp_pubsub.TYPE.address(given)


def test_a_strange_topic_stays_one_part_of_the_url(google_surroundings):
    """Percent signs and pluses of a name are encoded."""
    name = "a%2Fb+c~d"
    assert gcp_pubsub.Settings(
        topic=f"projects/p1/topics/{name}", service_account_key=GOOD_KEY.json()
    )

    async def url():
        opened = _pubsub.open_publisher(google_surroundings, f"projects/p1/topics/{name}", None)
        async with opened as publisher:
            return str(publisher.url)

    assert asyncio.run(url()).endswith("/v1/projects/p1/topics/a%252Fb%2Bc~d:publish")


def test_the_account_of_the_fake_is_the_keys():
    """What the suite trusts in is what it thinks it is."""
    assert EMAIL == _google.read_account(GOOD_KEY.json()).email
    assert "PRIVATE" not in repr(_google.read_account(GOOD_KEY.json()))
    assert replace(_google.read_account(GOOD_KEY.json()), email="x").email == "x"
