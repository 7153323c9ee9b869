"""A real Mosquitto with an onlooker, and a broker that fails."""

import pytest
from integrations_counterparts import LOCAL, Bench
from mqtt_counterparts import Broker, FaultBroker, MqttReply, Onlooker

from wattwire.integrations import TYPES


@pytest.fixture
async def start_broker(tmp_path):
    """Start a Mosquitto with extra lines in its configuration."""
    started = []

    async def start(*lines, **more):
        folder = tmp_path / f"broker{len(started)}"
        folder.mkdir()
        broker = Broker(folder, *lines, **more)
        started.append(broker)
        await broker.start()
        return broker

    yield start
    for broker in started:
        broker.stop()


@pytest.fixture
async def mqtt_broker(start_broker):
    """A Mosquitto as it comes, but for its log."""
    return await start_broker()


@pytest.fixture
def onlooker(mqtt_broker):
    """A subscriber to everything on that broker."""
    onlooker = Onlooker(mqtt_broker.port)
    yield onlooker
    onlooker.close()


def every_other_refused():
    """Every other PUBLISH is refused for no stated reason."""
    count = iter(range(10_000))
    return lambda _request: MqttReply(answer=0 if next(count) % 2 == 0 else 0x80)


@pytest.fixture
def mqtt_bench(mqtt_broker, onlooker):
    """A Mosquitto, MQTT 5, QoS 1."""
    kind = TYPES["mqtt"]

    def aimed_at(url):
        return kind.settings(
            broker_url=url.replace("http", "mqtt", 1), username="hub", password="s3cr3t"
        )

    return Bench(
        kind=kind,
        surroundings=LOCAL,
        settings=aimed_at(f"mqtt://127.0.0.1:{mqtt_broker.port}"),
        received=onlooker.bodies,
        aimed_at=aimed_at,
        replies={
            "denied": MqttReply(connack=0x87),
            "broken": MqttReply(answer=0x83),
            "away": MqttReply(connack=0x88),
            "throttled": MqttReply(answer=0x97),
            "half": every_other_refused(),
            "taken": MqttReply(),
        },
        faults=FaultBroker(),
        speaks_http=False,
    )
