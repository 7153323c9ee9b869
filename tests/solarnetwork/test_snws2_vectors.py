"""SNWS2 against SolarNetwork's own test vectors, and what is no signature."""

import base64
import hashlib
from datetime import UTC, date, datetime, timedelta

import pytest

from wattwire.solarnetwork import snws2
from wattwire.solarnetwork.snws2 import BadCredentialsError, Request

SECRET = "test-token-secret"
AT = datetime(2017, 4, 25, 14, 30, tzinfo=UTC)
DATE = "Tue, 25 Apr 2017 14:30:00 GMT"
KEY = snws2.signing_key(SECRET, AT.date())
JSON_BODY = b'{"hello":"world"}'
GIVEN_HASH = "226e49e13d16e5e8aa0d62e58cd63361bf097d3e2b2444aa3044334628a2e8de"


def digest_of(hashed):
    return "sha-256=" + base64.b64encode(bytes.fromhex(hashed)).decode()


def request(method="GET", path="/api/test", query="", body=b"", **headers):
    named = {name.replace("_", "-"): [value] for name, value in headers.items()}
    return Request(method, path, query, named, body)


def signed(received, host="localhost", body_hash=None):
    names = tuple(sorted({*received.headers, "host"}))
    canonical = snws2.canonical_request(received, names, host, body_hash)
    return canonical, snws2.sign(KEY, snws2.string_to_sign(AT, canonical))


@pytest.mark.parametrize(
    ("secret", "day", "key"),
    [
        (
            "ABC123",
            date(2017, 1, 1),
            "1f96b28b651285e49d06989aebaee169fa67a5f6a07fb72a8325fce83b425ad6",
        ),
        (
            SECRET,
            date(2017, 4, 25),
            "bf7885e8bd107a79f5c6e13001a4fa15fbd43221ad39ca47fde96191d302dbf4",
        ),
    ],
)
def test_a_signing_key_is_derived_as_published(secret, day, key):
    """The wiki's key and that of the Java tests."""
    assert key == snws2.signing_key(secret, day).hex()


@pytest.mark.parametrize(
    ("received", "host", "body_hash", "signature"),
    [
        (
            request(date=DATE),
            "localhost",
            None,
            "4739139d3d370f147b6585795c309b1c6d7d7f59943081f7dd943f689cfa59a3",
        ),
        (
            request(x_sn_date=DATE),
            "localhost",
            None,
            "c14fe9f67560fb9a37d2aa7c40b40c260a5936f999877e2469b8ddb1da7c0eb9",
        ),
        (
            request(path="/api/query", query="foo=bar&bim=bam", date=DATE),
            "localhost",
            None,
            "c597ed8061d9d12e12ead3d8d6fc03b28a877e8639548f31556b4760be09a4b8",
        ),
        (
            request(
                "POST",
                "/api/post",
                date=DATE,
                content_type="application/json;charset=UTF-8",
                digest=digest_of(GIVEN_HASH),
            ),
            "localhost",
            GIVEN_HASH,
            "ad609dd757c1f7f08a519919ab5e109ec61477cf612c6a0d29cac66d54c3987e",
        ),
        (
            request(
                "POST",
                "/api/post",
                body=JSON_BODY,
                x_sn_date=DATE,
                content_type="application/json; charset=UTF-8",
                digest=digest_of(hashlib.sha256(JSON_BODY).hexdigest()),
            ),
            "localhost",
            None,
            "17b50462a9db77e569bd74676c550c447be07f605f191a39ca481efaa15e9879",
        ),
        (
            request(x_sn_date=DATE),
            "data.solarnetwork.net",
            None,
            "e70f99fd237e74912ac594b70bda27a84c1d41c4a3c7050d80c729496c7bff1f",
        ),
    ],
    ids=["date", "x-sn-date", "query", "given hash", "body", "javascript"],
)
def test_a_request_is_signed_as_published(received, host, body_hash, signature):
    """Each published case gives its signature, to the digit."""
    assert signature == signed(received, host, body_hash)[1]


def test_the_canonical_request_is_the_published_one():
    """The hash of the first case, and the third line of the one with parameters."""
    canonical, _ = signed(request(date=DATE))
    query, _ = signed(request(query="foo=bar&bim=bam", date=DATE))

    assert (
        "1b5cf4c03e8e85f1c08a01ea1d4bd89cc550fc964134b59bb0accf9e5dbb26bf"
        == hashlib.sha256(canonical.encode()).hexdigest()
    )
    assert "bim=bam&foo=bar" == query.split("\n")[2]


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("", ""),
        ("b=2&a=1&b=1", "a=1&b=2&b=1"),
        ("a=x+y%20z*~", "a=x%20y%20z%2A~"),
        ("s=%2Fa%2F%C3%A4", "s=%2Fa%2F%C3%A4"),
        ("flag&a=", "a=&flag="),
        ("%F0%9F%98%80=1&%EF%BF%BD=2", "%F0%9F%98%80=1&%EF%BF%BD=2"),
    ],
    ids=["none", "repeated", "spaces", "utf-8", "empty", "java order"],
)
def test_parameters_are_sorted_and_encoded(query, line):
    """By name as Java compares (UTF-16), values in their order, everything rare as %XX."""
    assert line == snws2.canonical_parameters(snws2.parameters_of(request(query=query)))


