"""`/healthz`, `/readyz`, `/metrics`: for whoever runs the hub; nothing of an organization."""

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import JSONResponse, PlainTextResponse, Response

from wattwire.api.fields import View
from wattwire.api.identity import face_of

router = APIRouter(tags=["health"])


class HealthView(View):
    """That the API answers."""

    status: Literal["ok"] = Field(description="Always ok.", examples=["ok"])


class CheckView(View):
    """One part of the hub."""

    name: str = Field(description="Which part.", examples=["database"])
    ok: bool = Field(description="Whether it works.", examples=[True])
    detail: str = Field(description="What is wrong, or empty.", examples=[""])


class ReadinessView(View):
    """Whether the hub does its work."""

    status: Literal["ok", "degraded"] = Field(
        description="Degraded: some part fails.", examples=["ok"]
    )
    checks: list[CheckView] = Field(description="Each part.")


@router.get("/healthz", response_model=HealthView)
async def get_health() -> Any:
    """Say that the process answers."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    response_model=ReadinessView,
    responses={503: {"model": ReadinessView, "description": "Some part fails; it is named."}},
)
async def get_readiness(request: Request) -> Response:
    """Look at each part of the hub now."""
    checks = await face_of(request).hub.status.readiness()
    ok = all(check.ok for check in checks)
    body = ReadinessView(
        status="ok" if ok else "degraded", checks=[CheckView.model_validate(c) for c in checks]
    )
    return JSONResponse(body.model_dump(), status_code=200 if ok else 503)


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={
        200: {
            "description": "Prometheus text format.",
            "content": {
                "text/plain": {
                    "schema": {"type": "string"},
                    "example": "wattwire_intake_readings_total 12345.0\n",
                }
            },
        }
    },
)
async def get_metrics(request: Request) -> Response:
    """Show the metrics in the Prometheus text format."""
    text = await face_of(request).hub.status.metrics()
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4; charset=utf-8")
