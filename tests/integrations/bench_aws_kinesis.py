"""A stream of the emulator for Kinesis, and Kinesis' words for refusals."""

import json

import pytest
from integrations_counterparts import LOCAL, Bench, Reply, access

from wattwire.integrations import TYPES
from wattwire.integrations._json_bodies import identified

JSON = "application/x-amz-json-1.1"


def kinesis_error(status, code, text="said the fake"):
    body = json.dumps({"__type": code, "message": text}).encode()
    return Reply(status, body, {"Content-Type": JSON})


def kinesis_records(fate):
    """Answer PutRecords: `fate(n)` is None for a record that is taken, or its error code."""

    def reply(request):
        records = json.loads(request.body)["Records"]
        fates = [fate(n) for n in range(len(records))]
        placed = [
            {"ErrorCode": code, "ErrorMessage": f"{code} said the fake"}
            if code
            else {"SequenceNumber": f"4959{n}", "ShardId": "shardId-000000000000"}
            for n, code in enumerate(fates)
        ]
        failed = sum(map(bool, fates))
        body = json.dumps({"FailedRecordCount": failed, "Records": placed}).encode()
        return Reply(200, body, {"Content-Type": JSON})

    return reply


class Stream:
    """A stream of the emulator."""

    def __init__(self, client, name):
        self.client, self.name = client, name
        client.create_stream(StreamName=name, ShardCount=2)
        self.arn = client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"][
            "StreamARN"
        ]

    def records(self):
        found = []
        for shard in self.client.list_shards(StreamName=self.name)["Shards"]:
            iterator = self.client.get_shard_iterator(
                StreamName=self.name,
                ShardId=shard["ShardId"],
                ShardIteratorType="TRIM_HORIZON",
            )["ShardIterator"]
            found += self.client.get_records(ShardIterator=iterator)["Records"]
        return found


@pytest.fixture
def stream(aws, request):
    return Stream(aws("kinesis"), f"s-{abs(hash(request.node.nodeid)) % 10**9}")


@pytest.fixture
def aws_kinesis_bench(moto, stream):
    """A stream of the emulator with two shards."""
    kind = TYPES["aws_kinesis"]

    def aimed_at(url):
        return kind.settings(stream=stream.name, aws=access(url))

    return Bench(
        kind=kind,
        surroundings=LOCAL,
        settings=aimed_at(moto),
        received=lambda: [record["Data"] for record in stream.records()],
        aimed_at=aimed_at,
        replies={
            "denied": kinesis_error(400, "UnrecognizedClientException"),
            "broken": kinesis_error(500, "InternalFailure"),
            "away": kinesis_error(503, "ServiceUnavailable"),
            "throttled": kinesis_error(400, "ProvisionedThroughputExceededException"),
            "half": kinesis_records(lambda n: "InternalFailure" if n % 2 else None),
            "taken": kinesis_records(lambda _: None),
        },
        body_of=identified,
    )
