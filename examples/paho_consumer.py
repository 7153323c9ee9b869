"""Print what devices publish on Sparkplug topics, with plain paho-mqtt and Wattwire's decoder.

    python examples/paho_consumer.py --host 127.0.0.1 --port 1883
    MQTT_PASSWORD=… python examples/paho_consumer.py --ca ca.pem --username reader

Any other MQTT library does as well: the decoder takes a topic and bytes.
"""

import argparse
import os
import sys

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from wattwire.client import Born, Decoder, Died, Gap, Refused, Result, Sample


def describe(result: Result) -> str:
    """Return a line for each kind of result."""
    match result:
        case Sample(key=key, name=name, value=value, unit=unit, time=time):
            return f"{time.isoformat()} {key} {name} {value} {unit}"
        case Born(edge_node=edge_node, device=device, metrics=metrics):
            return f"born: {edge_node}/{device} with {len(metrics)} metrics"
        case Died(edge_node=edge_node, device=device):
            return f"died: {edge_node}/{device}"
        case Gap(edge_node=edge_node, missing=missing):
            return f"{missing} messages of {edge_node} are missing"
        case Refused(reason=reason, topic=topic):
            return f"not understood: {topic}: {reason}"


def main() -> None:
    """Connect, subscribe, and print until the count is reached."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--topic", default="spBv1.0/pm500/#")
    parser.add_argument("--ca", help="file of the CA; TLS is used when it is given")
    parser.add_argument("--username", help="the password is read from MQTT_PASSWORD")
    parser.add_argument("--count", type=int, help="end after so many values")
    options = parser.parse_args()
    decoder, values = Decoder(), 0

    def on_connect(client: Client, _u: object, _f: object, reason: object, _p: object) -> None:
        print(f"connected: {reason}", file=sys.stderr)
        decoder.interrupted()  # what was published before is missing
        client.subscribe(options.topic, qos=1)

    def on_subscribe(_c: Client, _u: object, _m: int, reasons: list, _p: object) -> None:
        print(f"subscribed: {reasons[0]}", file=sys.stderr)

    def on_message(client: Client, _u: object, message: MQTTMessage) -> None:
        nonlocal values
        for result in decoder.decode(message.topic, message.payload):
            print(describe(result), flush=True)
            values += isinstance(result, Sample)
        if options.count is not None and values >= options.count:
            client.disconnect()

    client = Client(CallbackAPIVersion.VERSION2)
    client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
    if options.ca:
        client.tls_set(ca_certs=options.ca)
    if options.username:
        client.username_pw_set(options.username, os.environ["MQTT_PASSWORD"])
    client.connect(options.host, options.port)
    client.loop_forever()


if __name__ == "__main__":
    main()
