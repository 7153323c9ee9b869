"""`/api/v1/configuration`: everything that people decided, as one document."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter
from pydantic import Field

from wattwire.api.configuration import whole
from wattwire.api.configuration.items import Step
from wattwire.api.fields import Body, View
from wattwire.api.identity import Authorized
from wattwire.api.once import Change, change
from wattwire.api.problems import documented

router = APIRouter(prefix="/api/v1/configuration", tags=["configuration"])

_URL: Final = "https://example.com/hooks"
_INTEGRATION: Final = {
    "type": "webhook",
    "name": "Energy desk",
    "topics": ["device.alert"],
    "settings": {"url": _URL, "secret_key": "${SECRET:WEBHOOK_ENERGY_DESK_SECRET_KEY}"},
}
_DOCUMENT: Final = {"wattwire": 1, "integrations": [_INTEGRATION]}
_VALUES: Final = {"SECRET:WEBHOOK_ENERGY_DESK_SECRET_KEY": "whsec_C2FVsBQIhrscChlQIMV+b5s"}
Entries = list[dict[str, Any]]
Count = Annotated[int, Field(ge=0)]


class ConfigurationView(View):
    """The document. Secrets are references; what is left at its default is there, too."""

    wattwire: Literal[1] = Field(description="Version of the document.", examples=[1])
    organization: dict[str, Any] = Field(
        description="How readings are treated.",
        examples=[{"auto_register": True, "detect_resets": False}],
    )
    devices: Entries = Field(
        description="Devices, and streams about which something was decided.",
        examples=[[{"key": "meter-1", "name": "Main meter", "time_zone": "Europe/Berlin"}]],
    )
    sources: Entries = Field(description="Other places that readings come from.", examples=[[]])
    integrations: Entries = Field(description="Where events go.", examples=[[_INTEGRATION]])
    mqtt_credentials: Entries = Field(
        description="Who may connect to the MQTT door; without passwords.", examples=[[]]
    )


class ConfigurationApply(Body):
    """A document, and what is to be done with it."""

    document: dict[str, Any] = Field(
        description="As it is exported; what is left out of an entry has its default. Sections "
        "that are left out stay as they are.",
        examples=[_DOCUMENT],
    )
    values: dict[str, Any] = Field(
        default={},
        description="What stands for references, by `SECRET:NAME`, `ENV:NAME` or `FILE:PATH`. "
        "Secrets that are not given stay as they are.",
        examples=[_VALUES],
    )
    dry_run: bool = Field(default=False, description="Only say what would be done.")
    prune: bool = Field(
        default=False,
        description="Delete the sources, integrations and MQTT credentials that the sections of "
        "the document do not name. Devices are never deleted.",
    )
    discard: bool = Field(
        default=False, description="Discard what is still queued for what is deleted."
    )


class FieldChangeView(View):
    """A field that changes."""

    field: str = Field(description="Its name.", examples=["settings.url"])
    before: Any = Field(description="What it was; null: not there.", examples=[None])
    after: Any = Field(description="What it will be; null: not there.", examples=[_URL])


class QueuedView(View):
    """What is still queued for an integration."""

    waiting: Count = Field(description="Messages in the queue.", examples=[5])
    in_flight: Count = Field(description="Messages being sent.", examples=[0])
    dead: Count = Field(description="Messages that were given up.", examples=[1])


class StepView(View):
    """One thing that is made, changed or deleted."""

    action: Literal["create", "update", "delete"] = Field(
        description="What is done.", examples=["create"]
    )
    kind: str = Field(description="To what.", examples=["integration"])
    name: str = Field(description="Its name.", examples=["webhook/Energy desk"])
    changes: list[FieldChangeView] = Field(description="Field by field; secrets are not shown.")
    queued: QueuedView | None = Field(description="What a deletion discards.", examples=[None])


class PlanView(View):
    """What was done, or would be."""

    applied: bool = Field(description="Whether it was done.", examples=[True])
    changes: Count = Field(description="How many things differ.", examples=[1])
    unchanged: Count = Field(description="How many things are as the document says.", examples=[0])
    steps: list[StepView] = Field(description="What was done, or would be.")


@router.get("", response_model=ConfigurationView, responses=documented(409))
async def export_configuration(call: Authorized) -> Any:
    """Show everything that people decided, as one document. Applied here, it changes nothing."""
    return await whole.export(call)


@router.post("", response_model=PlanView, responses=documented(409, 413))
async def apply_configuration(call: Authorized, body: ConfigurationApply) -> Any:
    """Make everything as a document says, all of it or nothing.

    Things are matched by name: devices by key, integrations by type and name, MQTT credentials by
    user name. The whole document is checked first, without the network, and every fault is told
    with its place in it.
    """

    async def work(now: Change) -> PlanView:
        at, steps, unchanged = await whole.plan(now, body.document, body.values, prune=body.prune)
        if body.dry_run:
            return _view(steps, unchanged, applied=False)
        if not body.discard:
            whole.refuse_to_discard(steps)
        await whole.carry_out(at, steps)
        if steps:
            counts = {"changes": len(steps), "unchanged": unchanged}
            await now.record("configuration.applied", call.organization_id, counts)
        return _view(steps, unchanged, applied=True)

    return await change(call, work)


def _view(steps: list[Step], unchanged: int, *, applied: bool) -> PlanView:
    return PlanView(
        applied=applied,
        changes=len(steps),
        unchanged=unchanged,
        steps=[StepView.model_validate(step) for step in steps],
    )
