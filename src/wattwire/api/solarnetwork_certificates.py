"""`/api/v1/solarnetwork-certificates`: client certificates by which nodes upload to SolarIn."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field, field_validator
from starlette.responses import Response

from wattwire.api.client_certificates import MAX_PEM, read_certificate
from wattwire.api.fields import BIGINT, Body, DeviceId, Timestamp, View
from wattwire.api.identity import Authorized
from wattwire.api.once import Change, IdempotencyKey, change, once
from wattwire.api.paging import Cursors, CursorText, Limit, Page, page
from wattwire.api.problems import documented, invalid, not_found
from wattwire.store import devices
from wattwire.store import solarnetwork_certificates as certificates

router = APIRouter(prefix="/api/v1", tags=["users and tokens"])
_CURSORS = Cursors("solarnetwork-certificates", (), tuple[int])
_NOUN = "SolarNetwork certificate"
CertificateId = Annotated[int, Path(ge=1, le=BIGINT, description="The certificate's number.")]


class SolarNetworkCertificateView(View):
    """A client certificate that may upload for one node."""

    id: int = Field(description="Its number.", examples=[3])
    device_id: int = Field(description="The node: the device's number.", examples=[7])
    sha256: str = Field(description="SHA-256 of the certificate (DER), hex.", examples=["7f" * 32])
    subject: str = Field(description="Whom it names.", examples=["CN=node-7,UID=7"])
    created_at: Timestamp = Field(description="When it was allowed.")
    expires_at: Timestamp = Field(description="When it ends.")
    last_used_at: Timestamp | None = Field(description="When it was last used, to the minute.")
    revoked_at: Timestamp | None = Field(description="When it was revoked.")

    @field_validator("sha256", mode="before")
    @classmethod
    def _hex(cls, value: object) -> object:
        return value.hex() if isinstance(value, bytes) else value


class SolarNetworkCertificateCreate(Body):
    """A client certificate that an authority of your own has signed."""

    certificate: Annotated[str, Field(min_length=1, max_length=MAX_PEM)] = Field(
        description="The certificate, PEM; never its key.",
        examples=["-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n"],
    )


@router.get(
    "/solarnetwork-certificates",
    response_model=Page[SolarNetworkCertificateView],
    responses=documented(),
)
async def list_solarnetwork_certificates(
    call: Authorized, limit: Limit = 100, cursor: CursorText = None
) -> Any:
    """List client certificates of nodes, newest first, revoked ones included."""
    (before,) = _CURSORS.decode(cursor) or (None,)
    rows = await certificates.list_page(
        call.pool, call.organization_id, before=before, limit=limit + 1
    )
    return page(rows, limit, _CURSORS, lambda row: (row.id,))


@router.post(
    "/devices/{device_id}/solarnetwork-certificates",
    status_code=201,
    response_model=SolarNetworkCertificateView,
    responses=documented(404, 409),
)
async def create_solarnetwork_certificate(
    call: Authorized,
    device_id: DeviceId,
    body: SolarNetworkCertificateCreate,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Let a client certificate upload the readings of this device, and of no other.

    The hub must trust the authority that signed it: WATTWIRE_TLS_CLIENT_CA_FILE, or its own, with
    which `wattwire solarnetwork-certificate create` signs.
    """

    async def work(now: Change) -> SolarNetworkCertificateView:
        if await devices.find(now.db, call.organization_id, device_id) is None:
            raise not_found("device", device_id)
        try:
            read = read_certificate(body.certificate.encode(), device_id)
        except ValueError as error:
            raise invalid("certificate", str(error)) from None
        row = await certificates.create(
            now.db,
            call.organization_id,
            device_id=device_id,
            sha256=read.sha256,
            subject=read.subject,
            expires_at=read.expires_at,
        )
        detail = {"device_id": device_id, "sha256": read.sha256.hex()}
        await now.record("solarnetwork_certificate.created", row.id, detail)
        return SolarNetworkCertificateView.model_validate(row)

    return await once(call, idempotency_key, 201, work)


@router.get(
    "/solarnetwork-certificates/{certificate_id}",
    response_model=SolarNetworkCertificateView,
    responses=documented(404),
)
async def get_solarnetwork_certificate(call: Authorized, certificate_id: CertificateId) -> Any:
    """Show one client certificate of a node."""
    row = await certificates.find(call.pool, call.organization_id, certificate_id)
    if row is None:
        raise not_found(_NOUN, certificate_id)
    return row


@router.delete(
    "/solarnetwork-certificates/{certificate_id}", status_code=204, responses=documented(404)
)
async def revoke_solarnetwork_certificate(call: Authorized, certificate_id: CertificateId) -> None:
    """Refuse a client certificate from now on, over connections that are open as well."""

    async def work(now: Change) -> None:
        if await certificates.revoke(now.db, call.organization_id, certificate_id) is None:
            raise not_found(_NOUN, certificate_id)
        await now.record("solarnetwork_certificate.revoked", certificate_id)

    await change(call, work)
    app = call.request.app
    app.state.solarnetwork.forget("solarnetwork_certificate", str(certificate_id))
