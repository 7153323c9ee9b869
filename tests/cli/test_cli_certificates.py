"""`wattwire solarnetwork-certificate`: made with the hub's CA or registered, listed, revoked."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from wattwire.engines.certificates import ensure_certificates, issue_client_certificate
from wattwire.store import devices
from wattwire.store import solarnetwork_certificates as certificates

COMMAND = "solarnetwork-certificate"


@pytest.fixture
async def node(bench, organization_id):
    row = await devices.create(
        bench.pool, organization_id, key="meter-1", name="", type="", time_zone="UTC", metadata={}
    )
    return row.id


@pytest.fixture
def tls(tmp_path):
    """The folder of the hub's CA, as its start makes it."""
    ensure_certificates(tmp_path / "data" / "tls")
    return tmp_path / "data" / "tls"


async def test_a_certificate_is_made_for_a_node(bench, wattwire, node, tls, tmp_path):
    """Signed by the hub's CA, with the node as UID and a key that fits; its fingerprint counts."""
    done = await wattwire(COMMAND, "create", "--node", node, "--days", "30", "--json")
    assert 0 == done.code, done.err
    made = done.json
    found = x509.load_pem_x509_certificate(made["certificate"].encode())

    authority = x509.load_pem_x509_certificate((tls / "ca.pem").read_bytes())
    found.verify_directly_issued_by(authority)
    assert [str(node)] == [
        name.value for name in found.subject.get_attributes_for_oid(NameOID.USER_ID)
    ]
    assert found.not_valid_after_utc < datetime.now(UTC) + timedelta(days=31)
    pair = tmp_path / "pair.pem"
    pair.write_text(made["certificate"] + made["key"])
    ssl.create_default_context().load_cert_chain(pair)
    bearer = await certificates.find_bearer(bench.pool, found.fingerprint(hashes.SHA256()))
    assert (node, made["id"]) == (bearer.device_id, bearer.id)
    assert made["sha256"] == found.fingerprint(hashes.SHA256()).hex()
    assert "WATTWIRE_HTTPS_PORT" in done.err  # this hub does not listen with TLS
    audited = await bench.pool.fetchrow("SELECT action, detail FROM audit ORDER BY id DESC LIMIT 1")
    assert "solarnetwork_certificate.created" == audited["action"]
    assert node == audited["detail"]["device_id"]


async def test_it_can_be_written_to_files(wattwire, node, tls, tmp_path):
    """The key for nobody else, and not on the screen; nothing is written over."""
    folder = tmp_path / "node"
    folder.mkdir()
    arguments = (COMMAND, "create", "--node", node, "--folder", folder)
    made = await wattwire(*arguments, "--json")
    again = await wattwire(*arguments)

    key = folder / f"node-{node}.key"
    assert 0 == made.code, made.err
    assert str(key) == made.json["key_file"]
    assert 0o600 == key.stat().st_mode & 0o777
    assert "PRIVATE KEY" in key.read_text()
    assert "PRIVATE KEY" not in made.out
    assert 1 == again.code
    assert "exists already" in again.err
    listed = await wattwire(COMMAND, "list", "--json")
    assert [node] == [item["device_id"] for item in listed.json["items"]]


async def test_one_of_another_authority_is_registered_and_revoked(bench, wattwire, node, tmp_path):
    """By its file, without its key."""
    leaf = trustme.CA().issue_cert("node@example.com").cert_chain_pems[0]
    leaf.write_to_path(tmp_path / "leaf.pem")
    sha256 = x509.load_pem_x509_certificate(leaf.bytes()).fingerprint(hashes.SHA256())

    done = await wattwire(COMMAND, "register", tmp_path / "leaf.pem", "--node", node, "--json")
    assert 0 == done.code, done.err
    assert sha256.hex() == done.json["sha256"]
    assert await certificates.find_bearer(bench.pool, sha256)
    twice = await wattwire(COMMAND, "register", tmp_path / "leaf.pem", "--node", node)
    assert (1, True) == (twice.code, "exists already" in twice.err)

    assert 0 == (await wattwire(COMMAND, "revoke", done.json["id"])).code
    assert await certificates.find_bearer(bench.pool, sha256) is None
    anew = await wattwire(COMMAND, "register", tmp_path / "leaf.pem", "--node", node)
    assert 0 == anew.code
    gone = await wattwire(COMMAND, "revoke", 10**6)
    assert (1, True) == (gone.code, "there is no certificate" in gone.err)


async def test_what_can_let_nobody_in_is_refused(wattwire, node, tls, tmp_path):
    """Each with its reason, and nothing is kept."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "authority.pem")
    over = issue_client_certificate(tls, "node", timedelta(hours=-1))
    other = issue_client_certificate(tls, "node", user_id=str(node + 1))
    (tmp_path / "over.pem").write_bytes(over.certificate)
    (tmp_path / "other.pem").write_bytes(other.certificate)
    (tmp_path / "key.pem").write_bytes(other.key)
    reasons = {
        "authority.pem": "no client's certificate",
        "over.pem": "ended on",
        "other.pem": f"UID must be {node}",
        "key.pem": "must be a certificate",
        "none.pem": "No such file",
    }
    for name, reason in reasons.items():
        done = await wattwire(COMMAND, "register", tmp_path / name, "--node", node)
        assert (1, True) == (done.code, reason in done.err), (name, done.err)
    server = await wattwire(COMMAND, "register", tls / "server.pem", "--node", node)
    assert "no client's certificate" in server.err
    unknown = await wattwire(COMMAND, "create", "--node", 10**6)
    assert (1, True) == (unknown.code, "there is no device" in unknown.err)
    assert [] == (await wattwire(COMMAND, "list", "--json")).json["items"]


async def test_without_a_ca_none_is_made_up(wattwire, node, tmp_path):
    """A CA that the hub does not know would sign in vain."""
    done = await wattwire(COMMAND, "create", "--node", node)

    assert (1, True) == (done.code, "has no CA" in done.err)
    assert not (tmp_path / "data" / "tls" / "ca.pem").exists()
