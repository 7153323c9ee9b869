"""The simulated fleet of `wattwire serve --demo`: enough to see readings arrive everywhere.

Five smart meters hand over the last 30 days, one day message every two seconds, and then a message
a day. Two Sparkplug edge nodes with two feeders each report every second.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from wattwire.simulate import smart_meters, sparkplug
from wattwire.simulate.destination import Destination, Tally, run_all, tls_context

METERS: Final = 5
EDGE_NODES: Final = 2
DAYS: Final = 30
SECONDS_PER_MESSAGE: Final = 2
DAY_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Login:
    """An MQTT credential of the hub."""

    username: str
    password: str = field(repr=False)


async def run_demo(
    *,
    mqtts_port: int,
    ca_file: Path,
    meters: Login,
    meters_topic: str,
    edge: Login,
    stop: asyncio.Event,
    host: str = "localhost",
    zone: str = "UTC",
    group: str = "demo",
    tally: Tally | None = None,
) -> None:
    """Run until `stop` is set, over TLS, coming back whenever the hub does.

    `meters` may publish `meters_topic` (format smart_meter), `edge` may publish `spBv1.0/{group}/#`
    (format sparkplug_b) and subscribe to `spBv1.0/{group}/NCMD/#`. Raises SourceError when the hub
    refuses a login or stays away for about three minutes.
    """
    tls, tally = tls_context(ca_file), tally or Tally()
    days = smart_meters.Plan(
        count=METERS,
        topic=meters_topic,
        days=DAYS,
        speed=DAY_SECONDS / (METERS * SECONDS_PER_MESSAGE),
        zone=ZoneInfo(zone),
        until_stopped=True,
        call_within_seconds=DAY_SECONDS,
    )
    live = sparkplug.Plan(count=EDGE_NODES, group=group, until_stopped=True)
    to_meters = Destination(host, mqtts_port, meters.username, meters.password, tls)
    to_edge = Destination(host, mqtts_port, edge.username, edge.password, tls)
    await run_all(
        [
            lambda: smart_meters.run(to_meters, days, tally, stop),
            lambda: sparkplug.run(to_edge, live, tally, stop),
        ]
    )
