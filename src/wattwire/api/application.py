"""The app: every resource, one error shape, one OpenAPI document."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from wattwire import __version__
from wattwire.api import (
    deliveries,
    devices,
    docs_page,
    events,
    health,
    integration_lifecycle,
    integration_previews,
    integrations,
    mqtt_credentials,
    organization,
    payload_formats,
    problems,
    quarantine,
    readings,
    resets,
    rollups,
    solarnetwork_certificates,
    solarnetwork_tokens,
    sources,
    tokens,
    users,
    write,
)
from wattwire.api.bounds import Bounds
from wattwire.api.configuration import routes as configuration
from wattwire.api.contract import Hub
from wattwire.api.cross_origin import CrossOrigin
from wattwire.api.describe import describe
from wattwire.api.faces import Faces
from wattwire.api.identity import Face, TokenMemory
from wattwire.api.live import LiveEvents
from wattwire.api.logins import LoginGuard
from wattwire.api.permissions import NEEDED, OPEN
from wattwire.solarnetwork import ROUTERS as SOLARNETWORK_ROUTERS
from wattwire.solarnetwork.access import GUARDS, Access

ROUTERS: Final[tuple[APIRouter, ...]] = (
    devices.router,
    readings.router,
    resets.router,
    write.router,
    rollups.router,
    quarantine.router,
    mqtt_credentials.router,
    sources.router,
    payload_formats.router,  # its preview before an integration's number
    integrations.router,
    integration_lifecycle.router,
    integration_previews.router,
    deliveries.router,
    events.router,
    organization.router,
    configuration.router,
    solarnetwork_tokens.router,
    solarnetwork_certificates.router,
    users.router,
    tokens.router,
    health.router,
    docs_page.router,
)


def create_app(hub: Hub) -> FastAPI:
    """Return the ASGI app of the hub; `app.state.face` has what must hear of changes."""
    check_permissions()
    app = _bare_app()
    live = LiveEvents(hub.pool)
    app.state.face = Face(hub, TokenMemory(hub.pool), live, LoginGuard())
    app.state.solarnetwork = Access(hub)
    problems.install(app)
    app.add_middleware(Faces, owner=app, routers=SOLARNETWORK_ROUTERS)
    app.add_middleware(Bounds)
    if hub.settings.solarnetwork_origins:
        app.add_middleware(CrossOrigin, origins=hub.settings.solarnetwork_origins)
    return app


def create_description() -> dict[str, Any]:
    """Return the OpenAPI document, without a hub."""
    return describe(_bare_app())


def _bare_app() -> FastAPI:
    app = FastAPI(
        title="Wattwire",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_close_live,
        generate_unique_id_function=lambda route: route.name,
    )
    for router in (*ROUTERS, *SOLARNETWORK_ROUTERS):
        app.include_router(router)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]  # FastAPI documents this way
    return app


def routes() -> list[APIRoute]:
    """Return every route of the API."""
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def check_permissions() -> None:
    """Raise ValueError unless the table of permissions has exactly the operations there are.

    Routes of SolarNetwork's API are not in it: each must ask for a signature of its own accord.
    """
    check_guards()
    names = [route.name for route in routes()]
    if len(set(names)) != len(names):
        raise ValueError(
            f"an operation is there twice: {sorted(n for n in names if names.count(n) > 1)}"
        )
    if set(names) != NEEDED.keys() | OPEN:
        raise ValueError(
            f"permissions and operations differ: {set(names) ^ (NEEDED.keys() | OPEN)}"
        )


def check_guards() -> None:
    """Raise ValueError for a route of SolarNetwork's API that anybody could call."""
    for router in SOLARNETWORK_ROUTERS:
        for route in router.routes:
            if not isinstance(route, APIRoute) or not GUARDS & set(_calls(route.dependant)):
                raise ValueError(f"{route} lets anybody in")


def _calls(dependant: Dependant) -> Iterator[Any]:
    """Return everything that is called before a route, however deep."""
    for inner in dependant.dependencies:
        yield inner.call
        yield from _calls(inner)


@asynccontextmanager
async def _close_live(app: Any) -> AsyncIterator[None]:
    yield
    await app.state.face.live.close()
