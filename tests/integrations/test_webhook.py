"""What only webhooks promise: signatures, headers, and a guard that cannot be walked around."""

import asyncio
import gzip
import json
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
import trustme
from integrations_counterparts import Reply
from pydantic import ValidationError

from wattwire.integrations import _http, _signing, webhook
from wattwire.integrations.contract import (
    STANDARD_SCHEDULE,
    Delivered,
    Retry,
    Surroundings,
    UnreachableError,
)
from wattwire.model import Message

BODY = b'{"event":"device.alert","timestamp":"2025-10-26T12:00:00Z","data":{"temperature":85.5}}'
MESSAGE = Message("msg-1", BODY)


async def send(settings, surroundings, message=MESSAGE):
    async with webhook.connect(webhook.Settings(**settings), surroundings) as hook:
        return (await hook.deliver([message]))[message.id]


# --- signatures ---


def test_the_seeds_vector():
    """`X-Signature` is the hexadecimal HMAC-SHA256 of the body under the secret."""
    assert (
        "6ca7b58f2db48ac9b476d5469072de15d83fe7d96f3756a6bc51c8a1cf496536"
        == _signing.plain_signature("top-secret", BODY)
    )


@pytest.mark.parametrize(
    ("secret", "message_id", "timestamp", "body", "expected"),
    [
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
            b'{"test": 2432232314}', "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "top-secret", "msg_1", 1761480000, BODY,
            "v1,42ZgHz22lmIlbN27WEKT40rha+MuXYJefFsIMyVxNiM=",
        ),
    ],
)  # fmt: skip
def test_the_vectors_of_standard_webhooks(secret, message_id, timestamp, body, expected):
    """The specification's own vector, and one for a secret that is plain text."""
    key = _signing.key_bytes(secret)

    assert expected == _signing.standard_signature([key], message_id, timestamp, body)


