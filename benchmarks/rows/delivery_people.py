"""Events out to people, folded: digests by mail and in Slack, to receivers with canned answers."""

from benchmarks.rows.delivery import _drained, _throughput
from benchmarks.yardsticks import bare_people


def _unpaced(concurrent):
    """No rate: as fast as digests can be written."""
    return {"rate_per_minute": None, "max_concurrent": concurrent, "max_payload_bytes": None}


async def email_throughput(options):
    """A backlog of events in digests of up to 500, five connections, to a server that forgets."""

    def integration(target):
        return {
            "type": "email",
            "name": "bench",
            "topics": ["device.telemetry"],
            "settings": {
                "host": "127.0.0.1",
                "port": target.port,
                "tls": "none",
                "from_address": "hub@example.com",
                "to": ["ops@example.com"],
            },
            "limits": _unpaced(5),
        }

    drained = await _drained("smtp", integration, 10_000 if options.quick else 40_000)
    yardstick = await bare_people.mails(options, concurrent=5)
    return _throughput(
        "email_throughput", email_throughput.__doc__, drained, 1_000, 4_000, yardstick
    )


async def slack_throughput(options):
    """A backlog of events in digests of up to 500, one call at a time, to canned answers."""

    def integration(target):
        return {
            "type": "slack",
            "name": "bench",
            "topics": ["device.telemetry"],
            "settings": {"token": "xoxb-bench", "channel": "#bench", "api_url": target.url},
            "limits": _unpaced(1),
        }

    drained = await _drained("slack", integration, 10_000 if options.quick else 40_000)
    yardstick = await bare_people.posts(options)
    return _throughput(
        "slack_throughput", slack_throughput.__doc__, drained, 1_000, 4_000, yardstick
    )
