"""What becomes of a mail: the server's answers, and the connections on which they come."""

import asyncio
import socket
from dataclasses import replace

import pytest
import trustme
from email_letters import KIND, message, sent
from integrations_counterparts import LOCAL, Reply
from smtp_counterparts import (
    MailServer,
    SmtpReply,
    server_context,
)

from wattwire.delivery.verdicts import judge, looks_down, merged
from wattwire.integrations import _smtp
from wattwire.integrations._http import Guard
from wattwire.integrations.contract import (
    TIMED_OUT,
    UNREACHABLE,
    ConfigurationError,
    Delivered,
    Rejected,
    Retry,
    Surroundings,
    UnreachableError,
)
from wattwire.integrations.email import connect

# --- answers ---


@pytest.mark.parametrize(
    ("reply", "outcome", "verdict"),
    [
        (SmtpReply("greeting", "554 5.3.2 nobody today"), "no_service", "down"),
        (SmtpReply("auth", "535 5.7.8 wrong"), "535", "park"),
        (SmtpReply("auth", "550 5.7.8 wrong in other words"), "535", "park"),
        (SmtpReply("auth", "454 4.7.0 directory away"), "454", "down"),
        (SmtpReply("mail", "530 5.7.0 log in first"), "530", "park"),
        (SmtpReply("mail", "553 5.7.1 not your address"), "sender_refused", "park"),
        (SmtpReply("mail", "421 4.7.0 too many"), "421", "throttle"),
        (SmtpReply("mail", "452 4.3.1 no room"), "452", "throttle"),
        (SmtpReply("mail", "552 5.3.4 too big"), "552", "reject"),
        (SmtpReply("rcpt", "450 4.2.0 greylisted"), "450", "retry"),
        (SmtpReply("rcpt", "452 4.5.3 too many"), "452", "throttle"),
        (SmtpReply("rcpt", "421 4.7.0 bye"), "421", "throttle"),
        (SmtpReply("rcpt", "550 5.1.1 no such user"), "550", "reject"),
        (SmtpReply("rcpt", "530 5.7.0 log in first"), "530", "park"),
        (SmtpReply("body", "451 4.3.0 later"), "451", "retry"),
        (SmtpReply("body", "552 5.3.4 too big"), "552", "reject"),
        (SmtpReply("body", "554 5.7.1 spam"), "554", "reject"),
        (SmtpReply("body", "250-half\r\n250 2.0.0 whole"), "", "ok"),
    ],
    ids=lambda value: value.line if isinstance(value, SmtpReply) else None,
)
async def test_codes(bench_faults, trusting, reply, outcome, verdict):
    """Every step of a mail may be refused; each code means what the page says."""
    faults, settings = bench_faults
    faults.reply = reply
    async with faults.serving() as url:
        found = (await sent(settings(url), trusting, message()))["m-1"]
    judged = judge(found, merged(KIND.verdicts, {}))

    assert (outcome, verdict) == (getattr(found, "code", ""), judged)
    assert (verdict == "down") == looks_down(found, judged)


async def test_recipients_have_results_of_their_own(mail_server, mail_settings, trusting):
    """One is refused: the others get the mail, and the receipt tells whose and why."""
    mail_server.handler.rcpt["bob@example.com"] = "550 5.1.1 no such user"
    settings = mail_settings(to=["ann@example.com", "bob@example.com", "cem@example.com"])
    outcome = (await sent(settings, trusting, message()))["m-1"]
    [taken] = mail_server.handler.taken

    assert ["ann@example.com", "cem@example.com"] == taken.recipients
    assert "bob@example.com (550 5.1.1 no such user)" in outcome.receipt
    assert "queued as 4F2A" in outcome.receipt


async def test_one_who_may_be_taken_later_keeps_the_message(mail_server, mail_settings, trusting):
    """All are refused, one of them only for now: it is retried."""
    mail_server.handler.rcpt |= {
        "ann@example.com": "550 5.1.1 no such user",
        "bob@example.com": "450 4.2.0 greylisted",
    }
    settings = mail_settings(to=["ann@example.com", "bob@example.com"])
    outcome = (await sent(settings, trusting, message()))["m-1"]

    assert (Retry, "450") == (type(outcome), outcome.code)


