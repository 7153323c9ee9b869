"""`wattwire serve`: engines, processes, and the one who watches them."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from wattwire import __version__
from wattwire.app import pulse
from wattwire.app.first_start import Owner, ensure_owner, make_demo_token
from wattwire.app.keeping import Health, keep
from wattwire.app.kit import NatsUnreachableError, connect_nats, owner_name
from wattwire.app.logs import configure_logs
from wattwire.app.places import Places, open_places
from wattwire.app.process import Child, ChildFailedError, Orders
from wattwire.endings import end
from wattwire.engines.certificates import Certificates, ensure_authority, ensure_certificates
from wattwire.engines.datadir import DataDir
from wattwire.engines.errors import EngineError
from wattwire.engines.private_files import write_private
from wattwire.engines.secrets import Sealer
from wattwire.settings import Settings
from wattwire.store.database import DatabaseError, migrate

ROLES: Final = ("door", "sources", "pipeline", "delivery", "api")
#: Which roles share a process. Each more costs some 40 MB.
ALONE: Final = (ROLES,)
FEW: Final = (("door", "sources"), ("pipeline",), ("delivery", "api"))
MANY: Final = (("door", "sources"), ("pipeline",), ("delivery",), ("api",))
MANY_CORES: Final = 4
#: Hosts that are no name.
EVERYWHERE: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on
#: How long a start waits for the first sign of life of each role.
HEARD_SECONDS: Final = 5.0
#: How long a start that is given up may take to undo itself, and how long before it is told again:
#: an engine that is just starting is ended first, for up to 20 s.
STOP_SECONDS: Final = 60.0
AGAIN_SECONDS: Final = 30.0

log = structlog.get_logger()


class StartError(Exception):
    """The hub cannot start; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Running:
    """A hub that is ready."""

    info: dict[str, Any]
    owner: Owner | None
    demo_token: str | None


def serve(
    settings: Settings,
    *,
    roles: Sequence[str] = ROLES,
    demo: bool = False,
    ready_file: Path | None = None,
) -> int:
    """Run the hub until SIGTERM or SIGINT; return the exit code."""
    if demo:
        # The receiver listens on loopback, and what a person came to see is printed, not logged.
        allowed = (*settings.webhook_allow, ip_network("127.0.0.1/32"))
        settings = settings.model_copy(update={"webhook_allow": allowed, "log_level": "warning"})
    configure_logs(settings.log_level, process="serve")
    try:
        asyncio.run(_serve(settings, roles, demo=demo, ready_file=ready_file))
    except (
        StartError,
        EngineError,
        DatabaseError,
        NatsUnreachableError,
        ChildFailedError,
    ) as error:
        print(f"wattwire: {error}", file=sys.stderr)  # noqa: T201 - the answer to a command
        return 1
    return 0


