"""Events out to an MQTT broker that acknowledges and forgets."""

from benchmarks.rows.delivery import UNLIMITED, _drained, _throughput
from benchmarks.yardsticks import bare_paho

IN_FLIGHT = 20


async def mqtt_throughput(options):
    """A backlog of MQTT 5 messages at QoS 1 on one connection, 20 unacknowledged at most."""

    def integration(target):
        return {
            "type": "mqtt",
            "name": "bench",
            "topics": ["device.telemetry"],
            "settings": {
                "broker_url": f"mqtt://127.0.0.1:{target.port}",
                "max_in_flight": IN_FLIGHT,
            },
            "limits": UNLIMITED,
        }

    drained = await _drained("mqtt", integration, 10_000 if options.quick else 40_000)
    yardstick = await bare_paho.messages(options, in_flight=IN_FLIGHT)
    return _throughput(
        "mqtt_throughput", mqtt_throughput.__doc__, drained, 4_000, 10_000, yardstick
    )
