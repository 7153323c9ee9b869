"""Print the values in the records of an Amazon Kinesis data stream.

    python examples/kinesis_consumer.py --stream readings --region eu-central-1

Records are those of the integration `aws_kinesis` with the format `sparkplug_json` or `wattwire`,
or of an AWS IoT rule with the payload of the flow. Credentials come from where boto3 finds them
(environment, profile, role); they need `kinesis:ListShards`, `kinesis:GetShardIterator` and
`kinesis:GetRecords` on the stream.

Every shard is read, from its beginning or with --latest from now on. This is enough to look at a
stream; programs that share the work and keep their position use the Kinesis Client Library.
"""

import argparse
import sys
import time
from typing import Any

import boto3

from wattwire.client import RefusedError, read_record

PAUSE_SECONDS = 1.0  # a shard takes five calls a second from all its readers together


def show(record: dict[str, Any]) -> None:
    """Print the values of one record; one that is not ours is told of and passed over."""
    try:
        samples = read_record(record["Data"])
    except RefusedError as error:
        print(f"{record['SequenceNumber']}: {error}", file=sys.stderr)
        return
    for sample in samples:
        where = sample.key or sample.uuid or record["PartitionKey"]
        print(sample.time.isoformat(), where, sample.name, sample.value, sample.unit, flush=True)


def main() -> None:
    """Read all shards in turn, until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stream", required=True)
    parser.add_argument("--region")
    parser.add_argument("--endpoint-url", help="of an emulator")
    parser.add_argument("--latest", action="store_true", help="only what comes from now on")
    parser.add_argument("--seconds", type=float, help="end after so long")
    options = parser.parse_args()
    kinesis = boto3.client("kinesis", region_name=options.region, endpoint_url=options.endpoint_url)
    begin = "LATEST" if options.latest else "TRIM_HORIZON"
    pages = kinesis.get_paginator("list_shards").paginate(StreamName=options.stream)
    shards = [shard["ShardId"] for page in pages for shard in page["Shards"]]
    iterators = [
        kinesis.get_shard_iterator(
            StreamName=options.stream, ShardId=shard, ShardIteratorType=begin
        )["ShardIterator"]
        for shard in shards
    ]
    end = None if options.seconds is None else time.monotonic() + options.seconds
    while iterators:
        answers = [kinesis.get_records(ShardIterator=iterator) for iterator in iterators]
        for answer in answers:
            for record in answer["Records"]:
                show(record)
        if end is not None and time.monotonic() >= end:
            return
        iterators = [a["NextShardIterator"] for a in answers if a.get("NextShardIterator")]
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
