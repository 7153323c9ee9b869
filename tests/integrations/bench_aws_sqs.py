"""A queue of the emulator for SQS, and SQS' words for refusals."""

import json

import pytest
from integrations_counterparts import LOCAL, Bench, Reply, access

from wattwire.integrations import TYPES

JSON = "application/x-amz-json-1.0"


def sqs_error(status, code, text="said the fake"):
    body = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": text}).encode()
    return Reply(status, body, {"Content-Type": JSON})


def sqs_half(request):
    """Take every other entry; refuse the rest as a fault of the service's own."""
    ids = [entry["Id"] for entry in json.loads(request.body)["Entries"]]
    body = {
        "Successful": [{"Id": i, "MessageId": f"got-{i}"} for i in ids[::2]],
        "Failed": [
            {"Id": i, "SenderFault": False, "Code": "InternalError", "Message": "half"}
            for i in ids[1::2]
        ],
    }
    return Reply(200, json.dumps(body).encode(), {"Content-Type": JSON})


@pytest.fixture
def aws_sqs_bench(moto, queue):
    """A queue of the emulator."""
    kind = TYPES["aws_sqs"]

    def aimed_at(url):
        return kind.settings(queue_url=queue.url, aws=access(url))

    return Bench(
        kind=kind,
        surroundings=LOCAL,
        settings=aimed_at(moto),
        received=queue.bodies,
        aimed_at=aimed_at,
        replies={
            "denied": sqs_error(403, "InvalidClientTokenId"),
            "broken": sqs_error(500, "InternalError"),
            "away": sqs_error(503, "ServiceUnavailable"),
            "throttled": sqs_error(400, "RequestThrottled"),
            "half": sqs_half,
            "taken": sqs_half,
        },
    )