async def test_a_refusal_of_the_hub_outweighs_one_of_a_mailbox(
    mail_server, mail_settings, trusting
):
    """All are refused, one because the hub must log in: nothing becomes a dead letter."""
    mail_server.handler.rcpt |= {
        "ann@example.com": "550 5.1.1 no such user",
        "bob@example.com": "530 5.7.0 log in first",
    }
    settings = mail_settings(to=["ann@example.com", "bob@example.com"])
    outcome = (await sent(settings, trusting, message()))["m-1"]

    assert (Retry, "530") == (type(outcome), outcome.code)


async def test_a_mail_that_is_too_large_is_not_even_sent(mail_authority, mail_settings, trusting):
    """The server said how much it takes: a dead letter that says so."""
    server = MailServer(server_context(mail_authority), data_size_limit=10_000)
    server.start()
    try:
        large = replace(message(), body=b"x" * 20_000)
        settings = mail_settings(port=server.port, attach="events")
        outcome = (await sent(settings, trusting, large))["m-1"]
    finally:
        server.stop()

    assert (Rejected, "552") == (type(outcome), outcome.code)
    assert "the server takes 10,000" in outcome.reason


# --- connections ---


async def test_a_connection_is_used_again(mail_server, mail_settings, trusting):
    """Several calls, one login: also after a mail that was refused."""
    async with connect(mail_settings(), trusting) as integration:
        await integration.deliver([message(1)])
        mail_server.handler.data = "554 5.7.1 spam"
        await integration.deliver([message(2)])
        mail_server.handler.data = "250 ok"
        await integration.deliver([message(3)])

    assert 1 == len(mail_server.handler.sessions)
    assert 2 == len(mail_server.handler.taken)


async def test_a_connection_that_the_server_closed_is_replaced(bench_faults, trusting):
    """The server hangs up between two calls: the next mail goes over a new connection."""
    faults, settings = bench_faults
    async with faults.serving() as url, connect(settings(url), trusting) as integration:
        await integration.deliver([message(1)])
        faults.reply = Reply(cut=True)
        await integration.deliver([message(2)])
        faults.reply = SmtpReply()
        outcome = (await integration.deliver([message(3)]))["m-3"]

    assert isinstance(outcome, Delivered)
    assert 2 == faults.connections


@pytest.mark.parametrize("noticed", [True, False])
async def test_a_connection_that_died_at_rest_is_replaced(
    mail_server, mail_settings, trusting, monkeypatch, noticed
):
    """The server dropped it between two mails; whether that is known yet or found by asking."""
    monkeypatch.setattr(_smtp, "_FRESH_SECONDS", 60.0 if noticed else 0.0)
    async with connect(mail_settings(), trusting) as integration:
        await integration.deliver([message(1)])
        [(client, _)] = integration.post._idle
        dropped = asyncio.run_coroutine_threadsafe(mail_server._hang_up(), mail_server.loop)
        async with asyncio.timeout(10):
            while (noticed and client.is_connected) or not dropped.done():
                await asyncio.sleep(0.01)
        outcome = (await integration.deliver([message(2)]))["m-2"]

    assert isinstance(outcome, Delivered)
    assert 2 == len(mail_server.handler.sessions)


async def test_a_connection_that_rested_is_asked_first(bench_faults, trusting, monkeypatch):
    """The server says that it had closed it: the mail goes over another, and only once."""
    monkeypatch.setattr(_smtp, "_FRESH_SECONDS", 0.0)
    faults, settings = bench_faults
    async with faults.serving() as url, connect(settings(url), trusting) as integration:
        await integration.deliver([message(1)])
        faults.reply = SmtpReply("rset", "421 4.4.2 you were away")
        outcome = (await integration.deliver([message(2)]))["m-2"]

    assert isinstance(outcome, Delivered)
    assert 2 == faults.connections


async def test_a_connection_whose_answer_is_late_is_not_used_again(bench_faults, trusting):
    """What it answers next would belong to the mail before."""
    faults, settings = bench_faults
    faults.reply = Reply(hang=True)
    async with faults.serving() as url:
        impatient = settings(url).model_copy(update={"timeout_seconds": 0.5})
        async with connect(impatient, trusting) as integration:
            late = (await integration.deliver([message(1)]))["m-1"]
            faults.reply = SmtpReply()
            outcome = (await integration.deliver([message(2)]))["m-2"]

    assert TIMED_OUT == late.code
    assert isinstance(outcome, Delivered)
    assert 2 == faults.connections


async def test_closing_in_the_middle_of_the_recipients(bench_faults, trusting):
    """421 to the first of two: the server wants to be left alone, it is not gone."""
    faults, settings = bench_faults
    faults.reply = SmtpReply("rcpt", "421 4.7.0 too many")
    async with faults.serving() as url:
        two = settings(url).model_copy(update={"to": ["a@example.com", "b@example.com"]})
        outcome = (await sent(two, trusting, message()))["m-1"]

    assert "421" == outcome.code


