"""`/solaruser/api/v1/sec/user/event/node/hooks`: integrations as SolarNetwork's event hooks.

A hook is an integration that writes the format `solarnetwork` and asks for one topic, whichever
face made it. What SolarNetwork's hooks do not have (limits, schedules, whether it is switched on)
stays as the native API has it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from wattwire.api.contract import Hub
from wattwire.api.fields import BIGINT, INTEGER
from wattwire.api.identity import face_of
from wattwire.integrations.contract import Presets
from wattwire.solarnetwork.access import Signed, UserSigned, refused
from wattwire.solarnetwork.envelope import (
    BAD_DATA,
    INTEGRITY,
    EnvelopeRoute,
    RefusedError,
    answer,
    check_json,
    illegal,
    not_found,
    stored_badly,
)
from wattwire.solarnetwork.masks import stays
from wattwire.solarnetwork.repeats import REPEATS, joined, parted
from wattwire.solarnetwork.services import Service, find_service, services_of
from wattwire.store import audit, integrations, ledger, replays, sealing, solarnetwork_hooks
from wattwire.store.integrations import IntegrationFields, IntegrationRow
from wattwire.store.solarnetwork_hooks import HookRow

router = APIRouter(
    prefix="/solaruser/api/v1/sec/user/event/node",
    route_class=EnvelopeRoute,
    include_in_schema=False,
)

FORMAT: Final = "solarnetwork"
_MAX_NAME: Final = 64
_MAX_SERVICE: Final = 128
_MAX_TOPIC: Final = 100
_MAX_SOURCE: Final = 64
_MAX_NODES: Final = 10_000
_MAX_SOURCES: Final = 100
_MAX_PROPERTIES: Final = 64 * 1024
_WAIT_SECONDS: Final = 10

HookId = Annotated[str, Path(description="The hook's number.")]


class Posted(msgspec.Struct, rename="camel"):
    """A hook as clients send it; what else they send is ignored."""

    id: int | None = None
    name: str | None = None
    topic: str | None = None
    node_ids: list[int] | None = None
    source_ids: list[str] | None = None
    service_identifier: str | None = None
    service_properties: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """One signed request, and what it is carried out with."""

    hub: Hub
    who: Signed
    services: Mapping[str, Service]

    @property
    def sealer(self) -> sealing.Sealer:
        """Return what seals the secrets of integrations."""
        return self.hub.sealer.bound(sealing.SEALING)

    async def record(self, db: Any, action: str, hook_id: int, detail: Mapping[str, Any]) -> None:
        """Write the audit row of a change."""
        await audit.record(
            db,
            self.who.organization_id,
            actor=self.who.actor,
            action=action,
            object=hook_id,
            detail=detail,
        )


def _desk(request: Request, who: Signed) -> Desk:
    hub = face_of(request).hub
    return Desk(hub, who, services_of(hub.integration_types))


@router.get("/hooks")
async def solaruser_list_hooks(request: Request, who: UserSigned) -> Response:
    """List the hooks that the token may see, by name."""
    desk = _desk(request, who)
    rows = await solarnetwork_hooks.list_all(desk.hub.pool, who.organization_id)
    return answer([view(desk, row) for row in rows if _may_see(who, row.integration)])


@router.get("/hooks/{hook_id}")
async def solaruser_get_hook(request: Request, who: UserSigned, hook_id: HookId) -> Response:
    """Show one hook."""
    desk = _desk(request, who)
    return answer(view(desk, await _find(desk.hub.pool, who, _number(hook_id))))


@router.post("/hooks")
async def solaruser_save_hook(request: Request, who: UserSigned) -> Response:
    """Create a hook, or replace the one whose id is given."""
    check_json(request)
    desk, posted = _desk(request, who), _decode(await request.body())
    _check(posted, who)
    async with desk.hub.pool.acquire(timeout=_WAIT_SECONDS) as db, db.transaction():
        if posted.id is None:
            hook_id = await _create(desk, db, posted)
        else:
            hook_id = await _replace(desk, db, posted, posted.id)
        row = await solarnetwork_hooks.find(db, who.organization_id, hook_id)
    if row is None:  # made in this transaction: it is there
        raise not_found()
    return answer(view(desk, row))


@router.delete("/hooks/{hook_id}")
async def solaruser_delete_hook(request: Request, who: UserSigned, hook_id: HookId) -> Response:
    """Delete a hook; what is queued for it is discarded."""
    desk, number = _desk(request, who), _number(hook_id)
    async with desk.hub.pool.acquire(timeout=_WAIT_SECONDS) as db, db.transaction():
        await _find(db, who, number, lock=True)
        discarded = await replays.purge_queue(db, number, ledger.DELETED)
        await integrations.delete(db, who.organization_id, number)
        await desk.record(db, "integration.deleted", number, {"discarded": discarded})
    return answer()


def _number(text: str) -> int:
    if not (text.isascii() and text.lstrip("-").isdigit() and len(text) <= len(str(BIGINT))):
        raise illegal(f"id must be a number, not {text[:40]}")
    return int(text)


async def _find(db: Any, who: Signed, number: int, *, lock: bool = False) -> HookRow:
    """Return a hook that the token may see. Raises RefusedError 404."""
    if not 0 < number <= INTEGER:
        raise not_found()
    row = await solarnetwork_hooks.find(db, who.organization_id, number, lock=lock)
    if row is None or not _may_see(who, row.integration):
        raise not_found()
    return row


def _may_see(who: Signed, row: IntegrationRow) -> bool:
    return who.policy.covers(row.device_ids, row.stream_patterns)


def _decode(body: bytes) -> Posted:
    try:
        return msgspec.json.decode(body, type=Posted, strict=False)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise RefusedError(422, f"Malformed JSON: {error}") from None


def _check(posted: Posted, who: Signed) -> None:
    """Raise RefusedError where SolarNetwork's binding and its columns would refuse."""
    for name, value in (("name", posted.name), ("serviceIdentifier", posted.service_identifier)):
        if value is None:
            raise _missing(name)
    if posted.topic is None:
        raise stored_badly(INTEGRITY)
    if not _fits(posted):
        raise stored_badly(BAD_DATA)
    if not who.policy.covers(posted.node_ids, posted.source_ids):
        raise refused(403, "ACCESS_DENIED")


