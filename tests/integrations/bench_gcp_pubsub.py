"""A strict fake of Pub/Sub with TLS, its emulator's side for faults, and Google's refusals."""

import json
from dataclasses import replace

import pytest
from fake_pubsub import EMAIL, FakePubSub, Key
from fake_serving import Authority, serving
from integrations_counterparts import LOCAL, Bench, Reply

from wattwire.integrations import TYPES

TOPIC = "projects/test-project/topics/MainSolarData"
#: One key for the whole run: making one takes longer than most tests.
GOOD_KEY = Key()


def google_error(status, name, text="said the fake", **headers):
    body = {"error": {"code": status, "message": text, "status": name}}
    return Reply(status, json.dumps(body).encode(), headers)


def google_taken(request):
    ids = [f"got-{n}" for n, _ in enumerate(json.loads(request.body)["messages"])]
    return Reply(200, json.dumps({"messageIds": ids}).encode())


def google_half(request):
    """Refuse what travels together as invalid, then take every other message."""
    messages = json.loads(request.body)["messages"]
    if len(messages) > 1:
        return google_error(400, "INVALID_ARGUMENT")
    number = int(messages[0]["attributes"]["message_id"].rpartition("-")[2])
    return google_taken(request) if number % 2 == 0 else google_error(500, "INTERNAL", "half")


GOOGLE_REPLIES = {
    "denied": google_error(403, "PERMISSION_DENIED"),
    "broken": google_error(500, "INTERNAL"),
    "away": google_error(503, "UNAVAILABLE"),
    "throttled": google_error(429, "RESOURCE_EXHAUSTED"),
    "half": google_half,
    "taken": google_taken,
}


@pytest.fixture(scope="session")
def authority():
    """Who vouches for the fakes."""
    return Authority()


@pytest.fixture
async def pubsub(authority):
    """A Pub/Sub with one topic and one service account that may publish to it."""
    fake = FakePubSub(topics={TOPIC: {EMAIL}})
    fake.add_key(GOOD_KEY)
    async with serving(fake.app(), authority.served()) as url:
        fake.url = url
        yield fake


@pytest.fixture
def google_surroundings(authority):
    """Loopback may be reached, and the fake's authority is trusted."""
    return replace(LOCAL, tls=authority.trusted())


@pytest.fixture
def gcp_pubsub_bench(pubsub, google_surroundings):
    """The fake. Faults are served without TLS: as an emulator's, with no token."""
    kind = TYPES["gcp_pubsub"]

    def aimed_at(url):
        return kind.settings(
            topic=TOPIC,
            service_account_key=GOOD_KEY.json(private_key_id="s3cr3t"),
            endpoint_url=url,
        )

    return Bench(
        kind=kind,
        surroundings=google_surroundings,
        settings=kind.settings(
            topic=TOPIC, service_account_key=GOOD_KEY.json(), endpoint_url=pubsub.url
        ),
        received=pubsub.bodies,
        aimed_at=aimed_at,
        replies=GOOGLE_REPLIES,
    )
