"""Hands a request to the router of its face, past those of all the others.

FastAPI tries its routers one after the other, and their routes; with a hundred routes that costs a
request more than what it asks for. Whose address tells the face is looked up there alone. What such
a router raises is answered by `bounds`, which lies around this.
"""

from fastapi import APIRouter, FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from wattwire.api.problems import SOLARNETWORK_PATHS


class Faces:
    """ASGI middleware: SolarNetwork's addresses are answered by its own routers."""

    def __init__(self, app: ASGIApp, *, owner: FastAPI, routers: tuple[APIRouter, ...]) -> None:
        self._app = app
        # A redirection would not fit the signature, which is of the path as it was sent.
        face = APIRouter(dependency_overrides_provider=owner, redirect_slashes=False)
        for router in routers:
            face.include_router(router)
        self._face = AsyncExitStackMiddleware(face)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"].startswith(SOLARNETWORK_PATHS):
            await self._face(scope, receive, send)
        else:
            await self._app(scope, receive, send)