def _missing(name: str) -> RefusedError:
    message = f"The {name} argument must not be null."
    error = {"location": name, "code": "NotNull", "message": message}
    return RefusedError(422, message, "VAL.00004", errors=[error])


def _fits(posted: Posted) -> bool:
    nodes, sources = posted.node_ids or (), posted.source_ids or ()
    properties = msgspec.json.encode(posted.service_properties or {})
    return (
        len(posted.name or "") <= _MAX_NAME
        and len(posted.service_identifier or "") <= _MAX_SERVICE
        and len(posted.topic or "") <= _MAX_TOPIC
        and len(nodes) <= _MAX_NODES
        and all(abs(node) <= BIGINT for node in nodes)
        and len(sources) <= _MAX_SOURCES
        and all(0 < len(source) <= _MAX_SOURCE for source in sources)
        and len(properties) <= _MAX_PROPERTIES
        and b"\\u0000" not in properties
    )


async def _create(desk: Desk, db: Any, posted: Posted) -> int:
    service = find_service(desk.services, posted.service_identifier or "")
    presets = service.kind.presets if service else Presets()
    fields = IntegrationFields(
        name="", topics=(), device_ids=None, stream_patterns=None, objects=None, format=FORMAT,
        format_settings={}, settings={}, secrets=None, rate_per_minute=presets.rate_per_minute,
        max_concurrent=presets.max_concurrent, max_payload_bytes=presets.max_payload_bytes,
        outcomes={}, schedule_seconds=None, max_age_seconds=604_800, enabled=True,
    )  # fmt: skip
    properties, repeats = parted(posted.service_properties)
    settings = _settings(desk, properties, service)
    fields = _filled(desk, fields, posted, settings, repeats=repeats)
    type_name = service.kind.name if service else posted.service_identifier or ""
    row = await integrations.create(db, desk.who.organization_id, type_name, fields)
    await solarnetwork_hooks.call_service(db, row.id, posted.service_identifier or "")
    await desk.record(db, "integration.created", row.id, {"name": row.name, "type": type_name})
    return row.id