def test_header_values_are_trimmed_and_runs_of_spaces_collapse():
    """A signed header is canonical however it was spaced."""
    canonical, _ = signed(request(x_sn_date=f"  {DATE} ", x_sn_note=" a   b "))

    assert "x-sn-note:a b" in canonical.split("\n")
    assert f"x-sn-date:{DATE}" in canonical.split("\n")


SIGNATURE = "ab" * 32


@pytest.mark.parametrize("header", ["", "Bearer x", "snws2 Credential=a", "SNWS2"])
def test_what_is_not_snws2_is_nobody(header):
    """No header and other schemes are anonymous, but the bare word is a broken signature."""
    if header == "SNWS2":
        with pytest.raises(BadCredentialsError, match="Invalid Credential value"):
            snws2.parse(header)
    else:
        assert snws2.parse(header) is None


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (f"SignedHeaders=host;date,Signature={SIGNATURE}", "Invalid Credential value"),
        (f"Credential=,SignedHeaders=host;date,Signature={SIGNATURE}", "Invalid Credential value"),
        ("Credential=a,SignedHeaders=host;date", "Invalid Signature value"),
        ("Credential=a,SignedHeaders=host;date,Signature=abc", "Invalid Signature value"),
        (f"Credential=a,SignedHeaders=host;date,Signature={'g' * 64}", "Invalid Signature value"),
        (f"Credential=a,Signature={SIGNATURE}", "Invalid SignedHeaders value"),
        (f"Credential=a,SignedHeaders=host,Signature={SIGNATURE}", "Invalid SignedHeaders value"),
        (
            f"Credential=a,SignedHeaders=host;HOST,Signature={SIGNATURE}",
            "Invalid SignedHeaders value",
        ),
    ],
)
def test_a_broken_header_is_named(parts, message):
    """Each part that is missing or wrong has its message."""
    with pytest.raises(BadCredentialsError, match=message):
        snws2.parse(f"SNWS2 {parts}")


def test_a_token_id_may_contain_an_equals_sign():
    """A component is split at its first equals sign; a repeated one counts once."""
    found = snws2.parse(
        f"SNWS2 Credential=a=b,SignedHeaders=Host;Date,Signature={SIGNATURE},Credential=c"
    )

    assert ("a=b", ("date", "host"), SIGNATURE) == (found.token_id, found.signed, found.signature)


@pytest.mark.parametrize(
    ("names", "headers", "message"),
    [
        ("date;x", {"date": DATE}, "The 'Host' HTTP header must be included in SignedHeaders"),
        (
            "host;x",
            {"date": DATE},
            "One of the 'Date' or 'X-SN-Date' HTTP headers must be included in SignedHeaders",
        ),
        (
            "host;date",
            {"x-sn-other": "1"},
            "The 'x-sn-other' HTTP header must be included in SignedHeaders",
        ),
        (
            "host;date",
            {"content-type": "a/b"},
            "The 'content-type' HTTP header must be included in SignedHeaders",
        ),
        (
            "host;date",
            {"content-md5": "x"},
            "The 'content-md5' HTTP header must be included in SignedHeaders",
        ),
        (
            "host;date",
            {"digest": "x"},
            "The 'digest' HTTP header must be included in SignedHeaders",
        ),
    ],
)
def test_what_must_be_signed_is(names, headers, message):
    """The host, a date, everything of SolarNetwork's own, and what describes the body."""
    received = Request("GET", "/", "", {name: [value] for name, value in headers.items()})
    with pytest.raises(BadCredentialsError) as told:
        snws2.check_signed(names.split(";"), received)

    assert message == str(told.value)


def test_a_signed_header_must_not_be_repeated():
    """Of two dates nobody can tell which one was signed."""
    received = Request("GET", "/", "", {"date": [DATE, DATE], "host": ["h"]})
    with pytest.raises(BadCredentialsError, match="must not be repeated"):
        snws2.check_signed(["date", "host"], received)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2017-04-25T14:30:00Z",
        "Tue, 25 Apr 2017 14:30:00 +0000",
        "Tue, 31 Feb 2017 14:30:00 GMT",
        "Tue, 25 Foo 2017 14:30:00 GMT",
        "Tue, 25 Apr 2017 24:30:00 GMT",
        "Die, 25 Apr 2017 14:30:00 GMT",
    ],
)
def test_a_date_that_is_none_is_refused(text):
    """Only RFC 1123 dates in English and GMT."""
    with pytest.raises(BadCredentialsError, match="Missing or invalid HTTP Date header value"):
        snws2.request_date(request(date=text))
    with pytest.raises(BadCredentialsError, match="Invalid HTTP X-SN-Date header value"):
        snws2.request_date(request(date=DATE, x_sn_date=text))


