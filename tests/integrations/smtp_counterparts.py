"""What email is tested against: aiosmtpd, a real server, and a fake that fails as it is told."""

import asyncio
import base64
import email
import email.policy
import socket
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from listening import listening

USER, PASSWORD = "alerts", "s3cr3t"


def server_context(authority, *names):
    """TLS for a server, vouched for by an authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("127.0.0.1", "localhost"))).configure_cert(context)
    return context


def client_context(authority):
    """TLS for a client that trusts this authority and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


@dataclass
class Taken:
    """A mail as the server took it."""

    sender: str
    recipients: list
    content: bytes
    session: object = None

    @property
    def mail(self):
        return email.message_from_bytes(self.content, policy=email.policy.default)

    def text(self, kind="plain"):
        return self.mail.get_body((kind,)).get_content()

    def attachments(self):
        return [part.get_content() for part in self.mail.iter_attachments()]


class Handler:
    """Keeps mails; answers RCPT and DATA as the test says."""

    def __init__(self):
        self.taken = []
        self.rcpt = {}  # by address
        self.data = "250 2.0.0 queued as 4F2A"
        self.sessions = set()

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's name
        answer = self.rcpt.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        self.sessions.add(session.peer)
        if self.data.startswith("250"):
            self.taken.append(
                Taken(envelope.mail_from, envelope.rcpt_tos, envelope.original_content, session)
            )
        return self.data


class MailServer(Controller):
    """aiosmtpd, with STARTTLS and a password required unless told otherwise."""

    def __init__(self, tls, *, implicit=False, required=True, **more):
        self._tls, self._implicit, self._required, self._more = tls, implicit, required, more
        self._made = []
        super().__init__(Handler(), "127.0.0.1", 0, ssl_context=tls if implicit else None)

    def factory(self):
        self._made.append(self._one())
        return self._made[-1]

    def _one(self):
        return SMTP(
            self.handler,
            hostname="mail.test",
            tls_context=None if self._implicit else self._tls,
            require_starttls=self._required and not self._implicit,
            auth_required=self._required and not self._implicit,
            auth_require_tls=self._required and not self._implicit,
            authenticator=_authenticate,
            **self._more,
        )

    def stop(self, no_assert=False):
        """Hang up first: a session that is still open would outlive its loop."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self.loop).result(10)
        super().stop(no_assert)

    async def _hang_up(self):
        for made in self._made:
            if made.transport is not None:
                made.transport.abort()
        for _ in range(5):  # what was aborted is closed a few turns later
            await asyncio.sleep(0)

    def _trigger_server(self):
        """Knock at the port, which is known only now."""
        self.port = self.server.sockets[0].getsockname()[1]
        socket.create_connection(("127.0.0.1", self.port), 5).close()


def _authenticate(server, session, envelope, mechanism, data):
    right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=right)


@dataclass
class SmtpReply:
    """What the fake says at one step: greeting, auth, rset, mail, rcpt or body."""

    step: str = "body"
    line: str = "250 2.0.0 taken"


@dataclass
class Mail:
    """What the fake was asked to take."""

    commands: list = field(default_factory=list)
    body: bytes = b""


class SmtpFaults:
    """A fake SMTP server, and it says so: it speaks STARTTLS and AUTH, and fails as it is told.

    `reply` is an SmtpReply, a Reply of the HTTP fake (cut, hang or raw, in place of the answer to
    the mail's body), or a function of the mail. It is asked once for each mail; a mail that the
    server refused at an earlier step counts as asked, too.
    """

    def __init__(self, authority):
        self.requests = []
        self.reply = SmtpReply()
        self.connections = 0
        self._tls = server_context(authority)

    @asynccontextmanager
    async def serving(self, tls=None):
        self._implicit = tls is not None
        async with listening(self._serve, tls=tls) as port:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"

    async def _serve(self, reader, writer):
        self.connections += 1
        await _Session(self, reader, writer, self._tls, encrypted=self._implicit).talk()


class _Session:
    """One connection to the fake."""

    def __init__(self, faults, reader, writer, tls, *, encrypted):
        self._faults, self._reader, self._writer, self._tls = faults, reader, writer, tls
        self._encrypted = encrypted
        self._user = False
        self._asked = Mail()
        self._wish = None

    def _say(self, line):
        self._writer.write(f"{line}\r\n".encode())

    def _at(self, step, wish):
        """What is to be answered at a step, if that was said."""
        return wish.line if isinstance(wish, SmtpReply) and wish.step == step else None

    def _beforehand(self, step):
        """The same for a step before any mail."""
        line = self._at(step, self._faults.reply)
        if line:
            self._faults.requests.append(self._asked)
        return line

    async def talk(self):
        self._say(self._beforehand("greeting") or "220 fake.test ESMTP fake")
        while True:
            line = (await self._reader.readuntil(b"\r\n")).decode().rstrip()
            self._asked.commands.append(line)
            if line == "QUIT":
                return self._say("221 2.0.0 bye")
            await getattr(self, f"take_{line.split(' ')[0].lower()}")(line)

    async def take_ehlo(self, line):
        offers = ["AUTH PLAIN LOGIN", "SIZE 20000000"] if self._encrypted else ["STARTTLS"]
        for offer in ["fake.test", *offers[:-1]]:
            self._say(f"250-{offer}")
        self._say(f"250 {offers[-1]}")

    async def take_starttls(self, line):
        self._say("220 2.0.0 go ahead")
        await self._writer.start_tls(self._tls)
        self._encrypted = True

    async def take_auth(self, line):
        given = base64.b64decode(line.split(" ")[2]).split(b"\0")
        refused = self._beforehand("auth")
        if given[1:] != [USER.encode(), PASSWORD.encode()]:
            refused = "535 5.7.8 credentials invalid"
        self._user = not refused
        self._say(refused or "235 2.7.0 welcome")

    async def take_rset(self, line):
        self._say(self._beforehand("rset") or "250 2.0.0 forgotten")

    async def take_mail(self, line):
        if not self._user:
            self._say("530 5.7.0 authentication required")
            return
        self._asked = Mail([line])
        self._faults.requests.append(self._asked)
        reply = self._faults.reply
        self._wish = reply(self._asked) if callable(reply) else reply
        revoked = self._at("auth", self._wish) and "530 5.7.0 no longer welcome"
        self._say(revoked or self._at("mail", self._wish) or "250 2.1.0 ok")

    async def take_rcpt(self, line):
        self._say(self._at("rcpt", self._wish) or "250 2.1.5 ok")

    async def take_data(self, line):
        self._say("354 go on")
        self._asked.body = (await self._reader.readuntil(b"\r\n.\r\n"))[:-3]
        wish = self._wish
        if getattr(wish, "hang", False):
            await asyncio.sleep(60)
        if getattr(wish, "cut", False):
            raise ConnectionAbortedError
        if getattr(wish, "raw", None):
            self._writer.write(wish.raw)
        elif hasattr(wish, "status"):  # the HTTP fake's: its status, as SMTP would say it
            self._say(f"{wish.status} as told")
        else:
            self._say(self._at("body", wish) or "250 2.0.0 taken")
