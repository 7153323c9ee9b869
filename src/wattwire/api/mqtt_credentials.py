"""`/api/v1/mqtt-credentials`: who may connect to the MQTT door, and which topics are theirs."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field, field_validator
from starlette.responses import Response

from wattwire.api.fields import Body, Metadata, Password, RowId, Text, Timestamp, View
from wattwire.api.identity import Authorized
from wattwire.api.mqtt_filters import MAX_TOPICS, Format, find_faults
from wattwire.api.once import Change, IdempotencyKey, change, once
from wattwire.api.paging import Cursors, CursorText, Limit, Page, page
from wattwire.api.problems import Problem, documented, not_found
from wattwire.store import credentials
from wattwire.store.passwords import hash_password, make_password

router = APIRouter(prefix="/api/v1/mqtt-credentials", tags=["mqtt credentials"])
_CURSORS = Cursors("mqtt-credentials", (), int)

Username = Annotated[str, Field(min_length=1, max_length=255), Text]
Topics = Annotated[list[str], Field(max_length=MAX_TOPICS)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class CredentialView(View):
    """A user name of the MQTT door."""

    id: int = Field(description="Number of the credential.", examples=[3])
    username: str = Field(description="Its user name.", examples=["meter-1"])
    has_password: bool = Field(
        description="Whether it may come in with a password.", examples=[True]
    )
    certificate_sha256: str | None = Field(
        description="SHA-256 of the client certificate (DER) it is bound to, hex.",
        examples=[_SHA256],
    )
    format: Format = Field(description="How what it publishes is read.", examples=["smart_meter"])
    publish_topics: list[str] = Field(
        description="Topics or filters it may publish to.", examples=[["meters/1/day"]]
    )
    subscribe_topics: list[str] = Field(
        description="Topics or filters it may subscribe to.", examples=[["meters/1/commands"]]
    )
    settings: dict[str, Any] = Field(description="Of the format.", examples=[{}])
    created_at: Timestamp = Field(description="When it was made.")
    disabled_at: Timestamp | None = Field(description="When it was shut out; null: it may come in.")

    @field_validator("certificate_sha256", mode="before")
    @classmethod
    def _hex(cls, value: object) -> object:
        return value.hex() if isinstance(value, bytes) else value


class CredentialCreated(CredentialView):
    """A new credential. The password is shown this once."""

    password: str | None = Field(
        description="The password, if there is one.", examples=["Zk3vWm0q7NcX1rTgYb2eHd9u"]
    )


class CredentialCreate(Body):
    """A new credential."""

    username: Username = Field(description="Unique on the hub.", examples=["meter-1"])
    format: Format = Field(description="How what it publishes is read.", examples=["smart_meter"])
    publish_topics: Topics = Field(
        default=[],
        description="Exact topics, or filters with + and #.",
        examples=[["meters/1/day"]],
    )
    subscribe_topics: Topics = Field(
        default=[],
        description="Exact topics, or filters with + and #.",
        examples=[["meters/1/commands"]],
    )
    password: Password | None = Field(
        default=None,
        description="At least 12 characters; made up and shown once when left out.",
        examples=["Zk3vWm0q7NcX1rTgYb2eHd9u"],
    )
    certificate_sha256: Sha256 | None = Field(
        default=None,
        description="SHA-256 of a client certificate (DER), hex. With it and no password, only the "
        "certificate lets it in.",
        examples=[_SHA256],
    )
    settings: Metadata = Field(default={}, description="Of the format.", examples=[{}])


class CredentialUpdate(Body):
    """What to change; what is left out stays."""

    username: Username | None = Field(
        default=None, description="Its user name.", examples=["meter-1"]
    )
    format: Format | None = Field(default=None, description="How it is read.", examples=["json"])
    publish_topics: Topics | None = Field(
        default=None, description="Replaced whole.", examples=[["meters/1/day"]]
    )
    subscribe_topics: Topics | None = Field(
        default=None, description="Replaced whole.", examples=[[]]
    )
    password: Password | None = Field(
        default=None, description="A new password.", examples=["Zk3vWm0q7NcX1rTgYb2eHd9u"]
    )
    certificate_sha256: Sha256 | None = Field(
        default=None, description="Another certificate; null unbinds it.", examples=[_SHA256]
    )
    settings: Metadata | None = Field(default=None, description="Of the format.", examples=[{}])
    disabled: bool | None = Field(default=None, description="true shuts it out.", examples=[False])


@router.get("", response_model=Page[CredentialView], responses=documented())
async def list_mqtt_credentials(
    call: Authorized, limit: Limit = 100, cursor: CursorText = None
) -> Any:
    """List credentials by their number."""
    after = _CURSORS.decode(cursor) or 0
    rows = await credentials.list_page(
        call.pool, call.organization_id, after=after, limit=limit + 1
    )
    return page(rows, limit, _CURSORS, lambda row: row.id)


@router.post("", status_code=201, response_model=CredentialCreated, responses=documented(409))
async def create_mqtt_credential(
    call: Authorized, body: CredentialCreate, idempotency_key: IdempotencyKey = None
) -> Response:
    """Let somebody in at the MQTT door. It takes effect at once."""
    password = body.password or (None if body.certificate_sha256 else make_password())
    fields = credentials.CredentialFields(
        username=body.username,
        format=body.format,
        publish_topics=body.publish_topics,
        subscribe_topics=body.subscribe_topics,
        settings=body.settings,
        password_hash=await hash_password(password) if password else None,
        certificate_sha256=_bytes(body.certificate_sha256),
    )
    _check_topics(call, fields)

    async def work(now: Change) -> CredentialCreated:
        row = await credentials.create(now.db, call.organization_id, fields)
        await now.record("mqtt_credential.created", row.id, {"username": row.username})
        shown = CredentialView.model_validate(row).model_dump()
        return CredentialCreated(**shown, password=password)

    return await once(call, idempotency_key, 201, work)


def _bytes(sha256: str | None) -> bytes | None:
    return None if sha256 is None else bytes.fromhex(sha256)


def _check_topics(call: Authorized, fields: credentials.CredentialFields) -> None:
    faults = find_faults(
        fields.publish_topics, fields.subscribe_topics, fields.format, call.organization_id
    )
    if faults:
        errors = [{"field": f, "message": m, "rule": "topic"} for f, m in faults]
        raise Problem(422, f"{faults[0][0]} {faults[0][1]}.", errors=errors)


@router.get("/{credential_id}", response_model=CredentialView, responses=documented(404))
async def get_mqtt_credential(call: Authorized, credential_id: RowId) -> Any:
    """Show one credential, without its password."""
    row = await credentials.find(call.pool, call.organization_id, credential_id)
    if row is None:
        raise not_found("MQTT credential", credential_id)
    return row


@router.patch("/{credential_id}", response_model=CredentialView, responses=documented(404, 409))
async def update_mqtt_credential(
    call: Authorized, credential_id: RowId, body: CredentialUpdate
) -> Any:
    """Change a credential; open connections follow at once."""
    password_hash = await hash_password(body.password) if body.password else None

    async def work(now: Change) -> credentials.Credential:
        old = await credentials.find(now.db, call.organization_id, credential_id, lock=True)
        if old is None:
            raise not_found("MQTT credential", credential_id)
        fields = _changed(old, body, password_hash)
        _check_topics(call, fields)
        await now.record(
            "mqtt_credential.updated", credential_id, {"changed": sorted(body.model_fields_set)}
        )
        return await credentials.replace(now.db, call.organization_id, credential_id, fields)

    return await change(call, work)


def _changed(
    old: credentials.Credential, body: CredentialUpdate, password_hash: str | None
) -> credentials.CredentialFields:
    given = body.model_fields_set

    def keep(new: Any, kept: Any) -> Any:
        return kept if new is None else new

    certificate = (
        _bytes(body.certificate_sha256) if "certificate_sha256" in given else old.certificate_sha256
    )
    return credentials.CredentialFields(
        username=keep(body.username, old.username),
        format=keep(body.format, old.format),
        publish_topics=keep(body.publish_topics, old.publish_topics),
        subscribe_topics=keep(body.subscribe_topics, old.subscribe_topics),
        settings=keep(body.settings, old.settings),
        password_hash=password_hash,
        certificate_sha256=certificate,
        disabled=keep(body.disabled, old.disabled_at is not None),
    )


@router.delete("/{credential_id}", status_code=204, responses=documented(404))
async def delete_mqtt_credential(call: Authorized, credential_id: RowId) -> None:
    """Shut somebody out for good; open connections are closed."""

    async def work(now: Change) -> None:
        if not await credentials.delete(now.db, call.organization_id, credential_id):
            raise not_found("MQTT credential", credential_id)
        await now.record("mqtt_credential.deleted", credential_id)

    await change(call, work)
