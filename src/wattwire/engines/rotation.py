"""A new key for every secret: made, everything sealed with it, the old one removed.

While it goes on both keys are in the key file, so that every process opens what it finds; a crash
at any point leaves that state, and the next rotation finishes what this one began. The old key goes
only when nobody can still write with it: processes look at the key file before they seal, and calls
that sealed just before the new key was there have had time to end.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from wattwire.engines.errors import EngineError
from wattwire.engines.secrets import Sealer, SealError
from wattwire.store import sealed

#: Longer than any call of the API may take.
GRACE_SECONDS: Final = 65.0
_PASSES: Final = 10


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did."""

    key: str  #: names the key that everything is sealed with now; tells nothing about it
    continued: bool  #: it finished one that was begun before
    resealed: int
    unreadable: int  #: were sealed with a key that is lost: they have to be entered again


@dataclass(slots=True)
class _Count:
    resealed: int = 0
    unreadable: int = 0


async def rotate(
    connection: Any,
    sealer: Sealer,
    *,
    grace_seconds: float = GRACE_SECONDS,
    say: Callable[[str], None] = lambda _: None,
) -> Rotation:
    """Rotate the key. Raises EngineError when another rotation is under way."""
    async with sealed.alone(connection) as mine:
        if not mine:
            raise EngineError("Another rotation is under way: wait until it has ended")
        continued = sealer.key_count() > 1
        if not continued:
            sealer.add_key()
        say("finishing a rotation begun before" if continued else "a new key is made")
        count = _Count()
        await _reseal(connection, sealer, count)
        say(f"{count.resealed} sealed values have the new key")
        await _wait(sealer, grace_seconds, say)
        await _finish(connection, sealer, count)
    return Rotation(sealer.key_name(), continued, count.resealed, count.unreadable)


async def _finish(connection: Any, sealer: Sealer, count: _Count) -> None:
    """Seal what came meanwhile; drop the old key in a transaction that found nothing to seal.

    A commit that fails can then undo nothing that the old key would be needed for.
    """
    for _ in range(_PASSES):
        async with connection.transaction():
            await sealed.stop_writers(connection)
            if not await _reseal(connection, sealer, count):
                sealer.drop_old_keys()
                return
    raise EngineError(
        "Secrets were sealed with the old key all the time: run it again when the hub is idle"
    )


async def _reseal(connection: Any, sealer: Sealer, count: _Count) -> int:
    """Seal everything again; return how much there was to do."""

    def reseal(blob: bytes, context: str) -> bytes | None:
        try:
            return sealer.reseal(blob, context=context)
        except SealError:
            return None

    done = await sealed.reseal_all(connection, sealer.header, reseal)
    count.resealed += done.resealed
    count.unreadable = done.unreadable
    return done.resealed


async def _wait(sealer: Sealer, grace_seconds: float, say: Callable[[str], None]) -> None:
    left = sealer.changed_at() + grace_seconds - time.time()
    if left > 0:
        say(f"waiting {left:.0f} s for calls that began before")
        await asyncio.sleep(min(left, grace_seconds))
