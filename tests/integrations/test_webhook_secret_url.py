"""An address that is a password: it is called, and seen nowhere."""

import asyncio
import json
import logging
import socket
from urllib.parse import unquote

import pytest
import structlog
from integrations_counterparts import LOCAL, Reply
from pydantic import ValidationError
from yarl import URL

from wattwire.integrations import TYPES, slack, webhook
from wattwire.integrations._hidden_urls import hider
from wattwire.integrations.contract import Delivered, Surroundings, UnreachableError
from wattwire.model import Message
from wattwire.store.sealing import part

SECRET = "/hooks/catch/1234567/aBcDeF9?token=t0psecret&x=a%20b%2Fc1"
#: What must not be seen of it.
PARTS = ("catch/1234567", "1234567", "aBcDeF9", "t0psecret", "a b/c1", "a%20b%2Fc1")
MESSAGE = Message("msg-1", b"{}")


def settings(url, **more):
    return webhook.Settings(secret_url=url, timeout_seconds=1, **more)


async def send(settings, surroundings=LOCAL):
    async with webhook.connect(settings, surroundings) as hook:
        return (await hook.deliver([MESSAGE]))["msg-1"]


def assert_hidden(text):
    """Nothing of the address but its origin is in a text, however it is written."""
    seen = unquote(text).lower() + text.lower()
    assert [] == [secret for secret in PARTS if secret.lower() in seen], text


async def test_it_is_called_as_it_is(faults):
    """Path, query and their escapes arrive, and the receiver's yes is a yes."""
    async with faults.serving() as url:
        outcome = await send(settings(url + SECRET))

    assert isinstance(outcome, Delivered)
    assert SECRET.replace("%2F", "/") in faults.requests[0].target.replace("%2F", "/")
    assert ("POST", "aBcDeF9") == (faults.requests[0].method, faults.requests[0].target[21:28])


@pytest.mark.parametrize(
    "given",
    [
        {}, {"url": None, "secret_url": None},
        {"url": "https://a.example/", "secret_url": "https://a.example/b"},
        {"secret_url": "ftp://a.example/s3cr3t"}, {"secret_url": "s3cr3t"},
        {"secret_url": "https://user:s3cr3t@a.example/"}, {"secret_url": ""},
        {"secret_url": "https://a.example:s3cr3t/"}, {"secret_url": "http://[s3cr3t/"},
        {"secret_url": "https://a.example/s3cr3t" + "x" * 2048},
    ],
)  # fmt: skip
def test_exactly_one_address_and_a_usable_one(given):
    """The same rules as for `url`; an error repeats nothing of it."""
    with pytest.raises(ValidationError) as refused:
        webhook.Settings(**given)

    assert "s3cr3t" not in str(refused.value)
    (fault, *_) = refused.value.errors()
    assert "Invalid URL" not in fault["msg"]  # what the library says of it is not for people


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::1]", "0.0.0.0"])
async def test_the_hubs_own_network_is_out_of_reach(inbox, host):
    """A secret address is guarded as any other."""
    port = inbox.url.rpartition(":")[2]
    with pytest.raises(UnreachableError) as refused:
        await send(settings(f"http://{host}:{port}{SECRET}"), Surroundings())

    assert [] == inbox.requests
    assert_hidden(str(refused.value))


def test_it_is_in_no_print_and_in_no_address():
    """repr, str, JSON, what is stored in clear, and what the ledger says: the origin at most."""
    made = settings(f"https://hooks.zapier.com{SECRET}")
    public, secret = part(made)

    assert "https://hooks.zapier.com/…" == webhook.address(made)
    for shown in (repr(made), str(made), made.model_dump_json(), json.dumps(public)):
        assert_hidden(shown)
    assert {"secret_url": str(URL(f"https://hooks.zapier.com{SECRET}"))} == secret


async def test_an_open_integration_prints_nothing(inbox):
    """Neither the address nor headers nor keys are in what a traceback would show."""
    given = settings(inbox.url + SECRET, secret_key="t0psecret", headers={"X-A": "aBcDeF9"})
    async with webhook.connect(given, LOCAL) as hook:
        assert_hidden(repr(hook))


def echo(status):
    """A receiver that repeats the address it was called at, in every way that it can."""

    def reply(request):
        target, plain = request.target, unquote(request.target)
        body = json.dumps({
            "error": f"Cannot POST {target}", "path": plain, "id": "aBcDeF9", "n": 1234567,
            "php": target.replace("/", "\\/"), "url": f"http://{request.headers['host']}{target}",
        })  # fmt: skip
        return Reply(status, body.encode(), {"X-Path": target, "Retry-After": "1"})

    return reply


