"""Print the values in an archive on Amazon S3.

    python examples/s3_reader.py --bucket energy-archive --prefix north/2025/06/

Objects are those of the integration `aws_s3`, or of a delivery stream behind AWS IoT rules: JSON
lines, compressed with gzip, under site/year/month/day. Credentials come from where boto3 finds
them; they need `s3:ListBucket` on the bucket and `s3:GetObject` on its objects.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Iterator
from typing import Any

import boto3

from wattwire.client import RefusedError, read_record


def lines_of(s3: Any, bucket: str, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Yield (key, line) of every object under the prefix, one object in memory at a time."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", ()):
            body = s3.get_object(Bucket=bucket, Key=found["Key"])["Body"]
            with gzip.open(body) as unpacked:
                for line in unpacked:
                    yield found["Key"], line


def main() -> None:
    """List, unpack, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--prefix", default="", help="for example north/2025/06/01/")
    parser.add_argument("--region")
    parser.add_argument("--endpoint-url", help="of an emulator")
    options = parser.parse_args()
    s3 = boto3.client("s3", region_name=options.region, endpoint_url=options.endpoint_url)
    seen: set[str] = set()
    for key, line in lines_of(s3, options.bucket, options.prefix):
        try:
            samples = read_record(line)
        except RefusedError as error:
            print(f"{key}: {error}", file=sys.stderr)
            continue
        message_id = json.loads(line).get("message_id")
        if message_id in seen:  # delivered twice: the id stays the same over all attempts
            continue
        if message_id is not None:
            seen.add(message_id)
        for sample in samples:
            where = sample.key or sample.uuid
            print(sample.time.isoformat(), where, sample.name, sample.value, sample.unit)


if __name__ == "__main__":
    main()
