"""What intake must know of organizations and devices before it reads a message; remembered."""

import asyncio
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wattwire.model import Decoded
from wattwire.store import registry

UTC_ZONE: Final = ZoneInfo("UTC")
MAX_DEVICES: Final = 200_000
REFRESH_SECONDS: Final = 2.0


class NotLoadedError(LookupError):
    """A device is not remembered yet: `load` it and read the message again."""

    def __init__(self, organization_id: UUID, device: str) -> None:
        super().__init__(device)
        self.organization_id = organization_id
        self.device = device
        self.decoded: Decoded | None = None  #: what was read before the device was missed


class Directory:
    """Answers from memory; `load` fetches many at once, `forget` follows changes."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._zones: dict[tuple[UUID, str], ZoneInfo | None] = {}  # None: no such device
        self._registers: dict[UUID, bool] = {}

    def zone(self, organization_id: UUID, device: str) -> ZoneInfo:
        """Return the zone of a device, UTC for one that is not there. Raises NotLoadedError."""
        try:
            return self._zones[organization_id, device] or UTC_ZONE
        except KeyError:
            raise NotLoadedError(organization_id, device) from None

    def takes(self, organization_id: UUID, device: str) -> bool:
        """Return whether readings of this device are taken: it is known, or may register itself.

        Raises NotLoadedError.
        """
        if organization_id not in self._registers:
            raise NotLoadedError(organization_id, device)
        if self._registers[organization_id]:
            return True
        try:
            return self._zones[organization_id, device] is not None
        except KeyError:
            raise NotLoadedError(organization_id, device) from None

    async def load(self, organization_id: UUID, devices: list[str]) -> None:
        """Fetch the policy of an organization and what is known of the devices named."""
        if len(self._zones) + len(devices) > MAX_DEVICES:
            self._zones.clear()
        async with self._pool.acquire(timeout=10) as connection:
            policy = await registry.find_organization(connection, organization_id)
            self._registers[organization_id] = policy is not None and policy["auto_register"]
            wanted = [(organization_id, device) for device in devices]
            found = await registry.find_devices(connection, wanted) if wanted else {}
        for key in wanted:
            self._zones[key] = _zone(found[key][1]) if key in found else None

    def forget(self, table: str, key: str) -> None:
        """Follow a configuration change."""
        del key
        if table in {"*", "organization"}:
            self._registers.clear()
        if table in {"*", "device"}:
            self._zones.clear()

    async def refresh_for_ever(self) -> None:
        """Look again, now and then, for devices that were not there: registration tells nobody."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            self._zones = {key: zone for key, zone in self._zones.items() if zone is not None}


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC_ZONE
