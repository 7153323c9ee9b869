"""The emulator's broker for AWS IoT, and AWS IoT's words for refusals."""

import json

import pytest
from integrations_counterparts import LOCAL, REGION, Bench, Reply, access
from moto.iotdata.models import iotdata_backends

from wattwire.integrations import TYPES

TAKEN = Reply(200, b'{"message":"OK","traceId":"0af6"}', {"Content-Type": "application/json"})


def iot_error(status, code, text="said the fake"):
    body = json.dumps({"message": text, "traceId": "0af6"}).encode()
    return Reply(
        status, body, {"Content-Type": "application/json", "x-amzn-ErrorType": f"{code}:http://x/"}
    )


def iot_half():
    """Every other call fails, whoever asks."""
    count = iter(range(10_000))
    failure = iot_error(500, "InternalFailureException")
    return lambda _request: failure if next(count) % 2 else TAKEN


class Broker:
    """What was published on the emulator since the test began."""

    def __init__(self):
        self._all = iotdata_backends["123456789012"][REGION].published_payloads
        self._before = len(self._all)

    def published(self):
        return self._all[self._before :]


@pytest.fixture
def broker(moto):
    return Broker()


@pytest.fixture
def aws_iot_bench(moto, broker):
    """The emulator's broker; its endpoint is given, since it names one that does not exist."""
    kind = TYPES["aws_iot"]

    def aimed_at(url):
        return kind.settings(
            topic="plant/{device_key}/{event}",
            endpoint=url.partition("://")[2],
            aws=access(url),
        )

    return Bench(
        kind=kind,
        surroundings=LOCAL,
        settings=aimed_at(moto),
        received=lambda: [payload for _, payload in broker.published()],
        aimed_at=aimed_at,
        replies={
            "denied": iot_error(403, "ForbiddenException"),
            "broken": iot_error(500, "InternalFailureException"),
            "away": iot_error(503, "ServiceUnavailableException"),
            "throttled": iot_error(429, "ThrottlingException"),
            "half": iot_half(),
            "taken": TAKEN,
        },
        status_says_all=True,
    )
