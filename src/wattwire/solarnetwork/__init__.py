"""SolarNetwork's own API over this hub, for unmodified SolarNetwork clients."""

from typing import Final

from fastapi import APIRouter

from wattwire.solarnetwork import hooks, intake, offers, query

#: Each route of these asks for a signature (`access.GUARDS`); the API does not start otherwise.
ROUTERS: Final[tuple[APIRouter, ...]] = (
    hooks.router,
    offers.router,
    query.router,
    intake.router,
)
