"""SolarIn over HTTPS: what a node's certificate lets in, in real handshakes."""

import asyncio
import hashlib
import ssl
from datetime import timedelta

import aiohttp
import pytest
import trustme
from cryptography import x509
from query_world import NOON, SEC
from secure_bench import JSON, UPLOAD, datum, long_ago, open_secure_world
from solarnetwork_bench import BASE, make_client

from wattwire.engines.certificates import Issued, ensure_certificates
from wattwire.solarnetwork.pace import Pace

ANONYMOUS = "Full authentication is required to access this resource"


@pytest.fixture(scope="module")
def authority():
    """An authority of the customer's own, which the hub is told to trust."""
    return trustme.CA()


@pytest.fixture
async def world(pool, database_url, organization_id, tmp_path, authority):
    trusted = tmp_path / "customer.pem"
    authority.cert_pem.write_to_path(trusted)
    async with open_secure_world(pool, database_url, organization_id, tmp_path, trusted) as opened:
        yield opened


@pytest.fixture
async def node(world):
    found, _ = await world.store([(NOON, {"watts": 1.0})])
    return found


@pytest.fixture
async def issued(world, node):
    """A certificate that the hub's CA made for the node, and that is allowed."""
    made = world.issue(node)
    made_id = await world.allow(node, made)
    assert made_id
    return made


def refusal(answer, status, message):
    assert (status, {"success": False, "message": message}) == (answer.status, answer.json)


async def test_a_node_uploads_with_its_certificate(world, node, issued):
    """No token, no signature; datums are of the certificate's node, named or not; it shows when."""
    async with world.caller(issued) as caller:
        answer = await caller.post([datum(), datum(node, "/power/2")])

    assert [(node, "/power/1"), (node, "/power/2")] == [
        (d["nodeId"], d["sourceId"]) for d in answer.data["datum"]
    ]
    assert [(node, "/power/1"), (node, "/power/2")] == await world.stored()
    assert await world.pool.fetchval(
        "SELECT last_used_at > now() - interval '1 minute' FROM solarnetwork_certificate"
    )


async def test_a_certificate_uploads_for_its_node_alone(world, node, issued):
    """Another node of the organization, one of another's, a stream's id: refused, nothing kept."""
    other, _ = await world.store([(NOON, {"watts": 1.0})], device="meter-2")
    foreign = await world.bench.new_organization("Other")
    theirs, _ = await world.store([(NOON, {"watts": 1.0})], organization_id=foreign)
    uuid = await world.pool.fetchval("SELECT uuid FROM stream WHERE device_id = $1", other)
    halves = [int.from_bytes(uuid.bytes[i : i + 8], "big", signed=True) for i in (0, 8)]

    async with world.caller(issued) as caller:
        for another in (other, theirs, 10**9):
            refusal(await caller.post([datum(), datum(another)]), 403, "ACCESS_DENIED")
            answer = await caller.post([datum()], path=f"{UPLOAD}?nodeId={another}")
            refusal(answer, 403, "ACCESS_DENIED")
        stream = [datum()["created"], *halves, [7]]
        refusal(await caller.post([stream]), 403, "UNKNOWN_OBJECT")

    assert [] == await world.stored()
    assert 0 == await world.pool.fetchval("SELECT count(*) FROM quarantine")


async def test_without_a_certificate_a_signature_is_needed(world, node):
    """HTTPS alone lets nobody in; a token does, with the host and port that the client called."""
    user = await make_client(world.bench, world.organization_id)
    host = world.bench.https_url.removeprefix("https://")
    async with world.caller() as caller:
        refusal(await caller.post([datum(node)]), 401, ANONYMOUS)
        headers = user.sign("GET", f"{BASE}/topics", host=host)
        async with caller.session.get(caller.url + f"{BASE}/topics", headers=headers) as response:
            assert 200 == response.status
        bare = user.sign("GET", f"{BASE}/topics", host="hub.example:443")
        headers = {**bare, "host": "hub.example"}
        async with caller.session.get(caller.url + f"{BASE}/topics", headers=headers) as response:
            assert 200 == response.status


