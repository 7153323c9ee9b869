"""Events out to InfluxDB, to a receiver that counts lines."""

from benchmarks.rows.delivery import UNLIMITED, _drained, _throughput
from benchmarks.yardsticks import bare_influx

CONCURRENT = 4


async def influxdb_throughput(options):
    """A backlog as line protocol, gzipped writes of up to 1,000 lines, four at once."""

    def integration(target):
        return {
            "type": "influxdb",
            "name": "bench",
            "topics": ["device.telemetry"],
            "settings": {
                "url": target.url.rstrip("/"),
                "org": "bench",
                "bucket": "bench",
                "token": "x" * 40,
            },
            "limits": UNLIMITED | {"max_concurrent": CONCURRENT},
        }

    drained = await _drained("influx", integration, 10_000 if options.quick else 60_000)
    yardstick = await bare_influx.lines(options, concurrent=CONCURRENT)
    what = influxdb_throughput.__doc__
    return _throughput("influxdb_throughput", what, drained, 8_000, 20_000, yardstick)
