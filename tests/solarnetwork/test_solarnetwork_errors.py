"""Every refusal under SolarNetwork's addresses is an envelope, whoever in the hub says it."""

import asyncio
import gzip
import re

import msgspec
import pytest
from solarnetwork_bench import BASE
from solarnetwork_document import DOCUMENT

from wattwire.api.bounds import MAX_BODY_BYTES, Bounds
from wattwire.api.problems import Problem, problem_response

HOOKS = f"{BASE}/hooks"
UPLOAD = "/solarin/bulkCollector.do"
HOOK = {"name": "a", "topic": "datum/agg/update", "serviceIdentifier": "webhook"}
TOO_LARGE = "The body is larger than this address takes."


def is_refusal(answer, status, message, code=None):
    """The whole answer: status, type, members and their order."""
    told = {"success": False, **({"code": code} if code else {}), "message": message}
    assert (status, told) == (answer.status, answer.json)
    assert list(told) == list(answer.json)
    assert "application/json" == answer.headers["Content-Type"]
    assert "Accept" == answer.headers["Vary"]


NOWHERE = (
    "/solaruser/", "/solaruser/api/v1/sec/nowhere", "/solarquery/api/v1/pub/nodes", "/solarin/x",
    f"{HOOKS}/", f"{HOOKS}/1/", f"{HOOKS}/1/2", "/solarquery/api/v1/sec/nodes/",
)  # fmt: skip


async def test_an_address_that_is_not_there(user):
    """404, signed or not, and no redirection to one that is."""
    for path in NOWHERE:
        for method in ("GET", "POST"):
            signed = await user.call(method, path)
            anybody = await user.send(method, path, {})
            is_refusal(signed, 404, "There is nothing at this address.")
            is_refusal(anybody, 404, "There is nothing at this address.")


async def test_a_method_that_an_address_does_not_have(user):
    """405 at every address, with all the methods that it has."""
    for path in DOCUMENT["paths"]:
        allowed = sorted(method.upper() for method in DOCUMENT["paths"][path])
        concrete = re.sub(r"\{\w+\}", "1", path)
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"} - set(allowed):
            answer = await user.call(method, concrete)
            is_refusal(answer, 405, "This address has other methods.")
            assert ", ".join(allowed) == answer.headers["Allow"], path


async def test_a_body_over_the_bound(user, bench):
    """422 and SolarNetwork's code for it, declared or found out on the way; the next one works."""
    body = msgspec.json.encode({**HOOK, "more": "x" * MAX_BODY_BYTES})
    declared = await user.call("POST", HOOKS, body=body)
    headers = user.sign("POST", HOOKS, body)

    async def chunks():
        for at in range(0, len(body), 65_536):
            yield body[at : at + 65_536]

    async with bench.session.post(bench.url + HOOKS, headers=headers, data=chunks()) as response:
        chunked = response.status, await response.json()

    is_refusal(declared, 422, TOO_LARGE, "WEB.00100")
    assert (422, declared.json) == chunked
    assert 200 == (await user.post(HOOKS, HOOK)).status


async def test_a_body_that_unpacks_to_too_much(user):
    """A gzip bomb: refused alike, at each of the addresses."""
    bomb = gzip.compress(b"[" + b" " * 70_000_000 + b"]", 1)
    for path in (UPLOAD, "/solarin/u/bulkCollector.do", "/solarin/api/v1/sec/datum"):
        answer = await user.call("POST", path, body=bomb, **{"content-encoding": "gzip"})
        is_refusal(answer, 422, "The body unpacks to more than this address takes.", "WEB.00100")


async def test_a_body_packed_in_another_way(user):
    """SolarNetwork knows no 400 and no 415 here."""
    for encoding, body, message in (
        ("gzip", b"[]", "The body is not gzip."),
        ("gzip", gzip.compress(b"[]")[:-9], "The gzip body ends too early."),
        ("br", b"[]", "The content encoding 'br' is not gzip or identity."),
    ):
        answer = await user.call("POST", UPLOAD, body=body, **{"content-encoding": encoding})
        is_refusal(answer, 422, f"Illegal argument: {message}")


