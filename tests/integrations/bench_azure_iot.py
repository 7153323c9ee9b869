"""A strict fake of an IoT hub, and IoT Hub's words for refusals."""

import base64
import json

import pytest
from fake_azure_iot import BATCH, DEVICE_KEY, FakeIotHub
from fake_serving import serving
from integrations_counterparts import LOCAL, Bench, Reply

from wattwire.integrations import TYPES

SECRET = base64.b64encode(b"s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr").decode()


def azure_error(status, code, **headers):
    body = {"Message": f"ErrorCode:{code};said the fake", "ExceptionMessage": "Tracking ID:1"}
    return Reply(status, json.dumps(body).encode(), headers)


def azure_half(request):
    """Refuse batches, and every other message."""
    if request.headers["content-type"] == BATCH:
        return azure_error(400, "ArgumentInvalid")
    number = int(request.headers["iothub-messageid"].rpartition("-")[2])
    return Reply(204, b"") if number % 2 == 0 else azure_error(500, "ServerError")


@pytest.fixture
async def iot_hub():
    """A hub with the device that the suite's messages are of."""
    fake = FakeIotHub(devices={"meter-1": DEVICE_KEY})
    async with serving(fake.app()) as url:
        fake.url = url
        yield fake


@pytest.fixture
def azure_iot_bench(iot_hub):
    """The fake."""
    kind = TYPES["azure_iot"]

    def aimed_at(url, connection_string=None):
        return kind.settings(
            connection_string=connection_string
            or f"HostName=myhub.azure-devices.net;SharedAccessKeyName=d;SharedAccessKey={SECRET}",
            endpoint_url=url,
        )

    return Bench(
        kind=kind,
        surroundings=LOCAL,
        settings=aimed_at(iot_hub.url, iot_hub.connection_string()),
        received=iot_hub.bodies,
        aimed_at=aimed_at,
        replies={
            "denied": azure_error(401, "IotHubUnauthorizedAccess"),
            "broken": azure_error(500, "ServerError"),
            "away": azure_error(503, "ServiceUnavailable"),
            "throttled": azure_error(429, "ThrottlingException", **{"Retry-After": "7"}),
            "half": azure_half,
            "taken": Reply(204, b""),
        },
        status_says_all=True,
    )
