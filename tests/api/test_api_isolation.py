"""Who may do what, tried on every route there is."""

import pytest
from api_worlds import OPERATIONS, make_world

from wattwire.api.permissions import NEEDED, OPEN, Role

BY_NAME = {route.name: route for route in OPERATIONS}
GUARDED = [route for route in OPERATIONS if route.name not in OPEN]
NAMES = [route.name for route in GUARDED]
#: Lasting answers are read elsewhere.
SHORT = [route for route in GUARDED if route.name != "watch_events"]

#: Tables of an organization and how to find its rows.
TABLES = {
    "organization": "id = $1",
    "account": "organization_id = $1",
    "token": "organization_id = $1",
    "solarnetwork_token": "organization_id = $1",
    "solarnetwork_certificate": "organization_id = $1",
    "mqtt_credential": "organization_id = $1",
    "source": "organization_id = $1",
    "device": "organization_id = $1",
    "stream": "device_id IN (SELECT id FROM device WHERE organization_id = $1)",
    "channel": "stream_id IN (SELECT s.id FROM stream s JOIN device d ON d.id = s.device_id"
    " WHERE d.organization_id = $1)",
    "reading": "stream_id IN (SELECT s.id FROM stream s JOIN device d ON d.id = s.device_id"
    " WHERE d.organization_id = $1)",
    "rollup": "stream_id IN (SELECT s.id FROM stream s JOIN device d ON d.id = s.device_id"
    " WHERE d.organization_id = $1)",
    "stale": "stream_id IN (SELECT s.id FROM stream s JOIN device d ON d.id = s.device_id"
    " WHERE d.organization_id = $1)",
    "quarantine": "organization_id = $1",
    "integration": "organization_id = $1",
    "event": "organization_id = $1",
    "attempt": "organization_id = $1",
    "dead_letter": "integration_id IN (SELECT id FROM integration WHERE organization_id = $1)",
    "ledger": "integration_id IN (SELECT id FROM integration WHERE organization_id = $1)",
    "delivery": "integration_id IN (SELECT id FROM integration WHERE organization_id = $1)",
    "audit": "organization_id = $1",
}


async def snapshot(pool, organization_id):
    """Return every row of an organization as text."""
    found = {}
    for table, condition in TABLES.items():
        rows = await pool.fetch(f"SELECT t::text FROM {table} t WHERE {condition}", organization_id)
        found[table] = sorted(row[0] for row in rows)
    return found


@pytest.fixture
async def other(bench):
    """Another organization, with one of everything."""
    return await make_world(bench.pool, await bench.new_organization("zebra Inc"), "zebra")


async def test_no_route_shows_or_changes_what_is_another_organizations(bench, owner, other):
    """With another organization's ids every route says 404, shows nothing and changes nothing."""
    before = await snapshot(bench.pool, other.organization_id)
    for route in SHORT:
        method, path, arguments = other.request(route)
        answer = await owner.call(method, path, **arguments)
        own_things = {"type_name"}
        by_path = "{" in route.path and not any(f"{{{n}}}" in route.path for n in own_things)
        if by_path or route.name.startswith("preview_"):  # whose body names an event
            assert 404 == answer.status, f"{route.name}: {answer.status} {answer.body}"
        else:
            assert answer.status in {200, 201, 204}, f"{route.name}: {answer.status} {answer.body}"
        assert b"zebra" not in answer.body, route.name

    assert before == await snapshot(bench.pool, other.organization_id)


async def test_every_route_works_on_what_is_ones_own(bench, other):
    """The same requests with one's own token succeed, so that the test above proves something."""
    client = bench.client(await bench.token(other.organization_id))
    late = [name for name in BY_NAME if name.startswith(("purge_", "revoke_", "delete_"))]
    late += ["delete_device", "delete_session"]
    order = sorted(
        SHORT,
        key=lambda route: max((i for i, n in enumerate(late, 1) if n == route.name), default=0),
    )
    for route in order:
        method, path, arguments = other.request(route)
        answer = await client.call(method, path, **arguments)
        assert answer.status in {200, 201, 204}, f"{route.name}: {answer.status} {answer.body}"