async def test_a_certificate_that_nobody_allowed_lets_nobody_in(world, node, issued):
    """Signed by the right CA with the right subject, it is still another one."""
    async with world.caller(world.issue(node)) as caller:
        refusal(await caller.post([datum(node)]), 403, "Bad credentials")

    assert [] == await world.stored()


async def test_a_certificate_of_another_authority_ends_in_the_handshake(world, node, tmp_path):
    """Also one that is allowed by its fingerprint."""
    ensure_certificates(tmp_path / "elsewhere")
    foreign = world.issue(node, tls=tmp_path / "elsewhere")
    await world.allow(node, foreign)

    await ends_in_the_handshake(world, foreign)


async def test_a_certificate_that_is_over_ends_in_the_handshake(world, node):
    """By its own date, whatever the hub remembers of it."""
    over = world.issue(node, timedelta(hours=-1))
    found = x509.load_pem_x509_certificate(over.certificate)
    await world.pool.execute(
        "INSERT INTO solarnetwork_certificate"
        " (organization_id, device_id, sha256, subject, expires_at)"
        " VALUES ($1, $2, $3, '', now() + interval '1 day')",
        world.organization_id, node, found.fingerprint(found.signature_hash_algorithm),
    )  # fmt: skip

    await ends_in_the_handshake(world, over)


async def ends_in_the_handshake(world, issued):
    """No answer at all; the same request over a connection without the certificate has one."""
    async with world.caller(issued) as caller:
        with pytest.raises(aiohttp.ClientError):
            await caller.post([datum()])
    async with world.caller() as caller:
        assert 401 == (await caller.post([datum()])).status
    assert [] == await world.stored()


async def test_a_certificate_ends_over_an_open_connection_too(world, node, issued):
    """The handshake was in time; each request is looked at again."""
    async with world.caller(issued) as caller:
        assert 200 == (await caller.post([datum()])).status
        await world.pool.execute("UPDATE solarnetwork_certificate SET expires_at = $1", long_ago())
        world.bench.app.state.solarnetwork.forget("solarnetwork_certificate", "")

        refusal(await caller.post([datum()]), 403, "Bad credentials")


async def test_revocation_takes_effect_at_once(world, node, issued):
    """Over a connection that is open, from the answer to the revocation on."""
    owner = world.bench.client(await world.bench.token(world.organization_id))
    number = await world.pool.fetchval("SELECT id FROM solarnetwork_certificate")
    async with world.caller(issued) as caller:
        assert 200 == (await caller.post([datum()])).status
        gone = await owner.delete(f"/api/v1/solarnetwork-certificates/{number}")

        assert 204 == gone.status
        refusal(await caller.post([datum()]), 403, "Bad credentials")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE solarnetwork_certificate SET revoked_at = now()",
        "DELETE FROM solarnetwork_certificate",
        "DELETE FROM device",
        "DELETE FROM organization",
    ],
)
async def test_what_ends_elsewhere_is_heard_of(world, node, issued, change):
    """The database tells every process: revoked or deleted, with its device or all the rest."""
    async with world.caller(issued) as caller:
        assert 200 == (await caller.post([datum()])).status
        await world.pool.execute(change)

        async with asyncio.timeout(5):  # less than what is remembered lasts
            while (await caller.post(b"[]")).status != 403:
                await asyncio.sleep(0.02)