async def test_tls_from_the_first_byte(mail_authority, mail_settings, trusting):
    """Port 465's way."""
    server = MailServer(server_context(mail_authority), implicit=True)
    server.start()
    try:
        outcome = await sent(mail_settings(port=server.port, tls="tls"), trusting, message())
    finally:
        server.stop()

    assert isinstance(outcome["m-1"], Delivered)


async def test_without_tls_and_user(mail_authority, mail_settings, trusting):
    """Port 25's way: a relay that knows the hub by its address."""
    server = MailServer(None, required=False)
    server.start()
    settings = mail_settings(port=server.port, tls="none", username=None, password=None)
    try:
        outcome = (await sent(settings, trusting, message()))["m-1"]
    finally:
        server.stop()

    assert isinstance(outcome, Delivered)


async def test_no_starttls_no_mail(mail_settings, trusting):
    """A server, or somebody before it, that hides STARTTLS gets neither password nor mail."""
    server = MailServer(None, required=False)
    server.start()
    try:
        with pytest.raises(ConfigurationError, match="does not offer STARTTLS"):
            await sent(mail_settings(port=server.port), trusting, message())
    finally:
        server.stop()

    assert [] == server.handler.taken


@pytest.mark.parametrize("implicit", [True, False])
async def test_the_name_on_the_certificate_counts(
    mail_authority, mail_settings, trusting, implicit
):
    """Vouched for, but for somebody else: nothing is sent."""
    server = MailServer(server_context(mail_authority, "mail.example"), implicit=implicit)
    server.start()
    mode = "tls" if implicit else "starttls"
    try:
        outcome = (await sent(mail_settings(port=server.port, tls=mode), trusting, message()))[
            "m-1"
        ]
    finally:
        server.stop()

    assert UNREACHABLE == outcome.code
    assert "certificate of 127.0.0.1 not trusted" in outcome.reason


async def test_an_authority_of_ones_own(mail_authority, mail_server, mail_settings):
    """Its certificate in the settings is trusted, in place of all others."""
    ours = mail_authority.cert_pem.bytes().decode()
    good = await sent(mail_settings(ca_certificate=ours), LOCAL, message())
    other = trustme.CA().cert_pem.bytes().decode()
    bad = await sent(mail_settings(ca_certificate=other), LOCAL, message())

    assert isinstance(good["m-1"], Delivered)
    assert "certificate" in bad["m-1"].reason


async def test_a_name_is_the_one_the_certificate_bears(mail_server, mail_settings, trusting):
    """The socket goes to an address; the name that was asked for is what TLS checks."""
    outcome = (await sent(mail_settings(host="localhost"), trusting, message()))["m-1"]

    assert isinstance(outcome, Delivered)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "0x7f.1", "169.254.169.254", "10.0.0.1"]
)
async def test_private_addresses_are_refused(mail_server, mail_settings, trusting, host):
    """An integration cannot be aimed at what only the hub can reach; nobody is called."""
    outcome = await sent(mail_settings(host=host), Surroundings(tls=trusting.tls), message())

    assert UNREACHABLE == outcome["m-1"].code
    assert "is not a public address" in outcome["m-1"].reason
    assert set() == mail_server.handler.sessions


async def test_an_address_that_does_not_answer_is_not_the_last(
    mail_server, mail_settings, trusting
):
    """A name with several addresses: the next one is tried."""

    class Several(Guard):
        async def resolve(self, host, port=0, family=socket.AF_UNSPEC):
            found = await super().resolve("127.0.0.1", port, family)
            return [{**found[0], "host": "127.9.9.9"}, *found]

    opened = await _smtp._connected(Several(LOCAL.allowed_networks), "mail.test", mail_server.port)

    assert ("127.0.0.1", mail_server.port) == opened.getpeername()
    opened.close()


async def test_an_address_that_was_not_checked_is_not_dialled(mail_server):
    """Should a lookup let a private address through, the socket is refused all the same."""

    class Careless(Guard):
        async def resolve(self, host, port=0, family=socket.AF_UNSPEC):
            return await Guard(LOCAL.allowed_networks).resolve(host, port, family)

    with pytest.raises(UnreachableError, match="not a public address"):
        await _smtp._connected(Careless(), "127.0.0.1", mail_server.port)
