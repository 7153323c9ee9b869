"""What a client certificate says, before somebody allows it in. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

MAX_PEM: Final = 16 * 1024
_MAX_SUBJECT: Final = 1000
_ANY_USE: Final = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate that a client could show."""

    sha256: bytes  #: of the DER certificate
    subject: str  #: as RFC 4514 writes it
    expires_at: datetime


def read_certificate(pem: bytes, node_id: int) -> ClientCertificate:
    """Return what the first certificate of a PEM text says.

    Raises ValueError for what is none, for one that can let no client in, and for one whose subject
    names another node (the UID, as SolarNetwork's certificates have it) than the one meant.
    """
    try:
        found = x509.load_pem_x509_certificate(pem[:MAX_PEM])
    except ValueError:
        raise ValueError("must be a certificate in PEM") from None
    expires_at = found.not_valid_after_utc
    if expires_at <= datetime.now(UTC):
        raise ValueError(f"ended on {expires_at:%Y-%m-%d}")
    if not _is_for_clients(found):
        raise ValueError("is no client's certificate")
    named = {str(name.value) for name in found.subject.get_attributes_for_oid(NameOID.USER_ID)}
    if named - {str(node_id)}:
        raise ValueError(f"its subject's UID must be {node_id}, the node, where it has one")
    subject = found.subject.rfc4514_string().replace("\x00", "")[:_MAX_SUBJECT]
    return ClientCertificate(found.fingerprint(hashes.SHA256()), subject, expires_at)


def _is_for_clients(found: x509.Certificate) -> bool:
    """Tell whether it is no authority's, and its uses, where it names them, have ours."""
    try:
        limits = found.extensions.get_extension_for_class(x509.BasicConstraints).value
        if limits.ca:
            return False
    except x509.ExtensionNotFound:
        pass
    try:
        uses = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return bool(_ANY_USE & set(uses))
