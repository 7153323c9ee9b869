"""Whatever stands where a signature is expected: refused in the envelope, never in, no oracle.

Requests are written byte by byte, so that no client library tidies them up.
"""

import asyncio
import contextlib
import string
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from solarnetwork_bench import BASE, SolarNetworkClient, http_date, make_client
from solarnetwork_document import check

from wattwire.solarnetwork import snws2

HOOKS = f"{BASE}/hooks"
BODY = b'{"name":"a","topic":"datum/agg/update","serviceIdentifier":"webhook"}'
LETTERS = string.ascii_letters + string.digits
#: What HTTP allows inside the value of a header.
LEGAL = frozenset({9, *range(32, 127), *range(128, 256)})
#: Headers that differ from answer to answer.
OWN = {"date", "x-request-id"}
HURRIED = settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


class Line:
    """Sends requests as bytes from the thread of a test to a hub on the test's loop."""

    def __init__(self, url):
        host, port = url.removeprefix("http://").split(":")
        self._address = host, int(port)
        self._loop = asyncio.get_running_loop()

    def send(self, method, path, headers, body=b""):
        """Return (status, headers, body) for headers of bytes, or of texts in Latin-1."""
        return asyncio.run_coroutine_threadsafe(
            self._send(method, path, headers, body), self._loop
        ).result(30)

    async def _send(self, method, path, headers, body):
        reader, writer = await asyncio.open_connection(*self._address)
        lines = [f"{method} {path} HTTP/1.1".encode(), b"Connection: close"]
        lines += [_bytes(name) + b": " + _bytes(value) for name, value in headers.items()]
        lines += [b"Content-Length: %d" % len(body)] if body else []
        writer.write(b"\r\n".join([*lines, b"", body]))
        async with asyncio.timeout(20):
            head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        first, *fields = head.decode("latin-1").split("\r\n")
        told = dict(field.lower().split(": ", 1) for field in fields)
        check(method, path, int(first.split()[1]), told.get("content-type", ""), rest)
        return int(first.split()[1]), told, rest


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")


def is_refusal(answer):
    """401 or 403, with the message in body and header."""
    status, headers, body = answer
    told = msgspec.json.decode(body)
    assert status in {401, 403}, answer
    assert told == {"success": False, "message": told["message"]}
    assert headers["www-authenticate"] == "snws2"
    assert headers["x-sn-errormessage"] == told["message"].lower()
    assert headers["content-type"] == "application/json"


RAW = st.binary(max_size=300).map(lambda raw: raw.replace(b"\r", b" ").replace(b"\n", b" "))
PARTS = st.sampled_from(
    [b"SNWS2 ", b"SNWS2", b"snws2 ", b"SolarNetworkWS ", b"Bearer ", b"Credential=", b"\t",
     b"SignedHeaders=", b"Signature=", b",", b"=", b";", b"host", b"x-sn-date", b"date", b" ",
     b"a" * 20, b"ab" * 32, "ä".encode(), "ä".encode("latin-1"), b"%00", b"content-type",
     b"x" * 5000, b"\x00", b"\x7f"]
)  # fmt: skip


async def test_any_bytes_as_authorization(user, bench):
    """401 or 403 in the envelope; 400 only for what is no header by HTTP itself."""
    line = Line(bench.url)
    statuses = set()

    @HURRIED
    @given(st.one_of(RAW, st.lists(PARTS, max_size=12).map(b"".join), RAW.map(b"SNWS2 ".__add__)))
    def requests(value):
        answer = line.send("GET", HOOKS, user.sign("GET", HOOKS) | {"authorization": value})
        statuses.add(answer[0])
        if answer[0] == 400:
            assert set(value) - LEGAL, answer
        else:
            is_refusal(answer)

    await asyncio.to_thread(requests)
    assert {401, 403} <= statuses


EDITS = st.tuples(
    st.sampled_from(["insert", "delete", "replace", "double", "case"]),
    st.integers(0, 10_000),
    st.sampled_from(LETTERS + ",;= -_/"),
)


def edited(text, edit):
    """A text with one letter more, less, another, twice or of the other case."""
    kind, place, letter = edit
    place %= len(text)
    before, at, after = text[:place], text[place], text[place + 1 :]
    match kind:
        case "insert":
            return before + letter + at + after
        case "delete":
            return before + after
        case "replace":
            return before + letter + after
        case "double":
            return before + at + at + after
        case _:
            return before + at.swapcase() + after


async def test_a_right_header_with_something_else_in_it(user, bench):
    """One letter of it changed lets nobody in, unless it says the same as before."""
    line = Line(bench.url)

    @HURRIED
    @given(EDITS)
    def requests(edit):
        headers = user.sign("GET", HOOKS)
        value = edited(headers["authorization"], edit)
        answer = line.send("GET", HOOKS, headers | {"authorization": value})
        if answer[0] == 200:
            assert snws2.parse(value) == snws2.parse(headers["authorization"])
        else:
            is_refusal(answer)

    await asyncio.to_thread(requests)


