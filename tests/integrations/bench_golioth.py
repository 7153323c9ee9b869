"""A strict fake of Golioth's API, and its words for refusals."""

import json

import pytest
from fake_golioth import FakeGolioth
from fake_serving import serving
from integrations_counterparts import LOCAL, Bench, Reply

from wattwire.integrations import TYPES


def golioth_error(status, code, **headers):
    body = json.dumps({"code": code, "message": "said the fake", "details": []}).encode()
    return Reply(status, body, headers)


def golioth_half():
    """Every other request fails."""
    count = iter(range(10_000))
    done = Reply(200, b'{"data":1}')
    return lambda request: done if next(count) % 2 == 0 else golioth_error(500, 13)


@pytest.fixture
async def golioth():
    """A project with the device that the suite's messages are of."""
    fake = FakeGolioth()
    fake.add("62b0", "meter-1")
    async with serving(fake.app()) as url:
        fake.url = url
        yield fake


@pytest.fixture
def golioth_bench(golioth):
    """The fake. Faults are met without a look-up before: the device's ID is given."""
    kind = TYPES["golioth"]

    def aimed_at(url, **more):
        return kind.settings(
            api_key="s3cr3t-key",
            project_id="my-project",
            base_url=url,
            device_match="id",
            device_ids={"meter-1": "62b0"},
            **more,
        )

    return Bench(
        kind=kind,
        surroundings=LOCAL,
        settings=aimed_at(golioth.url),
        received=golioth.bodies,
        aimed_at=aimed_at,
        replies={
            "denied": golioth_error(401, 16),
            "broken": golioth_error(500, 13),
            "away": golioth_error(503, 14),
            "throttled": golioth_error(429, 8, **{"Retry-After": "7"}),
            "half": golioth_half(),
            "taken": Reply(200, b'{"data":1}'),
        },
        status_says_all=True,
    )