async def test_an_independent_library_verifies_what_is_sent(inbox, surroundings):
    """PyPI's standardwebhooks takes the request as it came over the wire."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    await send({"url": inbox.url, "secret_key": secret}, surroundings)
    headers = dict(inbox.requests[0].headers)

    assert json.loads(BODY) == standardwebhooks.Webhook(secret).verify(BODY, headers)
    assert "msg-1" == headers["webhook-id"]
    assert _signing.plain_signature(secret, BODY) == headers["X-Signature"]


async def test_while_a_secret_is_changed_both_verify(inbox, surroundings):
    """Receivers with the old and with the new secret take the same request."""
    old, new = "whsec_b2xkLXNlY3JldC1vZi0yNC1ieXRlcw==", "whsec_bmV3LXNlY3JldC1vZi0yNC1ieXRlcw=="
    settings = {"url": inbox.url, "secret_key": new, "previous_secret_key": old}
    await send(settings, surroundings)
    headers = dict(inbox.requests[0].headers)

    for secret in (old, new):
        standardwebhooks.Webhook(secret).verify(BODY, headers)
    assert _signing.plain_signature(new, BODY) == headers["X-Signature"]
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook("whsec_c29tZWJvZHktZWxzZS1lbnRpcmVseQ==").verify(BODY, headers)


async def test_without_a_secret_nothing_is_signed(inbox, surroundings):
    """The id and the time are sent all the same, for receivers that drop repeats."""
    await send({"url": inbox.url}, surroundings)
    headers = inbox.requests[0].headers

    assert "X-Signature" not in headers
    assert "webhook-signature" not in headers
    assert ("msg-1", "application/json") == (headers["webhook-id"], headers["Content-Type"])


# --- settings ---


async def test_headers_of_ones_own(inbox, surroundings):
    """They are sent as given; their values are never shown."""
    settings = {"url": inbox.url, "headers": {"Authorization": "Bearer s3cr3t", "X-Site": "7"}}
    await send(settings, surroundings)
    headers = inbox.requests[0].headers

    assert ("Bearer s3cr3t", "7") == (headers["Authorization"], headers["X-Site"])
    assert "s3cr3t" not in webhook.Settings(**settings).model_dump_json()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "internal"}, {"content-length": "0"}, {"Transfer-Encoding": "chunked"},
        {"connection": "close"}, {"X-Signature": "00"}, {"webhook-id": "x"}, {"a b": "c"},
        {"x": "a\r\nHost: b"}, {"x": "a\nb"}, {"x": "\x00"}, {"": "x"}, {"x": "é"},
        {"x": "y" * 9000}, {f"x-{n}": "y" for n in range(60)},
    ],
)  # fmt: skip
def test_headers_that_are_refused(headers):
    """What the hub sets itself, what would split the request, what is too long or too many."""
    with pytest.raises(ValidationError):
        webhook.Settings(url="https://example.com", headers=headers)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com", "file:///etc/passwd", "//example.com", "example.com", "https://",
        "https://user:pass@example.com/", "http://:80/", "https://example.com:99999/", "",
        "gopher://example.com", "https://" + "a" * 2100,
    ],
)  # fmt: skip
def test_addresses_that_are_refused(url):
    """Only http and https, with a host, without a password in it."""
    with pytest.raises(ValidationError):
        webhook.Settings(url=url)


@pytest.mark.parametrize(
    "settings",
    [
        {"secret_key": "whsec_***"}, {"secret_key": ""}, {"secret_key": "whsec_"},
        {"previous_secret_key": "x"}, {"retry_attempts": 0}, {"timeout_seconds": 0},
    ],
)  # fmt: skip
def test_settings_that_are_refused(settings):
    """A secret that could not sign, a rotation without a new one, no attempt at all."""
    with pytest.raises(ValidationError):
        webhook.Settings(url="https://example.com", **settings)


def test_the_schedule_is_the_seeds():
    """Three attempts, ever further apart; more if somebody says so."""
    settings = webhook.Settings(url="https://example.com")

    assert [0, 5, 10] == webhook.schedule(settings)
    assert 20 == len(webhook.schedule(webhook.Settings(url="https://e.com", retry_attempts=20)))
    assert (50, 10, 1_048_576) == (
        webhook.PRESETS.rate_per_minute,
        webhook.PRESETS.max_concurrent,
        webhook.PRESETS.max_payload_bytes,
    )
    assert 30 == webhook.TYPE.timeout_seconds(settings)
    assert 8 == len(STANDARD_SCHEDULE)


def test_the_ledgers_address_has_no_query():
    """Tokens live there."""
    settings = webhook.Settings(url="https://example.com/hook?token=s3cr3t#x")

    assert "https://example.com/hook" == webhook.address(settings)


# --- answers ---


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_two_hundred_something_is_success(faults, surroundings, status):
    """And the receipt says which."""
    faults.reply = Reply(status, b"")
    async with faults.serving() as url:
        outcome = await send({"url": url}, surroundings)

    assert Delivered(f"HTTP {status}", status) == outcome


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 400, 404, 500])
async def test_anything_else_is_not(faults, surroundings, status):
    """A redirect least of all: it is not followed."""
    faults.reply = Reply(status, b"see there", {"Location": "http://169.254.169.254/"})
    async with faults.serving() as url:
        outcome = await send({"url": url}, surroundings)

    assert isinstance(outcome, Retry)
    assert outcome.reason.startswith(f"HTTP {status} Because: see there")
    assert 1 == len(faults.requests)


def later(seconds):
    moment = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120), (" 7 ", 7), ("0", 0), (later(90), 90), (later(-90), 0), ("soon", None),
        ("", None), (None, None), ("-5", None), ("1.5", None), ("9" * 400, 10**9),
        ("Sun, 99 Zzz 2026", None),
    ],
)  # fmt: skip
def test_retry_after(value, seconds):
    """Seconds or a date; nonsense is no wish."""
    wish = _http.retry_after(value, datetime(2026, 3, 1, tzinfo=UTC))

    assert (None if seconds is None else timedelta(seconds=seconds)) == wish


async def test_a_long_answer_is_not_read_to_its_end(faults, surroundings):
    """Four kilobytes are enough to see what went wrong; the rest costs the connection."""
    faults.reply = Reply(500, b"x" * 5_000_000)
    async with faults.serving() as url:
        outcome = await send({"url": url}, surroundings)

    assert len(outcome.reason) < 700


async def test_a_compressed_answer_is_not_unpacked(faults, surroundings):
    """An answer of a kilobyte that unpacks to a gigabyte stays a kilobyte."""
    faults.reply = Reply(500, gzip.compress(b"x" * 1_000_000), {"Content-Encoding": "gzip"})
    async with faults.serving() as url:
        settings = webhook.Settings(url=url)
        async with webhook.connect(settings, surroundings) as hook:
            for _ in range(2):
                outcome = (await hook.deliver([MESSAGE]))["msg-1"]

    assert "HTTP 500 Because" == outcome.reason
    assert 1 == faults.connections  # all of it was read, and nothing was left over


async def test_connections_are_kept(faults, surroundings):
    """Twenty messages one after another: one connection."""
    async with faults.serving() as url:
        settings = webhook.Settings(url=url)
        async with webhook.connect(settings, surroundings) as hook:
            for n in range(20):
                await hook.deliver([Message(f"m-{n}", b"{}")])

    assert (20, 1) == (len(faults.requests), faults.connections)


async def test_cookies_are_not_kept(faults, surroundings):
    """What one answer sets, the next request does not carry."""
    faults.reply = Reply(200, b"", {"Set-Cookie": "track=1; Path=/"})
    async with faults.serving() as url:
        settings = webhook.Settings(url=url.replace("127.0.0.1", "localhost"))
        async with webhook.connect(settings, surroundings) as hook:
            for n in range(2):
                await hook.deliver([Message(f"m-{n}", b"{}")])

    assert "cookie" not in faults.requests[1].headers


async def test_tls_with_an_authority_that_is_trusted(faults, surroundings):
    """HTTPS works when the certificate is vouched for."""
    ca = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    around = Surroundings(surroundings.allowed_networks, tls=trusting)
    async with faults.serving(server) as url:
        outcome = await send({"url": url}, around)

    assert isinstance(outcome, Delivered)


async def test_a_proxy_of_the_environment_is_not_used(faults, surroundings, monkeypatch):
    """A proxy would connect for us, to where the guard cannot see."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with faults.serving() as url:
        assert isinstance(await send({"url": url}, surroundings), Delivered)


