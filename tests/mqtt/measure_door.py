"""How many messages per second one process takes at the door, with a hub that releases at once.

    python tests/mqtt/measure_door.py [--qos 1] [--clients 32] [--messages 6000] [--profile]

Codec, session and door alone: nothing is decoded or stored. The load is `mosquitto_pub -l`, one
process per connection, 948 bytes per message. The figure to look at is the processor time of the
door per message, because the load generator takes more of the machine than the door does.
"""

import argparse
import asyncio
import cProfile
import json
import pstats
import sys
import tempfile
import time
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parent))
from memory_hub import MemoryHub, principal

from wattwire.mqtt.door import Door

PAYLOAD = json.dumps({"pad": ""}).replace('""', '"' + "x" * (948 - 11) + '"')


class InstantHub(MemoryHub):
    """Releases on the next turn of the loop, all together, like a commit."""

    def __init__(self):
        super().__init__([(principal(1, "meter"), b"secret")])
        self.count = 0

    def publish(self, principal, topic, payload, release):
        self.count += 1
        self.waiting.append(release)
        if len(self.waiting) == 1:
            asyncio.get_running_loop().call_soon(self.release)


async def publishers(door, arguments, lines):
    command = ["mosquitto_pub", "-p", str(door.ports.mqtt), "-u", "meter", "-P", "secret", "-l"]
    command += ["-q", str(arguments.qos)]
    started = []
    for number in range(arguments.clients):
        topic = ["-t", f"site/meter-{number}/telemetry", "-i", f"c{number}"]
        with Path(lines).open("rb") as stdin:
            started.append(await asyncio.create_subprocess_exec(*command, *topic, stdin=stdin))
    for process in started:
        await process.wait()


async def measure(arguments):
    hub = InstantHub()
    door = Door(hub)
    await door.start("127.0.0.1", 0)
    with tempfile.NamedTemporaryFile("w") as lines:
        lines.write((PAYLOAD + "\n") * arguments.messages)
        lines.flush()
        began, busy = time.perf_counter(), time.process_time()
        await publishers(door, arguments, lines.name)
        took, busy = time.perf_counter() - began, time.process_time() - busy
    totals = door.statistics().totals
    await door.stop()
    print(
        f"QoS {arguments.qos}, {arguments.clients} connections: {hub.count} messages, "
        f"{totals.acknowledgements_sent} acknowledged, {hub.count / took:,.0f}/s on the wall, "
        f"{busy / hub.count * 1e6:.1f} µs of processor each = {hub.count / busy:,.0f}/s per core"
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--qos", type=int, default=1)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--messages", type=int, default=6000)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    profile = cProfile.Profile()
    if arguments.profile:
        profile.enable()
    uvloop.run(measure(arguments))
    if arguments.profile:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(22)


if __name__ == "__main__":
    main()
