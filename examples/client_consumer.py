"""Print what devices publish on Sparkplug topics, with Wattwire's own subscriber.

    python examples/client_consumer.py mqtt://127.0.0.1:1883
    MQTT_PASSWORD=… python examples/client_consumer.py mqtts://hub.example.com --ca ca.pem \
        --username reader

It connects again by itself, and asks for births if it may (--rebirths).
"""

import argparse
import asyncio
import os
import sys

from wattwire.client import Broker, ClientError, Sample, subscribe


async def consume(options: argparse.Namespace) -> None:
    """Print values as they come, and everything else to standard error."""
    broker = Broker(
        url=options.url,
        ca_file=options.ca,
        username=options.username,
        password=os.environ.get("MQTT_PASSWORD"),
        version=options.version,
    )
    values = 0
    async with subscribe(broker, options.topic, request_rebirths=options.rebirths) as results:
        print("subscribed", file=sys.stderr)
        async for result in results:
            if not isinstance(result, Sample):
                print(result, file=sys.stderr)
                continue
            late = "late" if result.is_historical else ""
            print(result.time.isoformat(), result.key, result.name, result.value, result.unit, late)
            values += 1
            if values == options.count:
                return


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("url", help="mqtt://HOST[:PORT] or mqtts://HOST[:PORT]")
    parser.add_argument("--topic", default="spBv1.0/pm500/#")
    parser.add_argument("--ca", help="file of the CA, for mqtts")
    parser.add_argument("--username", help="the password is read from MQTT_PASSWORD")
    parser.add_argument("--version", choices=("3.1.1", "5"), default="3.1.1")
    parser.add_argument("--rebirths", action="store_true", help="ask for births: needs permission")
    parser.add_argument("--count", type=int, help="end after so many values")
    try:
        asyncio.run(consume(parser.parse_args()))
    except ClientError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