async def test_no_header_passes_for_a_certificate(world, node, issued):
    """Not those of proxies, not our own word; with TLS or without."""
    sha256 = hashlib.sha256(ssl.PEM_cert_to_DER_cert(issued.certificate.decode())).hexdigest()
    pem = issued.certificate.decode().replace("\n", "%0A")
    names = (
        "X-SSL-Client-Cert", "X-Client-Cert", "X-Forwarded-Client-Cert", "SSL-Client-Cert",
        "X-Client-Certificate-Sha256", "client_certificate_sha256", "Client-Cert", "X-SSL-Verified",
    )  # fmt: skip
    pretended = {**JSON, **{f"{name}": pem for name in names}, "X-SSL-Client-SHA256": sha256}
    for url in (world.bench.https_url, world.bench.url):
        async with world.caller(url=url) as caller:
            refusal(await caller.post([datum(node)], headers=pretended), 401, ANONYMOUS)
            pretended["client_certificate_sha256"] = sha256
            refusal(await caller.post([datum(node)], headers=pretended), 401, ANONYMOUS)

    assert [] == await world.stored()


async def test_a_signature_that_is_wrong_is_not_mended_by_a_certificate(world, node, issued):
    """Who signs is who signed; another scheme's header is none."""
    user = await make_client(world.bench, world.organization_id)
    signed = user.sign("POST", UPLOAD, b"[]")
    async with world.caller(issued) as caller:
        refusal(
            await caller.post(b"[1]", headers=signed), 403, "Content sha-256 digest value mismatch"
        )
        assert (
            200
            == (await caller.post(b"[]", headers={**JSON, "authorization": "Basic eA=="})).status
        )


async def test_a_certificate_opens_nothing_but_the_upload(world, node, issued):
    """Neither hooks nor queries nor the native API."""
    async with world.caller(issued) as caller:
        for path in (f"{BASE}/hooks", f"{BASE}/topics", f"{SEC}/nodes", f"{SEC}/whoami"):
            refusal(await caller.get(path), 401, ANONYMOUS)
        assert 401 == (await caller.get("/api/v1/devices")).status
        assert 401 == (await caller.post({}, path="/api/v1/readings")).status


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
async def test_what_a_browser_sends_for_any_page_is_not_taken(world, node, issued, kind):
    """A page elsewhere cannot make a browser, which has the certificate, upload."""
    async with world.caller(issued) as caller:
        answer = await caller.post([datum()], headers={"content-type": kind})
        refusal(answer, 403, "The Content-Type must be application/json")

    assert [] == await world.stored()


async def test_a_certificate_has_its_pace(world, node, issued):
    """As a token has."""
    world.bench.app.state.solarnetwork._pace = Pace(1, clock=lambda: 1.0)
    async with world.caller(issued) as caller:
        assert [200, 429] == [(await caller.post([datum()])).status for _ in range(2)]


async def test_a_certificate_of_the_customers_own_is_allowed_by_itself(world, node, authority):
    """Registered through the API, without its key: the hub's CA signed it not."""
    owner = world.bench.client(await world.bench.token(world.organization_id))
    leaf = authority.issue_cert("node@example.com")
    own = Issued(leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes())
    async with world.caller(own) as caller:
        refusal(await caller.post([datum()]), 403, "Bad credentials")
        body = {"certificate": own.certificate.decode()}
        made = await owner.post(f"/api/v1/devices/{node}/solarnetwork-certificates", body)
        assert 201 == made.status, made.body

        async with asyncio.timeout(5):  # less than what is remembered lasts
            while (await caller.post([datum()])).status != 200:
                await asyncio.sleep(0.02)
    assert [(node, "/power/1")] == await world.stored()


async def test_what_is_remembered_of_certificates_is_bounded(world, node, issued, monkeypatch):
    """Fingerprints that nobody allowed are remembered as well, and forgotten first come."""
    from wattwire.api import memory
    from wattwire.solarnetwork import certificates

    monkeypatch.setattr(memory, "MOST_REMEMBERED", 3)
    remembered = certificates.NodeCertificates(world.pool)
    for number in range(9):
        assert await remembered.identify(hashlib.sha256(b"%d" % number).digest()) is None

    assert 3 == len(remembered._bearers._kept)
