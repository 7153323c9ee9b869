"""A bucket of the emulator for S3, and S3's words for refusals."""

import gzip
from dataclasses import replace

import pytest
from integrations_counterparts import LOCAL, Bench, Reply, access

from wattwire.integrations import TYPES
from wattwire.integrations._json_bodies import line_of

TAKEN = Reply(200, b"", {"ETag": '"0a1b2c"'})


def s3_error(status, code, text="said the fake"):
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{text}</Message><RequestId>7</RequestId></Error>"
    )
    return Reply(status, body.encode(), {"Content-Type": "application/xml"})


class Bucket:
    """A bucket of the emulator."""

    def __init__(self, client, name):
        self.client, self.name = client, name
        client.create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )

    def names(self):
        listed = self.client.list_objects_v2(Bucket=self.name)
        return [found["Key"] for found in listed.get("Contents", ())]

    def raw(self, key):
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def lines(self):
        return [
            line for key in self.names() for line in gzip.decompress(self.raw(key)).splitlines(True)
        ]


@pytest.fixture
def bucket(aws, request):
    return Bucket(aws("s3"), f"b-{abs(hash(request.node.nodeid)) % 10**9}")


def apart(number, message):
    """Messages of two sites, which are written, or refused, one without the other."""
    if message.event is None:
        return message
    site = ("even", "odd")[number % 2]
    return replace(message, event=replace(message.event, metadata={"site": site}))


@pytest.fixture
def aws_s3_bench(moto, bucket):
    """A bucket of the emulator."""
    kind = TYPES["aws_s3"]

    def aimed_at(url):
        return kind.settings(bucket=bucket.name, max_age_seconds=0, aws=access(url))

    return Bench(
        kind=kind,
        surroundings=LOCAL,
        settings=aimed_at(moto),
        received=bucket.lines,
        aimed_at=aimed_at,
        replies={
            "denied": s3_error(403, "SignatureDoesNotMatch"),
            "broken": Reply(500, b"oops"),
            "away": s3_error(503, "ServiceUnavailable"),
            "throttled": s3_error(503, "SlowDown"),
            "half": lambda request: Reply(500, b"oops") if "/odd/" in request.target else TAKEN,
            "taken": TAKEN,
        },
        body_of=line_of,
        apart=apart,
    )