async def test_foreign_ids_in_bodies_are_refused(bench, owner, other):
    """Device ids inside an integration must be one's own."""
    body = {"type": "webhook", "name": "x", "settings": {"url": "https://example.com"}}
    answer = await owner.post("/api/v1/integrations", body | {"device_ids": [other.ids["device"]]})

    assert 422 == answer.status
    assert "device_ids" == answer.json["errors"][0]["field"]


async def test_a_foreign_organization_cannot_be_written_to(bench, owner, other):
    """`org` of the write call names the token's own organization or none."""
    for org in ("zebra Inc", str(other.organization_id)):
        answer = await owner.post("/api/v1/write", params={"org": org}, data=b"power x_w=1")
        assert 404 == answer.status

    assert 204 == (await owner.post("/api/v1/write?org=Acme", data=b"power x_w=1")).status


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR, Role.OWNER])
async def test_each_role_may_do_what_the_table_says_and_nothing_more(bench, organization_id, role):
    """403 exactly for the operations that need a higher role, on every route."""
    world = await make_world(bench.pool, organization_id, "own")
    client = bench.client(await bench.token(organization_id, role.name.lower()))
    refused = set()
    for route in SHORT:
        if role >= NEEDED[route.name] and role is not Role.VIEWER:
            continue  # the editor's and owner's own calls are carried out in the tests above
        method, path, arguments = world.request(route)
        answer = await client.call(method, path, **arguments)
        if answer.status == 403:
            refused.add(route.name)
        else:
            assert answer.status < 300, f"{route.name}: {answer.status}"

    assert {name for name, needed in NEEDED.items() if needed > role} == refused


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer x.y", "Basic YTpi", "Token {token}"])
async def test_no_route_is_open_to_strangers(bench, organization_id, header):
    """401 on every route without a valid bearer token; `Token` is for line protocol alone."""
    world = await make_world(bench.pool, organization_id, "own")
    token = await bench.token(organization_id)
    headers = {"Authorization": header.format(token=token)} if header else {}
    client = bench.client(None)
    for route in GUARDED:
        if header == "Token {token}" and route.path.endswith("/write"):
            continue
        method, path, arguments = world.request(route)
        answer = await client.call(method, path, headers=headers, **arguments)
        assert 401 == answer.status, route.name
        assert "WWW-Authenticate" in answer.headers
        assert b"own" not in answer.body.replace(b"unknown", b"")


#: What the table must say, told in another way: who may what, by method and address.
OWNERS = (
    "/api/v1/users", "/api/v1/tokens", "/api/v1/audit", "/api/v1/solarnetwork-tokens",
    "/api/v1/solarnetwork-certificates",
)  # fmt: skip
OWNERS_CHANGE = ("/api/v1/organization", "/api/v1/configuration")
CONFIDENTIAL = ("/api/v1/mqtt-credentials", "/api/v1/sources", "/api/v1/configuration")


def rule(method, path):
    """Return the role that an operation must need."""
    if (
        path.startswith(OWNERS)
        or path.endswith("/solarnetwork-certificates")
        or (path in OWNERS_CHANGE and method != "GET")
    ):
        return Role.OWNER
    if path == "/api/v1/session" or (method == "GET" and not path.startswith(CONFIDENTIAL)):
        return Role.VIEWER
    return Role.EDITOR


@pytest.mark.parametrize("route", GUARDED, ids=NAMES)
def test_the_table_of_permissions_keeps_to_the_rule(route):
    """People and tokens are the owners' business; whoever changes anything is an editor."""
    assert rule(next(iter(route.methods)), route.path) is NEEDED[route.name]


def test_every_operation_is_tried():
    """A new operation without a permission, or without a request to try it with, fails."""
    assert set(BY_NAME) == set(NEEDED) | (OPEN - {"get_docs"})
    for route in OPERATIONS:
        needs_body = any(m in route.methods for m in ("POST", "PATCH", "PUT"))
        if needs_body and route.body_field is not None:
            from api_worlds import BODIES

            required = route.body_field.field_info.is_required()
            assert not required or route.name in BODIES, route.name