async def _serve(
    settings: Settings, roles: Sequence[str], *, demo: bool, ready_file: Path | None
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        starting = asyncio.create_task(_start(settings, roles, stack, demo=demo))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            await end(starting, seconds=STOP_SECONDS, again_seconds=AGAIN_SECONDS)
            return
        running = starting.result()
        if ready_file is not None:
            write_private(ready_file, msgspec.json.encode(running.info))
            stack.callback(ready_file.unlink, missing_ok=True)
        _greet(settings, running)
        await stopped
        log.info("app.stopping")


async def _start(
    settings: Settings, roles: Sequence[str], stack: AsyncExitStack, *, demo: bool
) -> Running:
    folder = stack.enter_context(DataDir(settings.data_dir))
    _check_external(settings)
    parts = Parts()
    places = await stack.enter_async_context(open_places(settings, folder, parts.note))
    await _check_engines(places)
    await _migrate(places.database_url)
    owner = await ensure_owner(places.database_url, settings)
    key_file = _key_file(settings, folder)
    Sealer.open(key_file)
    certificates = _certificates(settings, folder)
    ports = await _start_children(
        settings, roles, places, key_file, certificates, parts.note, stack
    )
    await _all_heard(places.nats_url, roles)
    telling = asyncio.create_task(
        keep("pulse", lambda: parts.tell_for_ever(places.nats_url), parts.health)
    )
    stack.push_async_callback(end, telling)
    info = _info(settings, folder, places, certificates, ports)
    private = {
        "database_url": places.database_url,
        "nats_url": places.nats_url,
        "secret_key_file": str(key_file),
    }
    folder.write_hub_info(info | private)
    token = None
    if demo:
        from wattwire.app.demo import Demo  # noqa: PLC0415 - a web server, for this alone

        token = await make_demo_token(places.database_url)
        await stack.enter_async_context(Demo(places.database_url, info))
    return Running(info, owner, token)


def _key_file(settings: Settings, folder: DataDir) -> Path:
    return settings.secret_key_file.absolute() if settings.secret_key_file else folder.secret_key


def _check_external(settings: Settings) -> None:
    if settings.durability == "replicated" and settings.nats_url is None:
        raise StartError(
            "durability 'replicated' needs a NATS cluster of three or more: set WATTWIRE_NATS_URL"
        )


async def _check_engines(places: Places) -> None:
    client = await connect_nats(places.nats_url, name="wattwire-serve")
    await client.close()


async def _migrate(database_url: str) -> None:
    try:
        await migrate(database_url)
    except (
        OSError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        TimeoutError,
        ValueError,
    ) as error:
        raise DatabaseError(
            f"PostgreSQL cannot be used: {error or type(error).__name__}"
        ) from error


def _certificates(settings: Settings, folder: DataDir) -> Certificates:
    """Return the server's certificates; with HTTPS, nodes may show ones of the hub's own CA."""
    found = _server_certificates(settings, folder)
    if settings.https_port is None:
        return found
    return found._replace(client_ca=ensure_authority(folder.tls))


def _server_certificates(settings: Settings, folder: DataDir) -> Certificates:
    if settings.tls_cert_file is not None and settings.tls_key_file is not None:
        return Certificates(
            ca=settings.tls_cert_file,
            server=settings.tls_cert_file,
            key=settings.tls_key_file,
            renewed=False,
        )
    host = settings.https_host
    return ensure_certificates(folder.tls, () if host in EVERYWHERE else (host,))


async def _start_children(
    settings: Settings,
    roles: Sequence[str],
    places: Places,
    key_file: Path,
    certificates: Certificates,
    on_state: Callable[[str, bool, str], None],
    stack: AsyncExitStack,
) -> dict[str, int]:
    told = settings.model_dump(
        mode="json", exclude={"database_url", "nats_url", "admin_password"}, exclude_none=True
    )
    ports: dict[str, int] = {}
    starts = []
    for group in _groups(settings, roles):
        orders = Orders(
            process="-".join(group),
            roles=list(group),
            settings=told,
            database_url=places.database_url,
            nats_url=places.nats_url,
            secret_key_file=str(key_file),
            ports={},
            info={
                "ca_file": str(certificates.ca.absolute()),
                "cert_file": str(certificates.server.absolute()),
                "key_file": str(certificates.key.absolute()),
                "client_ca_file": str(certificates.client_ca or ""),
                "expected_roles": list(roles),
            },
        )
        child = Child(orders, on_state)
        stack.push_async_callback(child.stop)
        starts.append(child.start())
    for found in await asyncio.gather(*starts):
        ports |= found
    return ports


def _groups(settings: Settings, roles: Sequence[str]) -> list[tuple[str, ...]]:
    """Return which roles share a process, leaving out those that are not played here."""
    if unknown := set(roles) - set(ROLES):
        raise StartError(f"there is no role {min(unknown)}; there are {', '.join(ROLES)}")
    cores = os.cpu_count() or 1
    wanted = settings.processes
    if wanted == 1 or (wanted == 0 and cores == 1):
        plan: Sequence[Sequence[str]] = ALONE
    elif wanted >= len(MANY) or (wanted == 0 and cores >= MANY_CORES):
        plan = MANY
    else:
        plan = FEW
    played = [tuple(role for role in group if role in roles) for group in plan]
    return [group for group in played if group]


async def _all_heard(nats_url: str, roles: Sequence[str]) -> None:
    """Wait a moment until every role has told that it lives: `/readyz` and `/metrics` are whole."""
    client = await connect_nats(nats_url, name="wattwire-serve")
    heard = pulse.Heard()
    await heard.listen(client)
    try:
        async with asyncio.timeout(HEARD_SECONDS):
            while not set(roles) <= heard.roles():  # noqa: ASYNC110 - a bounded look at what others say
                await asyncio.sleep(0.02)
    except TimeoutError:
        log.warning("app.roles_not_heard", missing=sorted(set(roles) - heard.roles()))
    finally:
        await client.close()


class Parts:
    """What the parent watches: engines and processes. Its faults are part of every `/readyz`."""

    def __init__(self) -> None:
        self.health = Health()

    def note(self, name: str, healthy: bool, detail: str) -> None:  # noqa: FBT001 - a callback
        """Hear that a part came or went."""
        stopped = detail == "stopped"
        self.health.set(name, "" if healthy or stopped else detail or "does not answer")
        if not healthy and not stopped:
            log.error("app.part_failed", part=name, detail=detail)

    async def tell_for_ever(self, nats_url: str) -> None:
        """Tell the other processes what is wrong, until cancelled."""
        client = await connect_nats(nats_url, name="wattwire-serve")
        try:
            await pulse.tell_for_ever(
                client,
                process="serve",
                owner=owner_name(),
                roles=[],
                health=self.health,
                figures=dict,
            )
        finally:
            await client.close()


def _info(
    settings: Settings,
    folder: DataDir,
    places: Places,
    certificates: Certificates,
    ports: dict[str, int],
) -> dict[str, Any]:
    del places
    http, https = ports.get("http_port"), ports.get("https_port")
    host = settings.https_host
    secure = {"https_url": f"https://{f'[{host}]' if ':' in host else host}:{https}"}
    return {
        "pid": os.getpid(),
        "http_url": f"http://{settings.http_host}:{http}" if http else None,
        **(secure if https else {}),
        "mqtt_port": ports.get("mqtt_port"),
        "mqtts_port": ports.get("mqtts_port"),
        "ca_file": str(certificates.ca.absolute()),
        "data_dir": str(folder.path),
    }


def _greet(settings: Settings, running: Running) -> None:
    """Print where to look. This is what a person sees first."""
    info = running.info
    lines = [
        f"Wattwire {__version__} is ready.",
        f"  Data        {info['data_dir']}",
        f"  API         {info['http_url']}/api/docs" if info["http_url"] else "",
        f"  HTTPS       {info['https_url']}" if "https_url" in info else "",
        f"  MQTT        {settings.mqtt_host}:{info['mqtt_port']} (plain), "
        f"{info['mqtts_port']} (TLS)"
        if info["mqtts_port"]
        else "",
        f"  CA          {info['ca_file']}" if info["mqtts_port"] or "https_url" in info else "",
    ]
    if running.owner is not None and running.owner.made_password:
        lines.append(
            f"  Owner       {running.owner.email}, password {running.owner.made_password} "
            "(shown this once)"
        )
    if running.demo_token:
        lines += [
            (
                f"  Look        curl -H 'Authorization: Bearer {running.demo_token}'"
                f" {info['http_url']}/api/v1/devices"
            ),
            "A simulated fleet reports; what it causes is delivered to a receiver in this process.",
        ]
    lines.append("  Stop        Ctrl-C")
    print("\n".join(line for line in lines if line), flush=True)  # noqa: T201 - as its docstring says
