"""The MQTT door in a process of its own."""

import asyncio
import errno
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wattwire.app import route
from wattwire.app.door import DoorHub
from wattwire.app.inlet import Inlet
from wattwire.app.offline import OfflineMessages
from wattwire.app.roles import Stage
from wattwire.app.sparkplug_host import SparkplugHostFace
from wattwire.engines.certificates import server_context
from wattwire.mqtt.door import Door
from wattwire.mqtt.limits import Limits
from wattwire.settings import Durability
from wattwire.sources.routing import Publisher, TopicDecoder
from wattwire.store import doors

REPLICAS = 3


class DoorError(Exception):
    """The door cannot be opened; the message says what to do."""


async def start(stage: Stage) -> None:
    """Open the door."""
    kit, settings = stage.kit, stage.kit.settings
    inlet = Inlet(stage)
    offline = OfflineMessages(
        kit.nats, replicas=REPLICAS if settings.durability is Durability.REPLICATED else 1
    )
    await offline.open()

    def ask_rebirth(publisher: Publisher, topic: str, payload: bytes) -> None:
        door.route(publisher.organization_id, topic, payload, 0, retain=False)

    decoder = TopicDecoder(ask_rebirth)
    hub = DoorHub(kit.pool, inlet.intake, inlet.directory, offline, decoder)
    door = Door(hub)
    await _open(door, stage)
    stage.at_end(door.stop)
    face = SparkplugHostFace(door, kit.pool, decoder, inlet.intake)
    stage.at_end(face.leave)
    stage.keep("sparkplug_host", face.run)
    stage.keep("door", door.wait)
    stage.ports |= {"mqtt_port": door.ports.mqtt, "mqtts_port": door.ports.mqtts}
    await _listen(kit.nats, door)

    revoked = Revoked(door, kit.pool)
    kit.watch.subscribe(revoked.forget)
    stage.keep("revocations", revoked.run)
    stage.count(lambda: _figures(door))


class Revoked:
    """Follows changes of credentials: connections end at once, sessions of the revoked as well."""

    def __init__(self, door: Door, pool: Any) -> None:
        self._door = door
        self._pool = pool
        self._changed: asyncio.Queue[int] = asyncio.Queue()

    def forget(self, table: str, key: str) -> None:
        """End the connections of a credential that was changed."""
        if table == "mqtt_credential":
            self._door.disconnect(int(key))
            self._changed.put_nowait(int(key))

    async def run(self) -> None:
        """Forget the lasting sessions of credentials that are gone or disabled."""
        while True:
            credential_id = await self._changed.get()
            if not await doors.is_standing(self._pool, credential_id):
                self._door.disconnect(credential_id, forget=True)


async def _open(door: Door, stage: Stage) -> None:
    settings = stage.kit.settings
    port = stage.orders.ports.get("mqtt_port", settings.mqtt_port)
    tls_port = stage.orders.ports.get("mqtts_port", settings.mqtts_port)
    try:
        await door.start(settings.mqtt_host, port, tls_port, _context(stage), _limits(stage))
    except OSError as error:
        if error.errno not in {errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL}:
            raise
        raise DoorError(
            f"The MQTT door cannot listen on {settings.mqtt_host}, ports {port} and {tls_port} "
            f"({os.strerror(error.errno)}): stop what has the port, or set WATTWIRE_MQTT_PORT and "
            "WATTWIRE_MQTTS_PORT (0 picks a free one)"
        ) from error


def _limits(stage: Stage) -> Limits:
    settings = stage.kit.settings
    return Limits(
        connections=settings.mqtt_max_connections,
        packet_bytes=settings.mqtt_max_packet_bytes,
        packets_per_second=settings.mqtt_max_packets_per_second,
    )


def _context(stage: Stage) -> Any:
    info, client_ca = stage.orders.info, stage.kit.settings.tls_client_ca_file
    client_cas = (client_ca,) if client_ca else ()
    return server_context(Path(info["cert_file"]), Path(info["key_file"]), *client_cas)


async def _listen(client: Any, door: Door) -> None:
    """Give the door what others want its subscribers to have: commands, alerts."""

    async def heard(message: Any) -> None:
        organization_id, topic = route.address_of(message.subject)
        payload, qos, retain = route.unpack(message.data)
        door.route(organization_id, topic, payload, qos, retain=retain)

    await client.subscribe(f"{route.PREFIX}.>", cb=heard)
    await asyncio.sleep(0)


def _figures(door: Door) -> dict[str, float]:
    statistics = asdict(door.statistics())
    totals = statistics.pop("totals")
    return {f"wattwire_mqtt_{name}_total": value for name, value in totals.items()} | {
        f"wattwire_mqtt_{name}_now": value for name, value in statistics.items()
    }