NAMES = st.lists(
    st.sampled_from(
        ["host", "x-sn-date", "date", "digest", "content-type", "x-sn-x", "HOST", ""]
    ),
    max_size=6,
).map(";".join)  # fmt: skip
DATES = st.one_of(
    st.timedeltas(timedelta(days=-400), timedelta(days=400))
    .filter(lambda gap: abs(gap) > timedelta(seconds=5))
    .map(lambda gap: http_date(datetime.now(UTC) + gap)),
    st.datetimes().map(http_date),
    st.sampled_from(
        ["", "yesterday", "Mon, 31 Feb 2020 00:00:00 GMT", "0", "2020-06-01T00:00:00Z"]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
)
DIGESTS = st.one_of(
    st.sampled_from(
        ["sha-256=", "sha-256", "md5=AAAA", "sha=0", "sha-512=" + "0" * 128, "sha-256=" + "0" * 64,
         "sha-256=" + "A" * 43 + "=", "SHA-256=!!", "="]
    ),
    st.text(LETTERS + "=+/,- ", max_size=60),
)  # fmt: skip
CHANGES = st.one_of(
    st.tuples(st.just("x-sn-date"), DATES),
    st.tuples(st.just("digest"), DIGESTS),
    st.tuples(st.just("content-type"), st.sampled_from(["", "text/plain", "application/json;x=1"])),
    st.tuples(st.just("host"), st.sampled_from(["", "example.com", "127.0.0.1", "[::1]:80"])),
    st.tuples(st.just("content-md5"), st.sampled_from(["", "AAAA", "0" * 32])),
    st.tuples(st.sampled_from(["x-sn-a", "date"]), st.sampled_from(["", "1"])),
    st.tuples(st.just("signed"), NAMES),
    st.tuples(st.just("body"), st.binary(max_size=80).filter(lambda body: body != BODY)),
    st.tuples(st.just("without"), st.sampled_from(["x-sn-date", "digest", "content-type"])),
)


def changed(headers, change):
    """(headers, body) of a signed write after one change."""
    name, value = change
    if name == "body":
        return headers, value
    if name == "without":
        return {k: v for k, v in headers.items() if k != value}, BODY
    if name == "signed":
        head, _, rest = headers["authorization"].partition("SignedHeaders=")
        text = f"{head}SignedHeaders={value},{rest.partition(',')[2]}"
        return headers | {"authorization": text}, BODY
    return headers | {name: value}, BODY


def says_the_same(original, headers, changed_part):
    """Names in another order or case; a Date that is neither signed nor looked at."""
    if changed_part != "signed":
        return changed_part == "date"
    with contextlib.suppress(snws2.BadCredentialsError):
        return snws2.parse(headers["authorization"]) == snws2.parse(original["authorization"])
    return False


async def test_a_right_write_with_something_changed(user, bench):
    """Another date, digest, type, host, list of names or body than the signed one: refused."""
    line = Line(bench.url)

    @HURRIED
    @given(CHANGES)
    def requests(change):
        original = user.sign("POST", HOOKS, BODY)
        headers, body = changed(original, change)
        if not says_the_same(original, headers, change[0]):
            is_refusal(line.send("POST", HOOKS, headers, body))

    await asyncio.to_thread(requests)
    assert 0 == await bench.pool.fetchval("SELECT count(*) FROM integration")


async def test_known_and_unknown_tokens_sound_alike(user, bench, organization_id):
    """One answer, headers included, for a wrong secret, an unknown token and a revoked one."""
    line = Line(bench.url)
    secret = "y" * 40
    revoked = await make_client(bench, organization_id)
    await bench.pool.execute(
        "UPDATE solarnetwork_token SET revoked_at = now() WHERE id = $1", revoked.token_id
    )
    strangers = [
        SolarNetworkClient(bench, user.token_id, secret),
        SolarNetworkClient(bench, "x" * 20, secret),
        SolarNetworkClient(bench, user.token_id.swapcase(), secret),
        revoked,
    ]

    @HURRIED
    @given(CHANGES | st.just(("x-none", "")))
    def requests(change):
        at = datetime.now(UTC)
        answers = []
        for stranger in strangers:
            headers, body = changed(stranger.sign("POST", HOOKS, BODY, at=at), change)
            status, told, rest = line.send("POST", HOOKS, headers, body)
            is_refusal((status, told, rest))
            answers.append((status, {k: v for k, v in told.items() if k not in OWN}, rest))
        assert all(answer == answers[0] for answer in answers)

    await asyncio.to_thread(requests)
    assert 0 == await bench.pool.fetchval("SELECT count(*) FROM integration")
