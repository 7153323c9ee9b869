"""One shape for every error, whatever went wrong."""

import gzip
import io
import json

import pytest

from wattwire.api.contract import Check

JSON = {"Content-Type": "application/json"}
UMLAUT = {"Idempotency-Key": "ä"}
OLD = "2001-01-01T00:00:00Z"
MIB = 1024 * 1024
SHAPE = {"type", "title", "status", "detail", "request_id"}


def check_problem(answer, status, slug=None):
    """Fail unless the answer is a problem (RFC 9457) of this status."""
    assert status == answer.status, answer.body
    assert "application/problem+json" == answer.headers["Content-Type"]
    body = answer.json
    assert SHAPE <= body.keys()
    assert status == body["status"]
    assert body["type"].startswith("urn:wattwire:problem:")
    assert answer.headers["X-Request-Id"] == body["request_id"]
    if slug:
        assert body["type"].endswith(f":{slug}")
    return body


@pytest.mark.parametrize(
    ("method", "path", "arguments", "status"),
    [
        ("GET", "/nowhere", {}, 404),
        ("GET", "/api/v1/nowhere", {}, 404),
        ("DELETE", "/api/v1/devices", {}, 405),
        ("PUT", "/healthz", {}, 405),
        ("GET", "/api/v1/devices/7", {}, 404),
        ("GET", "/api/v1/devices/not-a-number", {}, 422),
        ("GET", f"/api/v1/devices/{2**63}", {}, 422),
        ("GET", f"/api/v1/integrations/{2**31}", {}, 422),
        ("GET", "/api/v1/devices?limit=0", {}, 422),
        ("GET", "/api/v1/devices?cursor=nonsense", {}, 400),
        ("GET", "/api/v1/devices?search=%00", {}, 422),
        ("POST", "/api/v1/devices", {"data": b"{", "headers": JSON}, 400),
        ("POST", "/api/v1/devices", {"json": {}}, 422),
        ("POST", "/api/v1/devices", {"json": {"key": "a\x00b"}}, 422),
        ("POST", "/api/v1/devices", {"json": {"key": "a", "metadata": {"a": "\x00"}}}, 422),
        ("POST", "/api/v1/devices", {"json": {"key": "a", "metadata": {"a": "b" * 20_000}}}, 422),
        ("POST", "/api/v1/devices", {"json": {"key": "a", "time_zone": "Mars/Olympus"}}, 422),
        ("POST", "/api/v1/devices", {"json": {"key": "a", "colour": "red"}}, 422),
        ("POST", "/api/v1/devices", {"json": {"key": "a"}, "headers": UMLAUT}, 422),
        ("POST", "/api/v1/devices", {"data": io.BytesIO(b"x" * (1024 * 1024 + 1))}, 413),
        ("POST", "/api/v1/readings", {"data": b"{"}, 400),
        ("POST", "/api/v1/readings", {"json": {"readings": 3}}, 422),
        ("POST", "/api/v1/readings", {"data": b"x", "headers": {"Content-Encoding": "br"}}, 415),
        ("POST", "/api/v1/readings", {"data": b"x", "headers": {"Content-Encoding": "gzip"}}, 400),
        ("POST", "/api/v1/readings", {"data": io.BytesIO(b"x" * (16 * MIB + 1))}, 413),
        ("POST", "/api/v1/tokens", {"json": {"role": "god"}}, 422),
        ("POST", "/api/v1/tokens", {"json": {"role": "owner", "expires_at": OLD}}, 422),
        ("POST", "/api/v1/integrations", {"json": {"type": "x", "name": "y", "settings": {}}}, 422),
        ("GET", f"/api/v1/devices/1/rollups?aggregation=h&from=2000-01-01&to={OLD}", {}, 422),
        ("POST", "/api/v1/session", {"json": {"email": "a@b.c", "password": "x"}}, 401),
    ],
)  # fmt: skip
async def test_every_error_has_one_shape(owner, method, path, arguments, status):
    """Unknown paths, methods, ids, bodies and sizes are all answered with a problem."""
    check_problem(await owner.call(method, path, **arguments), status)


async def test_an_invalid_request_names_its_fields(owner):
    """422 says which fields are wrong and which rule they break."""
    answer = await owner.post("/api/v1/devices", {"key": "", "time_zone": "Mars/Olympus", "x": 1})

    errors = check_problem(answer, 422, "invalid")["errors"]
    assert {"key", "time_zone", "x"} == {e["field"] for e in errors}
    assert all(e["message"] and e["rule"] for e in errors)