async def _replace(desk: Desk, db: Any, posted: Posted, hook_id: int) -> int:
    old = (await _find(db, desk.who, hook_id, lock=True)).integration
    service = find_service(desk.services, posted.service_identifier or "")
    type_name = service.kind.name if service else posted.service_identifier or ""
    properties, repeats = parted(posted.service_properties)
    if properties and service and type_name == old.type:
        properties = _with_kept(properties, _properties(desk, old, service) or {}, service)
    was = IntegrationFields(**{n: getattr(old, n) for n in IntegrationFields.__dataclass_fields__})
    fields = _filled(desk, was, posted, _settings(desk, properties, service), repeats=repeats)
    await solarnetwork_hooks.change_type(db, desk.who.organization_id, hook_id, type_name)
    await integrations.replace(db, desk.who.organization_id, hook_id, fields)
    await solarnetwork_hooks.call_service(db, hook_id, posted.service_identifier or "")
    await desk.record(db, "integration.updated", hook_id, {"name": fields.name, "type": type_name})
    return hook_id


def _with_kept(
    posted: Mapping[str, Any], stored: Mapping[str, Any], service: Service
) -> dict[str, Any]:
    """Return posted properties with the stored secrets that they leave."""
    kept = {k: stored[k] for k in service.secure_keys if k in stored and stays(posted.get(k))}
    return {**posted, **kept}


def _filled(
    desk: Desk,
    fields: IntegrationFields,
    posted: Posted,
    settings: tuple[Any, bytes | None],
    *,
    repeats: bool,
) -> IntegrationFields:
    kept = {name: value for name, value in fields.format_settings.items() if name != REPEATS.key}
    told = {REPEATS.key: True} if repeats else {}
    return replace(
        fields,
        name=posted.name or "",
        topics=[posted.topic or ""],
        device_ids=posted.node_ids or None,
        stream_patterns=posted.source_ids or None,
        format_settings={**kept, "user_id": desk.who.user_id, **told},
        settings=settings[0],
        secrets=settings[1],
    )


def _settings(
    desk: Desk, properties: Mapping[str, Any] | None, service: Service | None
) -> tuple[Any, bytes | None]:
    """Return settings and sealed secrets. What no service knows may be a secret: it is sealed."""
    public, secret = service.stored(properties) if service and properties else ({}, properties)
    return public, sealing.seal_tree(dict(secret or {}), desk.sealer)


def _properties(desk: Desk, row: IntegrationRow, service: Service | None) -> dict[str, Any] | None:
    """Return the properties of a stored hook, secrets in clear; None when there are none."""
    if not row.settings and row.secrets is None:
        return None
    stored = sealing.join(row.settings, row.secrets, desk.sealer)
    return service.properties(stored) if service else stored


def view(desk: Desk, hook: HookRow) -> dict[str, Any]:
    """Return a hook as clients read it; what is null is left out."""
    row = hook.integration
    service = find_service(desk.services, row.type)
    properties = _properties(desk, row, service)
    masked = service.masked(properties) if service and properties else properties
    shown = {
        "id": row.id,
        "userId": desk.who.user_id,
        "created": created_text(row.created_at),
        "name": row.name,
        "topic": row.topics[0],
        "serviceIdentifier": hook.service_identifier or (service.id if service else row.type),
        "nodeIds": row.device_ids,
        "sourceIds": row.stream_patterns,
        "serviceProperties": joined(masked, row.format_settings),
    }
    return {name: value for name, value in shown.items() if value is not None}


def created_text(at: datetime) -> str:
    """Return an instant as `2020-06-16 03:04:04.82932Z`, the fraction only where there is one."""
    at = at.astimezone(UTC)
    fraction = f".{at.microsecond:06d}".rstrip("0") if at.microsecond else ""
    return f"{at:%Y-%m-%d %H:%M:%S}{fraction}Z"
