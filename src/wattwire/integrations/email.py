"""# Email

Sends events as mails through an SMTP server: plain text and HTML, from templates of yours or the
hub's own.

**You need** an SMTP server and, unless it knows the hub by its address, a user and a password that
may send as `from_address`; nothing else is asked of the account. Usual servers:
`smtp.gmail.com:587` (an app password), `smtp.office365.com:587`, `smtp.sendgrid.net:587`,
`email-smtp.us-east-1.amazonaws.com:587`. *Test* really sends a mail to all recipients.

**Encryption.** Port 465 speaks TLS at once, 587 after STARTTLS, 25 not at all, unless `tls` says
otherwise. The certificate is always checked, against the public authorities or against
`ca_certificate`. There is no falling back: a server without STARTTLS gets no mail, and a password
never leaves without TLS.

**Digests.** Ten mails a minute leave; events that come faster are folded into one mail that lists
them, the worst first. A critical event is never folded: it is a mail of its own, at once.

**Templates** are Jinja with `if`, `for` and filters on data, no more; what they write into HTML is
escaped. They see `event` (`title`, `line`, `what`, `topic`, `severity`, `colour`, `emoji`,
`device`, `stream`, `site`, `time`, `values`), `data` (the event's own) and `id`; digests see
`events`, `more`, `title`, `counts`, `first`, `last`. A name that does not exist is an error: the
message is kept as a dead letter that names the text and the line. A list is written with `|join`,
a loop or `|tojson`. A rendering may take 100,000 steps and write a million characters.

    {{ event.device }} is at {{ data.temperature }} °C, more than {{ data.threshold }} °C

**Preview.** `POST /api/v1/integration-types/email/preview`, for one that exists
`POST /api/v1/integrations/{id}/preview`, and `wattwire integration preview --type email` or `--id`
show the subject, the text and the HTML of an event, or of a digest (`count`). Nothing is sent, and
no password is needed. A template that fails is named with its line.

**Repeats.** The `Message-ID` is made of the message's id and stays the same over all attempts, and
most mailboxes show it once. Mails about one alert (`alert_id`) form a thread.

**Refusals.** The receipt tells who was refused while others got the mail. When nobody is left, a
refusal for good (550) makes a dead letter, one for now (450, 451) is retried. 530 and 535 (wrong
user or password) and a refused sender pause the integration until its settings change; 421 and
452 slow it down; a mail that is too large (552) is a dead letter.

Addresses with a domain in any script are taken (`ops@zähler.example`); the part before the `@`
must be ASCII.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from typing import Annotated, Final, Literal, Self

from cryptography import x509
from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from wattwire.formats.templates import TemplateError
from wattwire.integrations import _smtp
from wattwire.integrations._http import Guard
from wattwire.integrations._mail import (
    Attachment,
    HeaderError,
    Letterhead,
    attachments_of,
    checked_address,
    compose,
    header_text,
)
from wattwire.integrations._mail_texts import DigestTemplates, Templates, Writer, Written
from wattwire.integrations._telling import deliver_folded
from wattwire.integrations.contract import (
    ConfigurationError,
    IntegrationSettings,
    IntegrationType,
    Limits,
    Outcome,
    Outcomes,
    Part,
    Presets,
    Preview,
    PreviewError,
    Rejected,
    Surroundings,
)
from wattwire.model import Message

# 7 MiB are 9.6 MiB as base64: with its texts a mail stays below the usual 10 MB.
LIMITS: Final = Limits(max_messages=500, max_bytes=7_340_032)
# seeds' table of limits: 10 mails a minute, 5 connections, 10 MB
PRESETS: Final = Presets(rate_per_minute=10, max_concurrent=5, max_payload_bytes=10_485_760)
_BY_PORT: Final[dict[int, _smtp.Security]] = {25: "none", 465: "tls"}
#: A call ends before this many times the patience with one mail, however many it sends.
_MAILS_PATIENCE: Final = 3

EmailAddress = Annotated[str, AfterValidator(checked_address)]


class Settings(IntegrationSettings):
    """Fields of the form, the API schema and the reference table."""

    type: Literal["email"] = "email"
    host: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[A-Za-z0-9._:-]+$",
        description="SMTP server.",
        examples=["smtp.gmail.com"],
    )
    port: int = Field(default=587, ge=1, le=65535, description="Its port: 587, 465 or 25.")
    tls: Literal["starttls", "tls", "none"] | None = Field(
        default=None,
        description="Encryption; left out, the port decides: 465 tls, 25 none, others starttls.",
    )
    ca_certificate: str | None = Field(
        default=None,
        max_length=100_000,
        description="PEM of the authority that signed the server's certificate, if it is your own.",
    )
    username: str | None = Field(
        default=None, min_length=1, max_length=320, description="User name at the server."
    )
    password: SecretStr | None = Field(
        default=None, max_length=1000, description="Password; for Gmail an app password."
    )
    from_address: EmailAddress = Field(
        description="Sender of the mails.", examples=["alerts@example.com"]
    )
    from_name: str = Field(default="Wattwire", max_length=100, description="Name of the sender.")
    to: list[EmailAddress] = Field(
        min_length=1, max_length=50, description="Recipients; all of them see each other."
    )
    reply_to: EmailAddress | None = Field(default=None, description="Where answers go.")
    templates: Templates = Field(default=Templates(), description="Texts of a mail.")
    digest_templates: DigestTemplates = Field(
        default=DigestTemplates(), description="Texts of a mail about many events."
    )
    attach: Literal["nothing", "events"] = Field(
        default="nothing", description="Whether the events travel along as files."
    )
    unsubscribe: str | None = Field(
        default=None,
        max_length=1000,
        description="mailto: or https: URL for List-Unsubscribe; never on what is critical.",
        examples=["mailto:ops@example.com?subject=unsubscribe"],
    )
    timeout_seconds: float = Field(
        default=30.0, ge=1, le=120, description="How long one mail may take."
    )

    @property
    def security(self) -> _smtp.Security:
        """Return how the connection is encrypted."""
        return self.tls or _BY_PORT.get(self.port, "starttls")

    @field_validator("ca_certificate")
    @classmethod
    def _is_a_certificate(cls, pem: str | None) -> str | None:
        if pem is not None:
            x509.load_pem_x509_certificates(pem.encode())
        return pem

    @field_validator("from_name")
    @classmethod
    def _is_one_line(cls, name: str) -> str:
        if name != header_text(name):
            raise ValueError("must be one line of printable text")
        return name

    @field_validator("unsubscribe")
    @classmethod
    def _is_a_link(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch(r"(mailto:|https://)[!#-;=?-~]+", url):
            raise ValueError("must be a mailto: or https: URL in plain ASCII")
        return url

    @model_validator(mode="after")
    def _the_password_is_safe(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if self.password is not None and self.security == "none":
            raise ValueError("a password is sent over TLS only: set tls, or leave the user out")
        return self


@dataclass(frozen=True, slots=True)
class Email:
    """One server, opened by connect()."""

    head: Letterhead
    post: _smtp.Post
    single: Writer
    digest: Writer
    attach: Literal["nothing", "events"]
    seconds: float  #: for one call

    async def deliver(self, batch: Sequence[Message]) -> Outcomes:
        """Send a mail for each critical message, and one for all the others."""
        return await deliver_folded(batch, self.send, _smtp.VERDICTS, self.seconds)

    async def test(self, probe: Message) -> Outcome:
        """Send the probe as an ordinary message."""
        return await self.send([probe])

    async def send(
        self, batch: Sequence[Message], attachments: Sequence[Attachment] = ()
    ) -> Outcome:
        """Send one mail about a batch, with files if there are any."""
        try:
            content = await asyncio.to_thread(self._content, batch, attachments)
        except TemplateError as error:
            return Rejected(f"template: {error}", code="template")
        except HeaderError as error:
            return Rejected(str(error), code="headers")
        sender = self.head.sender.addr_spec
        return await self.post.send(_smtp.Envelope(sender, self.head.recipients, content))

    def _content(self, batch: Sequence[Message], attachments: Sequence[Attachment]) -> bytes:
        written = (self.single if len(batch) == 1 else self.digest).write(batch)
        events = attachments_of(batch) if self.attach == "events" else []
        return compose(self.head, written, batch, datetime.now(UTC), [*attachments, *events])


def preview(settings: Settings, batch: Sequence[Message]) -> Written:
    """Return what a mail about a batch would say. Raises TemplateError, which tells why not."""
    templates = settings.templates if len(batch) == 1 else settings.digest_templates
    return Writer(templates).write(batch)


def _parts(settings: Settings, batch: Sequence[Message]) -> Sequence[Part]:
    try:
        written = preview(settings, batch)
    except TemplateError as error:
        setting = "templates" if len(batch) == 1 else "digest_templates"
        raise PreviewError(f"{setting}.{error.name}", error.reason, error.line) from None
    return [
        Part("subject", "text/plain", header_text(written.subject)),
        Part("text", "text/plain", written.text),
        Part("html", "text/html", written.html),
    ]


@asynccontextmanager
async def connect(settings: Settings, surroundings: Surroundings) -> AsyncIterator[Email]:
    """Keep connections to the server for as long as the context lasts."""
    password = settings.password
    server = _smtp.Server(
        host=settings.host,
        port=settings.port,
        security=settings.security,
        context=await asyncio.to_thread(_context, settings, surroundings),
        username=settings.username,
        password=password.get_secret_value() if password else None,
        local_name=settings.from_address.rpartition("@")[2],
        timeout_seconds=settings.timeout_seconds,
    )
    post = _smtp.Post(server, Guard(surroundings.allowed_networks))
    try:
        yield Email(
            head=_head(settings),
            post=post,
            single=Writer(settings.templates),
            digest=Writer(settings.digest_templates),
            attach=settings.attach,
            seconds=_MAILS_PATIENCE * settings.timeout_seconds,
        )
    finally:
        await post.close()


def _context(settings: Settings, surroundings: Surroundings) -> ssl.SSLContext:
    if settings.ca_certificate is None:
        return surroundings.tls or ssl.create_default_context()
    try:
        return ssl.create_default_context(cadata=settings.ca_certificate)
    except ssl.SSLError as error:
        raise ConfigurationError(f"ca_certificate cannot be used: {error.reason}") from error


def _head(settings: Settings) -> Letterhead:
    return Letterhead(
        sender=Address(settings.from_name, addr_spec=settings.from_address),
        recipients=settings.to,
        reply_to=settings.reply_to,
        unsubscribe=settings.unsubscribe,
    )


TYPE = IntegrationType(
    docs=__doc__,
    settings=Settings,
    limits=LIMITS,
    connect=connect,
    address=lambda settings: f"smtp://{settings.host}:{settings.port}/{','.join(settings.to)}",
    presets=PRESETS,
    verdicts=_smtp.VERDICTS,
    timeout_seconds=lambda settings: (_MAILS_PATIENCE + 1) * settings.timeout_seconds,
    folds=True,
    preview=Preview(
        parts=_parts,
        unseen=frozenset(("username", "password")),
        stand_ins={
            "host": "smtp.example",
            "from_address": "hub@example.com",
            "to": ["a@b.example"],
        },
    ),
)
