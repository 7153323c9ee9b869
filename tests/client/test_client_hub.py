"""A whole hub: logins, an edge node that publishes, consumers at the door."""

import asyncio
import sys
from pathlib import Path

import pytest
from client_messages import DEVICE, NODE, device_birth, device_data, node_birth
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

sys.path.append(str(Path(__file__).parent.parent / "stories"))
from running_hub import RunningHub

from wattwire.client import Broker, Sample, subscribe
from wattwire.formats.sparkplug_b import decode_payload

PATIENCE = 30
FILTER = "spBv1.0/pm500/#"


@pytest.fixture
async def hub(tmp_path):
    made = RunningHub(tmp_path, LOG_LEVEL="warning")
    await made.start()
    yield made
    await made.stop()


class EdgeNode:
    """An edge node at the hub's door, by paho; it is born again when it is asked to."""

    def __init__(self, hub, login):
        self.asked = 0
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="edge-1")
        self.client.tls_set(ca_certs=hub.info["ca_file"])
        self.client.username_pw_set(login["username"], login["password"])
        self.client.on_connect = lambda *_: self.client.subscribe(NODE.format("NCMD"), 1)
        self.client.on_message = self._hear
        self.client.connect("127.0.0.1", hub.info["mqtts_port"])
        self.client.loop_start()

    def _hear(self, _client, _userdata, message):
        (metric,) = decode_payload(message.payload).metrics
        self.asked += metric.name == "Node Control/Rebirth"
        self.say("NBIRTH", NODE, node_birth())
        self.say("DBIRTH", DEVICE, device_birth())

    def say(self, kind, topic, payload):
        self.client.publish(topic.format(kind), payload, qos=1)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


async def test_consumers_at_a_hub(hub):
    """One who may ask for births gets names for aliases at once; one who may not, with it."""
    ncmd = NODE.format("NCMD")
    may = {"edge": ([FILTER], [ncmd]), "asking": ([ncmd], [FILTER]), "silent": ([], [FILTER])}
    async with hub.api() as api:
        logins = {
            name: await api.post(
                "/api/v1/mqtt-credentials",
                {"username": name, "format": "sparkplug_b",
                 "publish_topics": publish, "subscribe_topics": subscribed},
            )
            for name, (publish, subscribed) in may.items()
        }  # fmt: skip
    edge = EdgeNode(hub, logins["edge"])

    def broker(name):
        return Broker(
            url=f"mqtts://127.0.0.1:{hub.info['mqtts_port']}", ca_file=hub.info["ca_file"],
            username=name, password=logins[name]["password"],
        )  # fmt: skip

    async def named(results):
        async for result in results:
            if isinstance(result, Sample) and not result.is_birth:
                return result
        return None

    async with (
        subscribe(broker("asking"), FILTER, request_rebirths=True) as asking,
        subscribe(broker("silent"), FILTER) as silent,
    ):
        both = [asyncio.create_task(named(results)) for results in (asking, silent)]
        async with asyncio.timeout(PATIENCE):
            seq = 1
            while not all(task.done() for task in both):
                seq = seq + 1 if edge.asked else 1
                edge.say("DDATA", DEVICE, device_data(seq, value=481.5))
                await asyncio.wait(both, timeout=0.2)
    edge.close()

    assert [("pm500/edge-1/pm-7", "voltageAN", 481.5, "V")] * 2 == [
        (s.key, s.name, s.value, s.unit) for s in (task.result() for task in both)
    ]
    assert edge.asked
