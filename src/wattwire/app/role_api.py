"""The API in the hub."""

import time
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from wattwire.api.application import create_app
from wattwire.api.contract import Hub, Undecoded
from wattwire.api.server import Secure, serve
from wattwire.app.inlet import Inlet
from wattwire.app.pulse import Heard
from wattwire.app.roles import Stage
from wattwire.app.status import Status
from wattwire.app.testing import IntegrationTester
from wattwire.intake.writer import LogUnavailableError
from wattwire.integrations import TYPES as INTEGRATION_TYPES
from wattwire.model import Decoded
from wattwire.sources import TYPES as SOURCE_TYPES
from wattwire.sources.routing import Publisher, TopicDecoder
from wattwire.store.directory import Directory, NotLoadedError

MAX_DEVICES = 1000


async def start(stage: Stage) -> None:
    """Serve the API."""
    kit, settings = stage.kit, stage.kit.settings
    inlet = Inlet(stage)
    heard = Heard()
    await heard.listen(kit.nats)
    hub = Hub(
        pool=kit.pool,
        settings=settings,
        sealer=kit.sealer,
        intake=inlet.intake,
        decode=Redecoder(inlet.directory).decode,
        test_integration=IntegrationTester(kit).test,
        status=Status(kit, heard, stage.orders.info.get("expected_roles", [])),
        integration_types=INTEGRATION_TYPES,
        source_types=SOURCE_TYPES,
        intake_errors=(LogUnavailableError,),
    )
    app = create_app(hub)
    kit.watch.subscribe(app.state.face.tokens.forget)
    kit.watch.subscribe(app.state.solarnetwork.forget)
    await _serve(stage, app)


async def _serve(stage: Stage, app: FastAPI) -> None:
    settings, ports = stage.kit.settings, stage.orders.ports
    served = await stage.stack.enter_async_context(
        serve(
            app,
            host=settings.http_host,
            port=ports.get("http_port", settings.http_port),
            secure=_secure(stage),
        )
    )
    stage.watch("api_server", served.task)
    stage.ports |= {"http_port": served.port}
    if served.https_port is not None:
        stage.ports |= {"https_port": served.https_port}


def _secure(stage: Stage) -> Secure | None:
    """Return how to listen with TLS; clients may show certificates of the hub's CA or another."""
    settings, info = stage.kit.settings, stage.orders.info
    port = stage.orders.ports.get("https_port", settings.https_port)
    if port is None:
        return None
    from wattwire.engines.certificates import server_context  # noqa: PLC0415 - memory, for this alone

    client_cas = [Path(info["client_ca_file"])] if info.get("client_ca_file") else []
    if settings.tls_client_ca_file:
        client_cas.append(settings.tls_client_ca_file)
    context = server_context(Path(info["cert_file"]), Path(info["key_file"]), *client_cas)
    return Secure(settings.https_host, port, context)


class Redecoder:
    """Reads the bytes of quarantine entries again."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def decode(self, entry: Undecoded) -> Decoded:
        """Read bytes as their source would. Raises RefusedError."""
        loaded: set[str] = set()
        while True:
            try:
                return self._decode(entry)
            except NotLoadedError as missing:
                if missing.device in loaded or len(loaded) >= MAX_DEVICES:
                    raise
                loaded.add(missing.device)
                await self._directory.load(entry.organization_id, [missing.device])

    def _decode(self, entry: Undecoded) -> Decoded:
        organization_id, origin = entry.organization_id, entry.origin

        def zone_of(device: str) -> Any:
            return self._directory.zone(organization_id, device)

        # Sparkplug data is read without the births that came before it: what was refused for want
        # of them is refused again, and births themselves can be fed back.
        decoder = TopicDecoder()
        return decoder.decode(
            origin.format,
            origin.topic,
            entry.raw,
            Publisher(organization_id, zone_of),
            time.time_ns() // 1000,
        )
