"""Each process tells every other, twice a second, that it lives and what it counted."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from wattwire.app.keeping import Health

SUBJECT: Final = "hub.pulse"
EVERY_SECONDS: Final = 0.5
#: A process not heard for this long is taken to be gone.
SILENT_SECONDS: Final = 5.0
#: And is not spoken of any more after this long.
FORGOTTEN_SECONDS: Final = 600.0


class Pulse(msgspec.Struct, frozen=True):
    """What a process says of itself."""

    process: str
    owner: str
    roles: list[str]
    faults: dict[str, str]
    figures: dict[str, float]


async def tell_for_ever(
    client: Any,
    *,
    process: str,
    owner: str,
    roles: list[str],
    health: Health,
    figures: Callable[[], Mapping[str, float]],
) -> None:
    """Publish the pulse of this process until cancelled."""
    encode = msgspec.json.Encoder().encode
    while True:
        pulse = Pulse(process, owner, roles, dict(health.faults), dict(figures()))
        await client.publish(SUBJECT, encode(pulse))
        await asyncio.sleep(EVERY_SECONDS)


class Heard:
    """The last pulse of each process, by owner."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, Pulse]] = {}

    async def listen(self, client: Any) -> Any:
        """Subscribe to everybody's pulse."""
        decode = msgspec.json.Decoder(Pulse).decode

        async def hear(message: Any) -> None:
            pulse = decode(message.data)
            self._last[pulse.owner] = (time.monotonic(), pulse)

        return await client.subscribe(SUBJECT, cb=hear)

    def living(self) -> list[Pulse]:
        """Return the pulses of the processes heard lately."""
        now = time.monotonic()
        self._last = {o: p for o, p in self._last.items() if now - p[0] < FORGOTTEN_SECONDS}
        return [pulse for heard, pulse in self._last.values() if now - heard < SILENT_SECONDS]

    def roles(self) -> set[str]:
        """Return the roles that somebody living plays."""
        return {role for pulse in self.living() for role in pulse.roles}
