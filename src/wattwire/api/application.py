"""The app: every resource, one error shape, one OpenAPI document."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from wattwire import __version__
from wattwire.api import (
    deliveries,
    devices,
    docs_page,
    events,
    health,
    integrations,
    mqtt_credentials,
    organization,
    problems,
    quarantine,
    readings,
    rollups,
    sources,
    tokens,
    users,
    write,
)
from wattwire.api.bounds import Bounds
from wattwire.api.contract import Hub
from wattwire.api.describe import describe
from wattwire.api.identity import Face, TokenMemory
from wattwire.api.live import LiveEvents
from wattwire.api.logins import LoginGuard
from wattwire.api.permissions import NEEDED, OPEN

ROUTERS: Final[tuple[APIRouter, ...]] = (
    devices.router,
    readings.router,
    write.router,
    rollups.router,
    quarantine.router,
    mqtt_credentials.router,
    sources.router,
    integrations.router,
    deliveries.router,
    events.router,
    organization.router,
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
    problems.install(app)
    app.add_middleware(Bounds)
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
    for router in ROUTERS:
        app.include_router(router)
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]  # FastAPI documents this way
    return app


def routes() -> list[APIRoute]:
    """Return every route of the API."""
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def check_permissions() -> None:
    """Raise ValueError unless the table of permissions has exactly the operations there are."""
    names = [route.name for route in routes()]
    if len(set(names)) != len(names):
        raise ValueError(
            f"an operation is there twice: {sorted(n for n in names if names.count(n) > 1)}"
        )
    if set(names) != NEEDED.keys() | OPEN:
        raise ValueError(
            f"permissions and operations differ: {set(names) ^ (NEEDED.keys() | OPEN)}"
        )


@asynccontextmanager
async def _close_live(app: Any) -> AsyncIterator[None]:
    yield
    await app.state.face.live.close()