def test_x_sn_date_wins_over_date():
    """Browsers cannot set Date."""
    other = "Wed, 26 Apr 2017 14:30:00 GMT"

    assert AT + timedelta(days=1) == snws2.request_date(request(date=DATE, x_sn_date=other))


@pytest.mark.parametrize(
    ("seconds", "timely"), [(899, True), (900, False), (-899, True), (-900, False)]
)
def test_clocks_may_differ_by_less_than_fifteen_minutes(seconds, timely):
    """900 seconds are too many, in both directions."""
    assert timely == snws2.is_timely(AT, AT + timedelta(seconds=seconds))


def _body_digest(name):
    return hashlib.new(name, JSON_BODY)


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [("md5", "md5"), ("sha", "sha1"), ("SHA-256", "sha256"), ("sha-512", "sha512")],
)
@pytest.mark.parametrize("coding", ["hex", "base64"])
def test_a_digest_is_compared_with_the_body(name, algorithm, coding):
    """In hex and base64; another body has another digest; an unknown algorithm is passed over."""
    hashed = _body_digest(algorithm)
    value = hashed.hexdigest() if coding == "hex" else base64.b64encode(hashed.digest()).decode()
    header = f"crc32=1,{name}={value}"

    snws2.check_digest(request(body=JSON_BODY, digest=header))
    with pytest.raises(BadCredentialsError) as told:
        snws2.check_digest(request(body=b"{}", digest=header))
    assert f"Content {name.lower()} digest value mismatch" == str(told.value)


def test_content_md5_is_compared_with_the_body():
    """Where there is no Digest."""
    value = base64.b64encode(_body_digest("md5").digest()).decode()

    snws2.check_digest(request(body=JSON_BODY, content_md5=value))
    with pytest.raises(BadCredentialsError, match="Content md5 digest value mismatch"):
        snws2.check_digest(request(body=b"{}", content_md5=value))


def test_a_digest_that_is_no_digest_is_told():
    """Neither hex nor base64."""
    with pytest.raises(BadCredentialsError, match="Invalid Digest sha-256 encoding"):
        snws2.check_digest(request(body=JSON_BODY, digest="sha-256=ä!"))


def test_the_key_of_six_days_ago_still_signs():
    """Seven days in all; the day before them does not."""
    canonical, _ = signed(request(date=DATE))
    text = snws2.string_to_sign(AT, canonical)
    keys = [snws2.signing_key(SECRET, day) for day in snws2.days_of(AT)]

    def fits(days):
        key = snws2.signing_key(SECRET, AT.date() - timedelta(days=days))
        return snws2.fits(snws2.sign(key, text), keys, [text])

    assert [True] * 7 + [False] * 2 == [fits(days) for days in range(9)]
    assert not snws2.fits(
        snws2.sign(snws2.signing_key(SECRET, date(2017, 4, 26)), text), keys, [text]
    )


@pytest.mark.parametrize(
    ("received", "forwarded", "port", "hosts"),
    [
        ("hub", (), "", ("hub", "hub:443")),
        ("hub:8080", (), "", ("hub:8080",)),
        ("hub", (), "8443", ("hub", "hub:8443", "hub:443")),
        ("hub", (), "80", ("hub", "hub:443")),
        ("back:1", ("front",), "", ("back:1", "front", "front:443")),
        ("[::1]", (), "", ("[::1]", "[::1]:443")),
        ("[::1]:80", (), "", ("[::1]:80",)),
    ],
)
def test_a_host_may_be_signed_with_or_without_its_port(received, forwarded, port, hosts):
    """As received, then with the port that a proxy or TLS adds."""
    assert hosts == snws2.hosts_of(received, forwarded, port)


def test_a_form_is_signed_by_its_parameters():
    """Form fields are parameters; the hash is that of nothing, or of the body."""
    form = request(
        "POST",
        query="b=2",
        body=b"a=1",
        date=DATE,
        content_type="application/x-www-form-urlencoded;charset=UTF-8",
    )
    authorization = snws2.Authorization("x", ("content-type", "date", "host"), SIGNATURE)
    texts = list(snws2.candidates(authorization, form, AT, ["h"]))
    bare = Request("POST", form.path, "a=1&b=2", form.headers)

    assert (
        snws2.string_to_sign(AT, snws2.canonical_request(bare, authorization.signed, "h")) in texts
    )
    assert 2 == len(set(texts))
