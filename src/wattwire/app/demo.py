"""What `serve --demo` adds: a simulated fleet, and a receiver that shows what arrives."""

import asyncio
import contextlib
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

import structlog
from aiohttp import web

from wattwire.app.keeping import Health, keep
from wattwire.endings import end
from wattwire.simulate.fleet import Login, run_demo
from wattwire.store import credentials, integrations, organizations
from wattwire.store.database import open_pool
from wattwire.store.passwords import hash_password, make_password

METERS: Final = "demo-meters"
EDGE: Final = "demo-edge"
METERS_TOPIC: Final = "demo/meters"
RECEIVER: Final = "Demo receiver"
TELL_SECONDS: Final = 10.0
TOPICS: Final = ("device.registered", "device.status", "datum/agg/update")

log = structlog.get_logger()


class Demo:
    """Runs beside the hub for as long as the context lasts."""

    def __init__(self, database_url: str, info: dict[str, Any]) -> None:
        self._database_url = database_url
        self._info = info
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._received = 0
        self._last: dict[str, Any] = {}
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        """Make the logins and the integration, start receiver and fleet."""
        url = await self._open_receiver()
        async with open_pool(self._database_url, role="demo", size=2) as pool:
            organization = await organizations.find_by_name(pool, None)
            if organization is None:
                raise LookupError("there is no organization")
            await _point_integration(pool, organization.id, url)
            meters = await _make_login(pool, organization.id, METERS, "smart_meter", METERS_TOPIC)
            edge = await _make_login(
                pool, organization.id, EDGE, "sparkplug_b", "spBv1.0/demo/#", "spBv1.0/demo/#"
            )
        health = Health()
        self._tasks = [
            asyncio.create_task(keep("demo_fleet", lambda: self._run_fleet(meters, edge), health)),
            asyncio.create_task(keep("demo_figures", self._tell_for_ever, health)),
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the fleet, then the receiver."""
        self._stop.set()
        await end(*self._tasks)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _open_receiver(self) -> str:
        app = web.Application(client_max_size=1024 * 1024)
        app.router.add_post("/", self._receive)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        return f"http://127.0.0.1:{port}/"

    async def _receive(self, request: web.Request) -> web.Response:
        with contextlib.suppress(ValueError):
            self._last = await request.json()
        self._received += 1
        return web.Response(text="thank you")

    async def _run_fleet(self, meters: Login, edge: Login) -> None:
        await run_demo(
            mqtts_port=self._info["mqtts_port"],
            ca_file=Path(self._info["ca_file"]),
            meters=meters,
            meters_topic=METERS_TOPIC,
            edge=edge,
            stop=self._stop,
        )

    async def _tell_for_ever(self) -> None:
        told = 0
        while True:
            await asyncio.sleep(TELL_SECONDS if told else 1.0)
            if self._received != told:
                told = self._received
                device = self._last.get("device") or {}
                print(  # noqa: T201 - what a person who tries the hub came to see
                    f"  delivered {told} messages so far; the last one: "
                    f"{self._last.get('event')} of {device.get('name')}",
                    flush=True,
                )


async def _make_login(
    pool: Any, organization_id: UUID, username: str, format_name: str, topic: str, reads: str = ""
) -> Login:
    """Make or renew a credential with a password of its own."""
    password = make_password()
    fields = credentials.CredentialFields(
        username=username,
        format=format_name,
        publish_topics=[topic],
        subscribe_topics=[reads] if reads else [],
        settings={},
        password_hash=await hash_password(password),
    )
    old = await credentials.find_by_username(pool, organization_id, username)
    if old is None:
        await credentials.create(pool, organization_id, fields)
    else:
        await credentials.replace(pool, organization_id, old.id, fields)
    return Login(username, password)


async def _point_integration(pool: Any, organization_id: UUID, url: str) -> None:
    """Make the integration that delivers to the receiver, or point it to where that is now."""
    fields = integrations.IntegrationFields(
        name=RECEIVER,
        topics=TOPICS,
        device_ids=None,
        stream_patterns=None,
        objects=None,
        format=None,
        format_settings={},
        settings={"type": "webhook", "url": url},
        secrets=None,
        rate_per_minute=None,
        max_concurrent=4,
        max_payload_bytes=1024 * 1024,
        outcomes={},
        schedule_seconds=None,
        max_age_seconds=3600,
        enabled=True,
    )
    old = await integrations.find_by_name(pool, organization_id, RECEIVER)
    if old:
        await integrations.replace(pool, organization_id, old[0].id, fields)
    else:
        await integrations.create(pool, organization_id, "webhook", fields)
