"""Events out to platforms of devices: one row for each, to a receiver with canned answers."""

from benchmarks.rows.delivery import CONCURRENT, UNLIMITED, _drained, _throughput
from benchmarks.yardsticks import bare_platforms

#: A policy's key of nobody.
CONNECTION = "HostName=bench.azure-devices.net;SharedAccessKeyName=device;SharedAccessKey=YmVuY2g="


async def _row(options, kind, what, count, floor, aim, *, receiver, settings_of):
    def integration(target):
        return {
            "type": kind,
            "name": "bench",
            "topics": ["device.telemetry"],
            "settings": settings_of(target.url.rstrip("/")),
            "limits": UNLIMITED,
        }

    drained = await _drained(receiver, integration, count // 6 if options.quick else count)
    yardstick = await bare_platforms.calls(options, kind=receiver, concurrent=CONCURRENT)
    return _throughput(f"{kind}_throughput", what, drained, floor, aim, yardstick)


async def gcp_pubsub_throughput(options):
    """A backlog of Pub/Sub messages, up to 1,000 a call, to a receiver with canned answers."""
    return await _row(
        options,
        "gcp_pubsub",
        gcp_pubsub_throughput.__doc__,
        60_000,
        8_000,
        20_000,
        receiver="pubsub",
        settings_of=lambda url: {"topic": "projects/bench/topics/bench", "endpoint_url": url},
    )


async def azure_iot_throughput(options):
    """A backlog of IoT Hub messages of 64 devices, one device a call, to canned answers."""
    return await _row(
        options,
        "azure_iot",
        azure_iot_throughput.__doc__,
        20_000,
        1_000,
        4_000,
        receiver="azure_iot",
        settings_of=lambda url: {"connection_string": CONNECTION, "endpoint_url": url},
    )


async def golioth_throughput(options):
    """A backlog of Golioth's calls of devices, one a message, 64 at once, to canned answers."""
    return await _row(
        options,
        "golioth",
        golioth_throughput.__doc__,
        20_000,
        1_000,
        3_000,
        receiver="golioth",
        settings_of=lambda url: {
            "api_key": "bench",
            "project_id": "bench",
            "base_url": url,
            "device_match": "id",
            # not state: of that, only the newest for a device would have to be sent
            "call": "rpc",
            "rpc_method": "on_event",
        },
    )
