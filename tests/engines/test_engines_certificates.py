"""Certificates, proven by real handshakes and by openssl."""

import shutil
import socket
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from wattwire.engines import certificates
from wattwire.engines.certificates import (
    CertificateError,
    ensure_authority,
    ensure_certificates,
    issue_client_certificate,
    server_context,
)


@pytest.fixture
def tls(folder):
    return folder / "tls"


@pytest.fixture
def made(tls):
    return ensure_certificates(tls, ["hub.example.com", "192.0.2.7", "zähler.example"])


def shake(server, client, name):
    """Do a handshake over a socket pair; return (what the client made of it, the client's name)."""
    ours, theirs = socket.socketpair()
    seen = {}

    def serve():
        try:
            with server.wrap_socket(theirs, server_side=True) as secured:
                secured.recv(1)
                seen["certificate"] = secured.getpeercert()
        except OSError as error:
            seen["error"] = error

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=name) as secured:
            secured.sendall(b"x")
            version = secured.version()
    finally:
        ours.close()
        thread.join(timeout=10)
        theirs.close()
    return version, seen


def trusting(ca):
    context = ssl.create_default_context(cafile=ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.mark.parametrize(
    "name",
    ["localhost", "127.0.0.1", "::1", socket.gethostname(), "hub.example.com", "192.0.2.7"],
)
def test_clients_that_trust_the_ca_accept_every_name(made, name):
    """A strict client reaches the hub by each of its names."""
    version, _ = shake(server_context(made.server, made.key), trusting(made.ca), name)

    assert "TLSv1.3" == version


def test_other_names_and_other_cas_are_refused(made, folder):
    """A name that is not in the certificate, and a client of another CA, end the handshake."""
    server = server_context(made.server, made.key)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake(server, trusting(made.ca), "other.example.com")
    stranger = ensure_certificates(folder / "other")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(server, trusting(stranger.ca), "localhost")


def test_old_tls_is_refused(made):
    """A client that speaks TLS 1.1 at most gets no connection."""
    client = trusting(made.ca)
    client.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        client.maximum_version = ssl.TLSVersion.TLSv1_1

    with pytest.raises(OSError):
        shake(server_context(made.server, made.key), client, "localhost")


def test_openssl_agrees(made):
    """The openssl program verifies the chain, strictly and for the purpose."""
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile"]
    answer = subprocess.run(
        [*command, made.ca, made.server], capture_output=True, text=True, check=False
    )

    assert f"{made.server}: OK" == answer.stdout.strip(), answer.stderr


def test_keys_are_private(made, tls):
    """Both keys are 0600; what clients need may be read."""
    modes = {path.name: path.stat().st_mode & 0o777 for path in tls.iterdir()}

    assert {"ca.key": 0o600, "server.key": 0o600, "ca.pem": 0o644, "server.pem": 0o644} == modes


def test_client_certificates_are_optional_and_checked(made, tls, folder):
    """Without one a client is let in, with ours it is named, with a stranger's it is refused."""
    server = server_context(made.server, made.key, made.ca)
    _, seen = shake(server, trusting(made.ca), "localhost")
    assert not seen["certificate"]

    _, seen = shake(server, with_certificate(made.ca, tls, folder, "meter-7"), "localhost")
    assert ((("commonName", "meter-7"),),) == seen["certificate"]["subject"]

    stranger = folder / "stranger"
    ensure_certificates(stranger)
    client = with_certificate(made.ca, stranger, folder, "meter-7")
    with pytest.raises(ssl.SSLError, match=r"(?i)unknown ca"):
        shake(server, client, "localhost")


def test_a_client_certificate_that_is_over_is_refused(made, tls, folder):
    """By its own date, in the handshake."""
    client = with_certificate(made.ca, tls, folder, "meter-7", life=timedelta(hours=-1))
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate expired"):
        shake(server_context(made.server, made.key, made.ca), client, "localhost")


def test_a_client_certificate_may_name_a_user(made, tls):
    """The UID of its subject, as SolarNetwork's nodes have it, before the common name."""
    issued = issue_client_certificate(tls, "node-7", user_id="7")
    found = x509.load_pem_x509_certificate(issued.certificate)

    assert ["7", "node-7"] == [name.value for name in found.subject]
    assert "0.9.2342.19200300.100.1.1" == next(iter(found.subject)).oid.dotted_string


def test_clients_of_several_authorities_are_let_in(made, tls, folder):
    """The hub's own and the customer's; not those of a third."""
    customer = ensure_certificates(folder / "customer")
    server = server_context(made.server, made.key, made.ca, customer.ca)
    for signed_by in (tls, folder / "customer"):
        _, seen = shake(server, with_certificate(made.ca, signed_by, folder, "m"), "localhost")
        assert ((("commonName", "m"),),) == seen["certificate"]["subject"]
    ensure_certificates(folder / "third")
    client = with_certificate(made.ca, folder / "third", folder, "m")
    with pytest.raises(ssl.SSLError, match=r"(?i)unknown ca"):
        shake(server, client, "localhost")


def test_an_authority_is_made_once(folder):
    """For a hub whose server's certificate is somebody else's."""
    made = ensure_authority(folder / "new")
    before = made.read_bytes()

    assert folder / "new" / "ca.pem" == made
    assert before == ensure_authority(folder / "new").read_bytes()
    assert before == ensure_certificates(folder / "new").ca.read_bytes()


def with_certificate(ca, signed_by, folder, name, **how):
    issued = issue_client_certificate(signed_by, name, **how)
    pem = folder / "client.pem"
    pem.write_bytes(issued.certificate + issued.key)
    client = trusting(ca)
    client.maximum_version = ssl.TLSVersion.TLSv1_2  # the refusal comes within the handshake
    client.load_cert_chain(pem)
    return client


def test_a_server_certificate_is_no_client_certificate(made, tls):
    """Each certificate has one use."""
    certificate = x509.load_pem_x509_certificate(issue_client_certificate(tls, "m").certificate)
    uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value

    assert [x509.ExtendedKeyUsageOID.CLIENT_AUTH] == list(uses)


def test_a_second_start_changes_nothing(made, tls):
    """Clients keep what they trust: nothing is made again."""
    before = {path: path.read_bytes() for path in tls.iterdir()}
    again = ensure_certificates(tls, ["hub.example.com", "192.0.2.7", "zähler.example"])

    assert made.renewed
    assert not again.renewed
    assert before == {path: path.read_bytes() for path in tls.iterdir()}


def test_new_names_renew_the_server_only(made, tls):
    """With other names the server's certificate is new and the CA is the same."""
    ca = made.ca.read_bytes()
    again = ensure_certificates(tls, ["new.example.com"])

    assert again.renewed
    assert ca == made.ca.read_bytes()
    shake(server_context(again.server, again.key), trusting(made.ca), "new.example.com")


@pytest.mark.parametrize(("days", "renewed"), [(31, False), (29, True), (0, True)])
def test_it_is_renewed_in_time(tls, monkeypatch, days, renewed):
    """A server certificate with less than 30 days left is renewed."""
    life = timedelta(days=days, minutes=5 if days else -5)
    monkeypatch.setattr(certificates, "SERVER_LIFE", life)
    ensure_certificates(tls)
    monkeypatch.undo()

    assert renewed == ensure_certificates(tls).renewed


def test_a_new_certificate_lives_as_long_as_clients_allow(made):
    """It is valid now, for a client whose clock is behind too, and for less than 398 days."""
    found = x509.load_pem_x509_certificate(made.server.read_bytes())
    now = datetime.now(UTC)

    assert found.not_valid_before_utc < now - timedelta(hours=23)
    assert now + timedelta(days=396) < found.not_valid_after_utc
    assert found.not_valid_after_utc - found.not_valid_before_utc <= timedelta(days=398)


@pytest.mark.parametrize("name", ["server.pem", "server.key"])
@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_damaged_pair_is_made_again(made, tls, name, content):
    """Half a pair, as a power cut may leave it, is replaced."""
    (tls / name).unlink()
    if content is not None:
        (tls / name).write_bytes(content)
    again = ensure_certificates(tls, ["hub.example.com", "192.0.2.7", "zähler.example"])

    assert again.renewed
    shake(server_context(again.server, again.key), trusting(made.ca), "localhost")


def test_a_key_of_another_certificate_is_replaced(made, tls):
    """A key that is not the certificate's, as after a power cut between the two, is replaced."""
    shutil.copy(tls / "ca.key", made.key)

    assert ensure_certificates(tls, ["hub.example.com", "192.0.2.7", "zähler.example"]).renewed


def test_a_pair_of_another_ca_is_replaced(made, tls, folder):
    """A server certificate that the present CA did not sign is replaced."""
    other = ensure_certificates(
        folder / "other", ["hub.example.com", "192.0.2.7", "zähler.example"]
    )
    shutil.copy(other.server, made.server)
    shutil.copy(other.key, made.key)

    assert ensure_certificates(tls, ["hub.example.com", "192.0.2.7", "zähler.example"]).renewed


def test_a_lost_ca_key_is_explained(made, tls):
    """The CA is not replaced silently: every client trusts it."""
    (tls / "ca.key").unlink()

    with pytest.raises(CertificateError, match=r"ca\.pem and .*ca\.key do not belong together"):
        ensure_certificates(tls, ["another.example.com"])


@pytest.mark.parametrize("broken", ["missing", "mismatch", "locked", "ca"])
def test_own_certificates_that_do_not_work_are_explained(made, tls, folder, broken):
    """Whatever is wrong with given files is one sentence that names them."""
    cert, key, client_ca = made.server, made.key, made.ca
    if broken == "missing":
        cert = folder / "none.pem"
    elif broken == "mismatch":
        key = tls / "ca.key"
    elif broken == "locked":
        key = folder / "locked.key"
        command = ["openssl", "ec", "-aes256", "-passout", "pass:x", "-in", made.key, "-out", key]
        subprocess.run(command, check=True, capture_output=True)
    else:
        client_ca = folder / "empty.pem"
        client_ca.write_bytes(b"")

    with pytest.raises(CertificateError, match="certificate"):
        server_context(cert, key, client_ca)


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_client_names_are_bounded(made, tls, name):
    """A common name has 1 to 64 characters."""
    with pytest.raises(CertificateError, match="1 to 64"):
        issue_client_certificate(tls, name)
