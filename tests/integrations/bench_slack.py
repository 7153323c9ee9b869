"""A fake of Slack that refuses what Slack refuses, and Slack's words for it."""

import json
from dataclasses import replace

import pytest
from integrations_counterparts import LOCAL, Bench, Reply
from slack_counterparts import TOKEN, FakeSlack

from wattwire.integrations import TYPES
from wattwire.integrations._slack_blocks import escape
from wattwire.integrations._telling import tell

JSON = {"Content-Type": "application/json; charset=utf-8"}


def answer(**body):
    return Reply(200, json.dumps(body).encode(), JSON)


def half_of_posts():
    """Every other post fails, whoever asks."""
    count = iter(range(10_000))
    taken = answer(ok=True, channel="C1", ts="1.1")
    broken = answer(ok=False, error="internal_error")
    return lambda request: taken if next(count) % 2 == 0 else broken


def by_itself(_number, message):
    """A message that is folded together with no other."""
    return replace(message, event=replace(message.event, severity="critical"))


@pytest.fixture
async def fake_slack():
    """A workspace of the test's own."""
    async with FakeSlack().serving() as fake:
        yield fake


@pytest.fixture
def slack_bench(fake_slack):
    """With a token: a message in a digest is one line of its fallback text."""
    kind = TYPES["slack"]

    def aimed_at(url):
        return kind.settings(
            token=TOKEN, channel="#alerts", api_url=f"{url}/api/", timeout_seconds=2
        )

    return Bench(
        kind=kind,
        surroundings=LOCAL,
        settings=aimed_at(fake_slack.url),
        received=fake_slack.bodies,
        aimed_at=aimed_at,
        body_of=lambda message: escape(tell(message).line).encode(),
        replies={
            "denied": answer(ok=False, error="invalid_auth"),
            "broken": Reply(500, b"oops"),
            "away": Reply(503, b"later", {"Retry-After": "7"}),
            "throttled": Reply(429, b'{"ok":false,"error":"ratelimited"}', {"Retry-After": "7"}),
            "half": half_of_posts(),
            "taken": answer(ok=True, channel="C1", ts="1.1"),
        },
        apart=by_itself,
    )
