"""A bus of the emulator whose events end up on a queue, and EventBridge's words for refusals."""

import json

import pytest
from integrations_counterparts import LOCAL, Bench, Reply, access

from wattwire.integrations import TYPES
from wattwire.integrations._json_bodies import identified

JSON = "application/x-amz-json-1.1"


def eventbridge_error(status, code, text="said the fake"):
    body = json.dumps({"__type": code, "message": text}).encode()
    return Reply(status, body, {"Content-Type": JSON})


def eventbridge_entries(fate):
    """Answer PutEvents: `fate(n)` is None for an event that is taken, or its error code."""

    def reply(request):
        count = len(json.loads(request.body)["Entries"])
        fates = [fate(n) for n in range(count)]
        placed = [
            {"ErrorCode": code, "ErrorMessage": f"{code} said the fake"}
            if code
            else {"EventId": f"got-{n}"}
            for n, code in enumerate(fates)
        ]
        body = json.dumps({"FailedEntryCount": sum(map(bool, fates)), "Entries": placed}).encode()
        return Reply(200, body, {"Content-Type": JSON})

    return reply


@pytest.fixture
def bus(aws, queue, request):
    """A bus with a rule that sends everything of ours on to the queue."""
    events = aws("events")
    name = f"b-{abs(hash(request.node.nodeid)) % 10**9}"
    events.create_event_bus(Name=name)
    events.put_rule(Name=name, EventBusName=name, EventPattern=json.dumps({"source": ["wattwire"]}))
    events.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "q", "Arn": queue.arn}])
    return name


def details(queue):
    """The bodies on the queue, as they were put (the emulator writes JSON in its own way)."""
    found = (json.loads(body)["detail"] for body in queue.bodies())
    return [json.dumps(detail, sort_keys=True).encode() for detail in found]


@pytest.fixture
def aws_eventbridge_bench(moto, bus, queue):
    """A bus of the emulator, with a queue that its only rule sends to."""
    kind = TYPES["aws_eventbridge"]

    def aimed_at(url):
        return kind.settings(event_bus=bus, aws=access(url))

    return Bench(
        kind=kind,
        surroundings=LOCAL,
        settings=aimed_at(moto),
        received=lambda: details(queue),
        aimed_at=aimed_at,
        replies={
            "denied": eventbridge_error(400, "AccessDeniedException"),
            "broken": eventbridge_error(500, "InternalException"),
            "away": eventbridge_error(503, "ServiceUnavailable"),
            "throttled": eventbridge_error(400, "ThrottlingException"),
            "half": eventbridge_entries(lambda n: "InternalFailure" if n % 2 else None),
            "taken": eventbridge_entries(lambda _: None),
        },
        body_of=lambda message: json.dumps(
            json.loads(identified(message)), sort_keys=True
        ).encode(),
        filled=lambda size: b'{"x":"%s"}' % (b"x" * (size - 32)),
    )