# --- the guard ---


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.1",
        "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "0.0.0.0", "0",
        "[64:ff9b::7f00:1]", "[fe80::1%25lo]", "127.0.0.1.", "localhost.",
    ],
)  # fmt: skip
async def test_the_hubs_own_network_is_out_of_reach(inbox, host):
    """In every spelling the request is refused before a connection is made."""
    port = inbox.url.rpartition(":")[2]
    try:
        settings = webhook.Settings(url=f"http://{host}:{port}/")
    except ValidationError:
        return
    async with webhook.connect(settings, Surroundings()) as hook:
        with pytest.raises(UnreachableError) as refused:
            await hook.deliver([MESSAGE])

    assert [] == inbox.requests
    assert "127.0.0.1:" not in str(refused.value) or "not" in str(refused.value)


async def test_the_reason_tells_what_the_operator_can_do(inbox):
    """Whoever wants to reach a machine of their own finds the setting in the message."""
    with pytest.raises(UnreachableError, match=r"loopback.*WATTWIRE_WEBHOOK_ALLOW"):
        await send({"url": inbox.url}, Surroundings())
    with pytest.raises(UnreachableError, match=r"localhost .*WATTWIRE_WEBHOOK_ALLOW"):
        await send({"url": inbox.url.replace("127.0.0.1", "localhost")}, Surroundings())


async def test_an_allowed_network_may_be_reached(inbox, surroundings):
    """127.0.0.0/8 is allowed here, by address and by name."""
    assert isinstance(await send({"url": inbox.url}, surroundings), Delivered)
    named = inbox.url.replace("127.0.0.1", "localhost")
    assert isinstance(await send({"url": named}, surroundings), Delivered)


async def test_a_name_that_changes_its_mind_gains_nothing(inbox, monkeypatch):
    """The name is public when it is checked and private when asked again: nothing connects.

    The name is looked up once, and the address that was checked is the one that is used.
    """
    asked = []
    port = int(inbox.url.rpartition(":")[2])

    def answer(host, _port, *_args, **_options):
        asked.append(host)
        address = "93.184.216.34" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    connected = []

    async def connect(self, sock, address):
        connected.append(address)
        raise ConnectionRefusedError(111, "refused by the test")

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setattr(type(asyncio.get_running_loop()), "sock_connect", connect)
    with pytest.raises(UnreachableError):
        await send({"url": f"http://rebind.example:{port}/"}, Surroundings())

    assert [("93.184.216.34", port)] == connected
    assert ["rebind.example"] == asked
    assert [] == inbox.requests


async def test_of_several_addresses_only_the_public_are_tried(inbox, monkeypatch):
    """A name with a private and a public address is reached by the public one alone."""
    port = int(inbox.url.rpartition(":")[2])
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *_args, **_options: [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("127.0.0.1", "10.0.0.1", "93.184.216.34")
        ],
    )
    found = await _http.Guard().resolve("mixed.example", port)

    assert ["93.184.216.34"] == [address["host"] for address in found]


def test_the_last_step_looks_again():
    """Even if the resolver were left out, no socket is made for a private address."""
    info = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))
    with pytest.raises(_http.ForbiddenAddressError):
        _http.Guard().make_socket(info)


def test_printable():
    """One line, no control characters, no longer than it should be."""
    assert "a b c" == _http.printable("a\r\nb\x00 \x1b c")
    assert 500 == len(_http.printable("x" * 10_000))
