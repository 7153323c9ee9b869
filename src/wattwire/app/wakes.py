"""Tells the owners of integrations, wherever they run, that messages wait for them.

A wake-up may be lost without harm: whoever delivers also looks by itself, only later.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

SUBJECT: Final = "wake.delivery"


class Wakes:
    """Collects the integrations of one turn of the event loop into one message."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._ids: set[int] = set()
        self._some = asyncio.Event()

    def wake(self, integration_ids: Iterable[int]) -> None:
        """Tell that these integrations have something to deliver."""
        self._ids.update(integration_ids)
        self._some.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            ids, self._ids = self._ids, set()
            if ids:
                await self._client.publish(SUBJECT, msgspec.msgpack.encode(sorted(ids)))


async def listen(client: Any, wake: Callable[[Iterable[int]], None]) -> Any:
    """Call `wake` with the ids that others tell of."""
    decode = msgspec.msgpack.Decoder(list[int]).decode

    async def heard(message: Any) -> None:
        wake(decode(message.data))

    return await client.subscribe(SUBJECT, cb=heard)
