"""Client certificates of nodes in the native API."""

from datetime import timedelta

import pytest
from api_worlds import make_world

from wattwire.engines.certificates import issue_client_certificate

ALL = "/api/v1/solarnetwork-certificates"


@pytest.fixture
async def world(bench, organization_id):
    return await make_world(bench.pool, organization_id, "own")


@pytest.fixture
def register(owner, world, tmp_path):
    """Register a certificate for the world's device; return the answer."""

    async def send(device=None, pem=None, key=None, **how):
        node = device or world.ids["device"]
        if pem is None:
            pem = issue_client_certificate(tmp_path / "tls", "node", **how).certificate.decode()
        headers = {"Idempotency-Key": key} if key else {}
        path = f"/api/v1/devices/{node}/solarnetwork-certificates"
        return await owner.post(path, {"certificate": pem}, headers=headers)

    return send


async def test_a_certificate_is_registered_shown_and_revoked(owner, register, world, bench):
    """For its device; revoked ones stay in the list; each change is in the audit."""
    made = await register()
    assert 201 == made.status, made.body
    number = made.json["id"]
    shown = await owner.get(f"{ALL}/{number}")
    listed = await owner.get(f"{ALL}?limit=1")

    assert made.json == shown.json
    assert (world.ids["device"], "CN=node", 64, None) == tuple(
        made.json[name] if name != "sha256" else len(made.json[name])
        for name in ("device_id", "subject", "sha256", "revoked_at")
    )
    assert [number] == [item["id"] for item in listed.json["items"]]
    rest = await owner.get(f"{ALL}?limit=1&cursor={listed.json['next_cursor']}")
    assert [world.ids["certificate"]] == [item["id"] for item in rest.json["items"]]
    assert 204 == (await owner.delete(f"{ALL}/{number}")).status
    assert (await owner.get(f"{ALL}/{number}")).json["revoked_at"]
    actions = await bench.pool.fetch("SELECT action FROM audit WHERE object = $1", str(number))
    assert {"solarnetwork_certificate.created", "solarnetwork_certificate.revoked"} == {
        row["action"] for row in actions
    }


async def test_a_certificate_stands_for_one_node_at_a_time(owner, register, tmp_path):
    """A second time it is refused, unless it was revoked; a repeat under a key is the first."""
    pem = issue_client_certificate(tmp_path / "tls", "node").certificate.decode()
    first = await register(pem=pem, key="k")
    repeated = await register(pem=pem, key="k")
    again = await register(pem=pem)
    await owner.delete(f"{ALL}/{first.json['id']}")
    anew = await register(pem=pem)

    assert [201, 201, 409, 201] == [a.status for a in (first, repeated, again, anew)]
    assert first.json == repeated.json
    assert first.json["id"] != anew.json["id"]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"pem": "nonsense"}, "must be a certificate in PEM"),
        ({"pem": "x" * 20_000}, "at most 16384 characters"),
        ({"pem": ""}, "at least 1 character"),
        ({"life": timedelta(hours=-1)}, "ended on"),
        ({"user_id": "999999"}, "UID must be"),
    ],
)
async def test_what_can_let_nobody_in_is_refused(register, how, message):
    """422 with the field and what is wrong with it."""
    answer = await register(**how)

    assert 422 == answer.status
    assert "certificate" == answer.json["errors"][0]["field"]
    assert message in answer.json["errors"][0]["message"]


async def test_a_device_of_nobody_has_no_certificates(register):
    """404, before the certificate is looked at."""
    assert 404 == (await register(device=10**9)).status
