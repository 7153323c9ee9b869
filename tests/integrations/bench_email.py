"""A real SMTP server that asks for STARTTLS and a password, and a fake that fails as it is told."""

from dataclasses import replace

import pytest
import trustme
from integrations_counterparts import LOCAL, Bench
from smtp_counterparts import (
    PASSWORD,
    USER,
    MailServer,
    SmtpFaults,
    SmtpReply,
    client_context,
    server_context,
)
from yarl import URL

from wattwire.integrations import TYPES


@pytest.fixture(scope="session")
def mail_authority():
    """Who vouches for the mail servers of the tests."""
    return trustme.CA()


@pytest.fixture
def mail_server(mail_authority):
    """A mail server of the test's own."""
    server = MailServer(server_context(mail_authority))
    server.start()
    yield server
    server.stop()


def half_of_mails():
    """Every other mail fails, whoever asks."""
    count = iter(range(10_000))
    broken = SmtpReply("body", "451 4.3.0 half")
    return lambda mail: SmtpReply() if next(count) % 2 == 0 else broken


def by_itself(_number, message):
    """A message that shares a mail with no other."""
    return replace(message, event=replace(message.event, severity="critical"))


@pytest.fixture
def email_bench(mail_server, mail_authority):
    """Events travel as files, so that what arrived can be seen byte by byte."""
    kind = TYPES["email"]

    def aimed_at(url):
        return kind.settings(
            host=URL(url).host,
            port=URL(url).port,
            tls="tls" if url.startswith("https") else "starttls",
            username=USER,
            password=PASSWORD,
            from_address="hub@example.com",
            to=["ops@example.com"],
            attach="events",
            timeout_seconds=2,
        )

    def received():
        mails = mail_server.handler.taken
        return [body if isinstance(body, bytes) else body.encode() for mail in mails
                for body in mail.attachments()]  # fmt: skip

    return Bench(
        kind=kind,
        surroundings=replace(LOCAL, tls=client_context(mail_authority)),
        settings=aimed_at(f"http://127.0.0.1:{mail_server.port}"),
        received=received,
        aimed_at=aimed_at,
        replies={
            "denied": SmtpReply("auth", "535 5.7.8 credentials invalid"),
            "broken": SmtpReply("body", "451 4.3.0 local error"),
            "away": SmtpReply("greeting", "421 4.3.2 not now"),
            "throttled": SmtpReply("mail", "421 4.7.0 too many mails"),
            "half": half_of_mails(),
            "taken": SmtpReply(),
        },
        faults=SmtpFaults(mail_authority),
        speaks_http=False,
        apart=by_itself,
    )


@pytest.fixture
def mail_settings(mail_server):
    """A maker of settings for the mail server of the test."""

    def made(**more):
        given = {
            "host": "127.0.0.1",
            "port": mail_server.port,
            "username": USER,
            "password": PASSWORD,
            "from_address": "hub@example.com",
            "to": ["ops@example.com"],
            "timeout_seconds": 5,
        }
        return TYPES["email"].settings(**{**given, **more})

    return made


@pytest.fixture
def trusting(mail_authority):
    """Loopback may be reached, and the tests' authority is trusted."""
    return replace(LOCAL, tls=client_context(mail_authority))


@pytest.fixture
def bench_faults(email_bench):
    """The fake, and settings that aim at it."""
    return email_bench.faults, email_bench.aimed_at