async def test_no_error_repeats_a_secret(owner):
    """What a client sent where it does not fit is not sent back: it may be a secret."""
    settings = {
        "url": "not a url",
        "secret_key": ["hunter2-hunter2"],
        "headers": {"A": {"x": "hunter2-hunter2"}},
    }
    body = {"type": "webhook", "name": "x", "settings": settings}
    answer = await owner.post("/api/v1/integrations", body)
    user = await owner.post("/api/v1/users", {"email": "x", "role": "owner", "password": "hunter2"})

    check_problem(answer, 422)
    check_problem(user, 422)
    assert b"hunter2" not in answer.body + user.body


async def test_what_nobody_foresaw_is_a_500_that_tells_nothing(bench, owner):
    """An exception inside the hub is a problem without its text."""

    async def broken(_id):
        raise RuntimeError("the password is hunter2")

    object.__setattr__(bench.hub, "test_integration", broken)
    created = await owner.post(
        "/api/v1/integrations",
        {"type": "webhook", "name": "x", "settings": {"url": "https://a.example"}},
    )
    answer = await owner.call("POST", f"/api/v1/integrations/{created.json['id']}/test")

    assert b"hunter2" not in answer.body
    check_problem(answer, 500, "internal")


async def test_a_full_log_is_a_503_that_says_when_to_come_again(bench, owner, reading):
    """Readings that cannot be made durable are not accepted."""
    bench.writer.down = True
    answer = await owner.post("/api/v1/readings", {"readings": [reading()]})

    check_problem(answer, 503, "unavailable")
    assert "5" == answer.headers["Retry-After"]


@pytest.mark.parametrize(
    "bomb", [b"\x00" * (200 * 1024 * 1024), b"power x_w=1\n" * 10_000_000], ids=["zeros", "lines"]
)
async def test_gzip_bombs_are_refused(owner, bomb):
    """A small body that unpacks to a huge one is refused, without unpacking all of it."""
    packed = gzip.compress(bomb, 9)
    headers = {"Content-Encoding": "gzip"}
    for path in ("/api/v1/readings", "/api/v1/write"):
        answer = await owner.call("POST", path, data=packed, headers=headers)
        assert 413 == answer.status


async def test_a_gzip_body_is_unpacked(owner, reading):
    """Several gzip members, as some clients make them, are one body."""
    text = json.dumps({"readings": [reading()]}).encode()
    packed = gzip.compress(text[:20]) + gzip.compress(text[20:])
    answer = await owner.call(
        "POST", "/api/v1/readings", data=packed, headers={"Content-Encoding": "gzip"}
    )

    assert 1 == answer.json["accepted"]


async def test_a_cut_gzip_body_is_refused(owner, reading):
    """The end of a gzip stream is looked for: half a batch is not taken."""
    packed = gzip.compress(json.dumps({"readings": [reading()] * 100}).encode())[:-8]
    answer = await owner.call(
        "POST", "/api/v1/readings", data=packed, headers={"Content-Encoding": "gzip"}
    )

    check_problem(answer, 400)


async def test_readiness_names_what_fails(bench):
    """503 with the part that is degraded, and 200 again when it recovers; nobody needs a token."""
    client = bench.client(None)
    assert 200 == (await client.get("/readyz")).status
    bench.status.checks = [Check("database", ok=True), Check("log", ok=False, detail="disk full")]
    answer = await client.get("/readyz")

    assert 503 == answer.status
    assert {"name": "log", "ok": False, "detail": "disk full"} in answer.json["checks"]
    assert "ok" == (await client.get("/healthz")).json["status"]
    assert b"wattwire_test_total 1.0\n" == (await client.get("/metrics")).body


async def test_the_docs_page_needs_nothing_from_elsewhere(bench):
    """The page has every operation and loads nothing from the internet."""
    async with bench.session.get(bench.url + "/api/docs") as response:
        page = await response.text()
        policy = response.headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "src=" not in page
    for path in bench.app.openapi()["paths"]:
        assert path in page


async def test_a_slow_body_is_cut_off(bench, organization_id, monkeypatch):
    """A client that stops in the middle of its body does not hold a request for ever."""
    import asyncio

    import wattwire.api.bounds

    monkeypatch.setattr(wattwire.api.bounds, "BODY_SECONDS", 0.2)
    token = await bench.token(organization_id)
    host, _, port = bench.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /api/v1/devices HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{".encode()
    )
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n")
    writer.close()
    await writer.wait_closed()

    assert b"408" in head
