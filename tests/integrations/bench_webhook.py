"""A real HTTP server for the webhook."""

import pytest
from integrations_counterparts import LOCAL, Bench, Reply

from wattwire.integrations import TYPES


@pytest.fixture
def webhook_bench(inbox):
    """A real HTTP server."""
    kind = TYPES["webhook"]

    def aimed_at(url):
        return kind.settings(
            url=f"{url}/hook", secret_key="s3cr3t", headers={"X-Key": "s3cr3t"}, timeout_seconds=1
        )

    return Bench(
        kind=kind,
        surroundings=LOCAL,
        settings=aimed_at(inbox.url),
        received=lambda: inbox.bodies,
        aimed_at=aimed_at,
        replies={
            "denied": Reply(401, b"who are you?"),
            "refused": Reply(413, b"too much"),
            "broken": Reply(500, b"oops"),
            "away": Reply(503, b"later", {"Retry-After": "7"}),
            "throttled": Reply(429, b"slow", {"Retry-After": "7"}),
            "half": half_of_webhooks(),
            "taken": Reply(200, b""),
        },
        status_says_all=True,
    )


def half_of_webhooks():
    """Every other request fails, whoever asks."""
    count = iter(range(10_000))
    return lambda request: Reply(204, b"") if next(count) % 2 == 0 else Reply(500, b"half")
