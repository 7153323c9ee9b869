"""Events out to AWS: one row for each service, to a receiver with canned answers."""

from benchmarks.rows.delivery import CONCURRENT, UNLIMITED, _drained, _throughput
from benchmarks.yardsticks import bare_aws


def _integration(kind, **settings):
    """What is posted to the API, with the receiver in place of AWS."""

    def body_of(target):
        address = target.url.rstrip("/")
        aws = {
            "region": "eu-central-1",
            "access_key_id": "AKIAIOSFODNN7EXAMPLE",
            "secret_access_key": "x" * 40,
            "endpoint_url": address,
        }
        if kind == "aws_iot":
            settings["endpoint"] = address.partition("://")[2]
        return {
            "type": kind,
            "name": "bench",
            "topics": ["device.telemetry"],
            "settings": settings | {"aws": aws},
            "limits": UNLIMITED,
        }

    return body_of


async def _row(options, service, what, count, concurrent=CONCURRENT, **settings):
    count = count // 6 if options.quick else count
    body_of = _integration(f"aws_{service}", **settings)
    drained = await _drained(service, body_of, count)
    yardstick = await bare_aws.calls(options, service=service, concurrent=concurrent)
    return _throughput(f"{service}_throughput", what, drained, None, None, yardstick)


async def kinesis_throughput(options):
    """A backlog of Kinesis records, up to 500 a call, to a receiver with canned answers."""
    what = kinesis_throughput.__doc__
    return await _row(options, "kinesis", what, 60_000, stream="bench")


async def eventbridge_throughput(options):
    """A backlog of EventBridge events in batches of ten to a receiver with canned answers."""
    return await _row(options, "eventbridge", eventbridge_throughput.__doc__, 60_000)


async def s3_throughput(options):
    """A backlog of events as gzipped objects of S3, one at a time, to a canned answer."""
    what = s3_throughput.__doc__
    options_of = {"concurrent": 1, "bucket": "bench", "max_age_seconds": 1}
    return await _row(options, "s3", what, 60_000, **options_of)


async def iot_throughput(options):
    """A backlog of AWS IoT messages, one a call, 64 at once, to a receiver with canned answers."""
    what = iot_throughput.__doc__
    return await _row(options, "iot", what, 20_000, topic="bench/{device_key}")
