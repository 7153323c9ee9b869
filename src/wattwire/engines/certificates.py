"""The hub's own certificates: a CA made once, and a server certificate renewed in time."""

import ipaddress
import socket
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wattwire.engines.errors import EngineError, explained
from wattwire.engines.private_files import prepare_folder, write_private

CA_LIFE: Final = timedelta(days=20 * 365)
#: Clients of today refuse server certificates that live longer than 398 days.
SERVER_LIFE: Final = timedelta(days=397)
CLIENT_LIFE: Final = timedelta(days=5 * 365)
RENEW_WITHIN: Final = timedelta(days=30)
#: Devices' clocks are behind ours now and then.
BACKDATED: Final = timedelta(days=1)
MAX_COMMON_NAME: Final = 64  # RFC 5280, ub-common-name-length


class CertificateError(EngineError):
    """A certificate or key cannot be used."""


class Certificates(NamedTuple):
    """Where the certificates are."""

    ca: Path
    server: Path  #: the server's certificate, then the CA's
    key: Path
    renewed: bool  #: the server's certificate was made or renewed by this call
    client_ca: Path | None = None  #: the hub's own CA, where it lets clients in by certificate


class Issued(NamedTuple):
    """A new certificate with its key, both PEM."""

    certificate: bytes
    key: bytes


def ensure_authority(folder: Path) -> Path:
    """Make the CA where there is none; return its certificate. Raises EngineError."""
    prepare_folder(folder)
    with explained(folder):
        _ensure_ca(folder)
    return folder / "ca.pem"


class _Signer(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure_certificates(folder: Path, names: Sequence[str] = ()) -> Certificates:
    """Make the CA and the server's certificate; renew the latter in time and when names changed.

    `names` are DNS names and addresses beside localhost and this host's own. Call it at start and
    once a day. Raises EngineError.
    """
    prepare_folder(folder)
    with explained(folder):
        signer = _ensure_ca(folder)
        wanted = _alternative_names(names)
        server, key = folder / "server.pem", folder / "server.key"
        renewed = not _is_good(server, key, signer, wanted)
        if renewed:
            issued = _issue(signer, _name("wattwire"), SERVER_LIFE, server_names=wanted)
            write_private(key, issued.key)  # first: a key without its certificate is made anew
            write_private(server, issued.certificate + _pem(signer.certificate), mode=0o644)
    return Certificates(folder / "ca.pem", server, key, renewed)


def issue_client_certificate(
    folder: Path, common_name: str, life: timedelta = CLIENT_LIFE, *, user_id: str | None = None
) -> Issued:
    """Return a certificate by which a client of that name shows itself. The key is kept nowhere.

    `user_id` is the UID of its subject, as SolarNetwork's nodes have it.
    """
    prepare_folder(folder)
    if not 1 <= len(common_name) <= MAX_COMMON_NAME:
        raise CertificateError(f"A certificate's name has 1 to {MAX_COMMON_NAME} characters")
    with explained(folder):
        subject = _name(common_name, user_id)
        return _issue(_ensure_ca(folder), subject, life, server_names=None)


def server_context(cert: Path, key: Path, *client_cas: Path) -> ssl.SSLContext:
    """Return a TLS 1.2+ server context; clients may show certificates of any of these CAs.

    A renewed pair is taken over by `context.load_cert_chain(cert, key)`. Raises CertificateError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(cert, key, password=_no_password)
        for client_ca in client_cas:
            context.load_verify_locations(cafile=client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
    except OSError as error:  # SSLError is one
        reason = getattr(error, "reason", None) or error.strerror or error
        paths = ", ".join(str(path) for path in (cert, key, *client_cas))
        raise CertificateError(
            f"The certificate cannot be used ({reason}): look at {paths}"
        ) from error
    return context


def _no_password() -> NoReturn:
    raise CertificateError("The certificate's key is locked with a password: give one without")


def _ensure_ca(folder: Path) -> _Signer:
    certificate, key = folder / "ca.pem", folder / "ca.key"
    if not certificate.exists():
        made = _make_ca()
        write_private(key, made.key)
        write_private(certificate, made.certificate, mode=0o644)
    return _load(certificate, key)


def _load(certificate: Path, key: Path) -> _Signer:
    """Read a pair. Raises CertificateError when it is missing half, damaged, or not a pair."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        secret = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (FileNotFoundError, ValueError, TypeError) as error:
        raise _broken(certificate, key) from error
    if not isinstance(secret, ec.EllipticCurvePrivateKey):
        raise _broken(certificate, key)
    if found.public_key() != secret.public_key():
        raise _broken(certificate, key)
    return _Signer(found, secret)


def _broken(certificate: Path, key: Path) -> CertificateError:
    return CertificateError(
        f"{certificate} and {key} do not belong together or are damaged: restore them, "
        "or delete both and give the new CA to every client"
    )


def _is_good(server: Path, key: Path, ca: _Signer, wanted: x509.SubjectAlternativeName) -> bool:
    """Whether the server's pair is whole, from this CA, for these names, and lasts long enough."""
    try:
        found = _load(server, key).certificate
        found.verify_directly_issued_by(ca.certificate)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (CertificateError, InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    now = datetime.now(UTC)
    lasts = found.not_valid_before_utc <= now and now + RENEW_WITHIN < found.not_valid_after_utc
    return lasts and set(names) == set(wanted)


def _alternative_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    every = ("localhost", "127.0.0.1", "::1", socket.gethostname(), *names)
    return x509.SubjectAlternativeName(
        [_general_name(name) for name in dict.fromkeys(every) if name]
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name if name.isascii() else name.encode("idna").decode())
    except ValueError as error:
        raise CertificateError(f"{name!r} is no name for a certificate") from error


def _make_ca() -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = _name(f"Wattwire CA {serial:x}"[:32])  # a name of its own, so that CAs are told apart
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(name, name, key.public_key(), CA_LIFE)
        .serial_number(serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return Issued(_pem(certificate), _key_pem(key))


def _issue(
    ca: _Signer,
    subject: x509.Name,
    life: timedelta,
    *,
    server_names: x509.SubjectAlternativeName | None,
) -> Issued:
    """Return a certificate for a server with these names, or for a client when there are none."""
    key = ec.generate_private_key(ec.SECP256R1())
    use = ExtendedKeyUsageOID.SERVER_AUTH if server_names else ExtendedKeyUsageOID.CLIENT_AUTH
    ca_id = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    ca_key_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_id)
    own_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        _builder(subject, ca.certificate.subject, key.public_key(), life)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        .add_extension(own_id, critical=False)
        .add_extension(ca_key_id, critical=False)
    )
    if server_names:
        builder = builder.add_extension(server_names, critical=False)
    return Issued(_pem(builder.sign(ca.key, hashes.SHA256())), _key_pem(key))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
    return builder.not_valid_before(now - BACKDATED).not_valid_after(now + life)


def _name(common_name: str, user_id: str | None = None) -> x509.Name:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if user_id is not None:
        names.insert(0, x509.NameAttribute(NameOID.USER_ID, user_id))
    return x509.Name(names)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