NO_JSON = (
    b"{",
    b"[" * 5000,
    b"\xff\xfe",
    b"null",
    b'"x"',
    b'{"name":"\\ud800"}',
    gzip.compress(b"{}"),
)
NO_HOOK = (*NO_JSON, b"[]", b'{"name": 1e999999}', b'{"id": 1.5}', b'{"nodeIds": ["x"]}')
NO_UPLOAD = (*NO_JSON, b"{}", b"[1,]")


async def test_a_body_that_is_not_understood(user):
    """Malformed JSON is told, with where; so is JSON of another shape."""
    for path, bodies in ((HOOKS, NO_HOOK), (UPLOAD, NO_UPLOAD)):
        for body in bodies:
            answer = await user.call("POST", path, body=body)
            assert 422 == answer.status, body
            assert ["success", "message"] == list(answer.json)
            assert answer.json["message"].startswith("Malformed JSON: ")


KINDS = {
    "text/plain": False,
    "multipart/form-data; boundary=x": False,
    "application/xml": False,
    "application/json": True,
    "Application/JSON; charset=utf-8": True,
    "application/vnd.solarnetwork+json": True,
}


async def test_a_body_of_another_type(user):
    """What says that it is no JSON is not read as JSON."""
    for path, sent in ((HOOKS, HOOK), (UPLOAD, [])):
        for kind, taken in KINDS.items():
            body = msgspec.json.encode(sent)
            answer = await user.call("POST", path, body=body, **{"content-type": kind})
            if taken:
                assert 200 == answer.status
            else:
                said = kind.partition(";")[0]
                message = f"Illegal argument: the Content-Type must be application/json, not {said}"
                is_refusal(answer, 422, message)


@pytest.mark.parametrize(
    ("status", "told", "code"),
    [(400, 422, None), (408, 408, None), (413, 422, "WEB.00100"), (415, 422, None),
     (500, 500, None), (503, 429, None), (504, 429, "DAO.00200")],
)  # fmt: skip
def test_what_the_outermost_layer_says(status, told, code):
    """SolarNetwork's status and code for what HTTP has others for; a busy hub says until when."""
    response = problem_response(Problem(status, "why"), {"path": "/solaruser/x"})
    body = msgspec.json.decode(response.body)

    assert (told, code) == (response.status_code, body.get("code"))
    assert ("Internal error" if status == 500 else "why") == body["message"]
    assert ("retry-after" in response.headers) == (told == 429)
    native = problem_response(Problem(status, "why"), {"path": "/api/v1/x"})
    assert status == native.status_code


async def test_a_busy_hub_says_so_in_the_envelope(user, bench, monkeypatch):
    """More requests at once than the hub carries out: 429 with Retry-After, not 503."""

    def full(_self):
        raise Problem(503, "Too many requests are under way.", headers={"Retry-After": "1"})

    monkeypatch.setattr(Bounds, "_check_room", full)
    answer = await user.get(HOOKS)

    is_refusal(answer, 429, "Too many requests are under way.")
    assert "1" == answer.headers["Retry-After"]


async def test_without_a_database_the_hub_is_busy(user, bench, monkeypatch):
    """429 and its code, whichever way the connection fails."""
    faults = iter([ConnectionRefusedError(), FileNotFoundError(), TimeoutError()])

    async def gone(*_args, **_more):
        raise next(faults)

    await user.get(HOOKS)  # so that the token is known
    monkeypatch.setattr("wattwire.store.solarnetwork_hooks.list_all", gone)
    for _ in range(3):
        answer = await user.get(HOOKS)
        assert (429, "DAO.00200") == (answer.status, answer.json["code"])
        assert answer.headers["Retry-After"]


async def test_a_client_that_leaves_in_the_middle_harms_nobody(user, bench):
    """Half a body and a closed connection; the hub goes on."""
    host, port = bench.url.removeprefix("http://").split(":")
    headers = user.sign("POST", HOOKS, b"{}")
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST {HOOKS} HTTP/1.1\r\n{head}Content-Length: 100\r\n\r\n{{}}".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    assert 200 == (await user.get(HOOKS)).status