REPLIES = {
    "not found": echo(404), "gone wrong": echo(500), "denied": echo(403), "large": echo(413),
    "redirect": Reply(302, b"", {"Location": SECRET}),
    "cut": Reply(cut=True),
    "status line": Reply(raw=f"HTTP/1.1 404 no {SECRET}\r\nContent-Length: 0\r\n\r\n".encode()),
    "garbage": Reply(raw=f"no HTTP but {SECRET}\r\n\r\n".encode()),
    "bad header": Reply(raw=f"HTTP/1.1 200 OK\r\n{SECRET}\r\n\r\n".encode()),
    "short": Reply(raw=b"HTTP/1.1 500 Oops\r\nContent-Length: 99999\r\n\r\naBcDeF9"),
    "cut in two": Reply(500, b" " * 300 + b"x" * 490 + b"t0psecret" * 9),
    "silent": Reply(hang=True),
}  # fmt: skip


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
async def test_whatever_a_receiver_answers(faults, story, reply, caplog):
    """Ledger rows, attempts' reasons, the integration's state, dead letters, events, log lines."""
    caplog.set_level(logging.DEBUG)
    faults.reply = reply
    async with faults.serving() as url:
        public, secret = part(settings(url + SECRET, retry_attempts=2))
        one = await story.integrate(
            type="webhook", settings=public, secrets=json.dumps(secret).encode()
        )
        with structlog.testing.capture_logs() as logged:
            async with story.working(types=TYPES, surroundings=LOCAL):
                await story.cause(1, one)
                await story.quiet()
                await story.until(lambda: len(faults.requests) > 0)
                async with asyncio.timeout(20):
                    while not (rows := await story.attempts(one)):
                        await story.quiet()
                await story.pass_time(30)
        letters, state = await story.letters(one), await story.state(one)

    assert rows
    assert {f"{URL(url).origin()}/…"} == {row["address"] for row in rows}
    seen = [dict(row) for row in [*rows, *letters]] + [dict(state or {})]
    events = [event.data for event in story.emitted]
    assert_hidden(f"{seen} {events} {logged} {caplog.text}")


async def test_no_half_of_it_is_seen_where_an_answer_is_cut(faults):
    """What must not be seen is taken out before the rest is made short."""
    faults.reply = Reply(500, b"x" * 493 + b"t0psecret")
    async with faults.serving() as url:
        outcome = await send(settings(url + SECRET))

    assert outcome.reason.endswith("x…")


async def test_the_query_of_a_plain_address_is_in_no_reason_either(faults):
    """Tokens live there; an answer that is no HTTP is told without the address."""
    faults.reply = Reply(raw=b"no HTTP\r\n\r\n")
    async with faults.serving() as url:
        with pytest.raises(UnreachableError, match="Bad status line") as refused:
            await send(webhook.Settings(url=url + SECRET))

    assert_hidden(str(refused.value))


async def test_nobody_listens():
    """Refused connections are told by host and port alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with pytest.raises(UnreachableError) as refused:
            await send(settings(f"http://127.0.0.1:{probe.getsockname()[1]}{SECRET}"))

    assert_hidden(str(refused.value))


async def test_slacks_webhook_is_hidden_from_what_is_answered(faults):
    """The type whose URL always was a secret keeps it out of repeated words as well."""
    faults.reply = echo(404)
    async with faults.serving() as url:
        made = slack.Settings(webhook_url=url + SECRET)
        async with slack.connect(made, LOCAL) as integration:
            outcome = await integration.test(MESSAGE)
            shown = repr(integration)

    assert "Cannot POST" in outcome.reason
    assert_hidden(outcome.reason + shown)


def test_words_that_everybody_knows_are_left():
    """What an answer says stays readable; short parts and known words guard nothing."""
    hide = hider(URL("https://n8n.example/webhook/5f1c7a0e-abcd/v1"))

    assert 'The webhook "POST …" is not registered, v1' == hide(
        'The webhook "POST 5f1c7a0e-abcd" is not registered, v1'
    )
    assert "see … for more" == hide("see /webhook/5f1c7a0e-abcd/v1 for more")
    assert "nothing" == hider(URL("https://a.example"))("nothing")
