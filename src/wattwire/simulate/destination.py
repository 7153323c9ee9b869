"""Where simulated devices send to, and what came of it."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from wattwire.brokers import Will
from wattwire.simulate.clock import pause
from wattwire.sources._mqtt_peer import Peer
from wattwire.sources.contract import ConnectionLostError

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 10.0
ATTEMPTS: Final = 20  #: in a row; then it is not an outage but a mistake


@dataclass(frozen=True, slots=True)
class Destination:
    """A broker and the login that the simulated devices share."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None

    def peer(self, client_id: str, will: Will | None = None) -> Peer:
        """Return how one device connects: MQTT 3.1.1, clean session, as most devices do."""
        return Peer(
            host=self.host,
            port=self.port,
            client_id=client_id,
            tls=self.tls,
            username=self.username,
            password=self.password,
            lasting=False,
            will=will,
        )


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return TLS that trusts the CA given, or the system's. Raises OSError for a missing file."""
    return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)


@dataclass(slots=True)
class Tally:
    """What was sent and confirmed since the start; figures only rise, but for `connected`."""

    connected: int = 0
    connections: int = 0
    lost: int = 0
    sent: int = 0
    confirmed: int = 0
    resent: int = 0
    mistakes: int = 0
    births: int = 0

    def figures(self) -> dict[str, int]:
        """Return the figures by name."""
        return asdict(self)


async def keep_trying(
    visit: Callable[[], Awaitable[bool]], tally: Tally, stop: asyncio.Event
) -> None:
    """Call `visit` until it returns True or `stop` is set; after a pause when it was cut off.

    `visit` returns False when it got somewhere and wants to come again. After 20 failures in a row
    ConnectionLostError is raised, RefusedByPeerError at the first.
    """
    failures = 0
    while not stop.is_set():
        try:
            if await visit():
                return
            failures = 0
        except ConnectionLostError:
            tally.lost += 1
            failures += 1
            if failures >= ATTEMPTS:
                raise
            wait = min(FIRST_PAUSE_SECONDS * 2 ** (failures - 1), LONGEST_PAUSE_SECONDS)
            await pause(wait, stop)


async def run_all(devices: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Run all devices at once; the first error ends them all and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for device in devices:
                group.create_task(_as_coroutine(device))
    except ExceptionGroup as several:
        raise several.exceptions[0] from None


async def _as_coroutine(device: Callable[[], Awaitable[None]]) -> None:
    await device()
