"""A mail as it goes over the wire: its headers, its parts, its addresses. Pure.

RFC 5322 (headers), 2045 to 2049 (parts), 3834 (answering machines), 2369 and 8058 (unsubscribing).
Every header is set through `email.policy.SMTP`, which raises for a line break in a value; what
comes from outside is made one line before that. The standard library decodes `=?utf-8?q?…?=` in
what it is given, line breaks included, and writes those out: such words are broken up first, and
the headers of the finished mail are counted.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from yarl import URL

from wattwire.integrations._http import printable
from wattwire.integrations._mail_texts import Written
from wattwire.model import Message

_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN: Final = re.compile(
    r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
)
_LONGEST_ADDRESS: Final = 254  # RFC 5321, 4.5.3.1.3, without the angle brackets
_LONGEST_LOCAL: Final = 64
_JSON: Final = "application/json"
_ENDINGS: Final = {
    _JSON: "json", "application/pdf": "pdf", "application/zip": "zip", "text/csv": "csv",
    "text/html": "html", "text/plain": "txt",
}  # fmt: skip
_CONTENT_TYPE: Final = re.compile(r"([a-z0-9.+-]{1,60})/([a-z0-9.+-]{1,60})")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that travels with a mail."""

    name: str
    content_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What all mails of an integration have in common."""

    sender: Address
    recipients: Sequence[str]
    reply_to: str | None = None
    unsubscribe: str | None = None  #: a mailto: or https: URL


class HeaderError(ValueError):
    """A mail's headers are not those that were set."""


def checked_address(text: str) -> str:
    """Return a bare address, its domain as it is looked up (`zähler.de` → `xn--zhler-gra.de`).

    Raises ValueError, saying why, for anything that a server might read differently.
    """
    local, at, domain = text.strip().rpartition("@")
    if not at or not local or not domain:
        raise ValueError("is not an address such as ops@example.com")
    if not local.isascii():
        raise ValueError("letters outside ASCII before the @ (SMTPUTF8) are not supported")
    if not _LOCAL.fullmatch(local) or len(local) > _LONGEST_LOCAL:
        raise ValueError(f"{printable(local, 70)!r} is not a plain name of a mailbox")
    address = f"{local}@{_checked_domain(domain)}"
    if len(address) > _LONGEST_ADDRESS:
        raise ValueError(f"is longer than {_LONGEST_ADDRESS} characters")
    return address


def _checked_domain(domain: str) -> str:
    try:
        plain = (URL.build(scheme="http", host=domain).raw_host or "").lower()
    except ValueError as error:
        raise ValueError(f"{printable(domain, 70)!r} is not a domain") from error
    if not _DOMAIN.fullmatch(plain):
        raise ValueError(f"{printable(domain, 70)!r} is not a domain")
    return plain


def compose(
    head: Letterhead,
    written: Written,
    batch: Sequence[Message],
    now: datetime,
    attachments: Sequence[Attachment] = (),
) -> bytes:
    """Return the mail about a batch, with CRLF, in ASCII, which every server takes.

    The Message-ID is made of the messages' ids: a repeat has the same, and mail programs drop it.
    Mails of one alert answer the same invented mail, so that they are shown as one thread.
    """
    mail = EmailMessage(policy=SMTP)
    mail["From"] = head.sender
    mail["To"] = [Address(addr_spec=recipient) for recipient in head.recipients]
    if head.reply_to is not None:
        mail["Reply-To"] = Address(addr_spec=head.reply_to)
    mail["Subject"] = header_text(written.subject)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{_mail_id(batch)}@{head.sender.domain}>"
    _thread(mail, written, head.sender.domain)
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    _urgency(mail, written, head)
    mail.set_content(_clean(written.text), cte="quoted-printable")
    mail.add_alternative(_clean(written.html), subtype="html", cte="quoted-printable")
    for attachment in attachments:
        _attach(mail, attachment)
    content = mail.as_bytes()
    if BytesHeaderParser().parsebytes(content).keys() != mail.keys():
        raise HeaderError("a value of a header would have become headers of its own")
    return content


def header_text(text: str) -> str:
    """Return text that is one line, and that nobody decodes to something else."""
    return printable(text.replace("=?", "= ?"))


def attachments_of(batch: Sequence[Message]) -> list[Attachment]:
    """Return the messages' bodies as files: JSON bodies as they are, each in a file of its own."""
    return [
        Attachment(_file_name(message), message.content_type, message.body) for message in batch
    ]


def _mail_id(batch: Sequence[Message]) -> str:
    if len(batch) == 1:
        return batch[0].id
    ids = "\n".join(sorted(message.id for message in batch))
    return f"digest-{hashlib.sha256(ids.encode()).hexdigest()[:32]}"


def _thread(mail: EmailMessage, written: Written, domain: str) -> None:
    if len(written.told) == 1 and (alert := written.told[0].alert):
        mail["References"] = f"<alert-{alert}@{domain}>"
        mail["In-Reply-To"] = f"<alert-{alert}@{domain}>"


def _urgency(mail: EmailMessage, written: Written, head: Letterhead) -> None:
    """Mark what is critical; only of the rest may one unsubscribe with a click."""
    if written.told[0].severity.word == "Critical":
        mail["Importance"] = "high"
        mail["X-Priority"] = "1"
    elif head.unsubscribe is not None:
        mail["List-Unsubscribe"] = f"<{head.unsubscribe}>"
        if head.unsubscribe.startswith("https:"):
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"


def _clean(text: str) -> str:
    """Return text that can be encoded, with line breaks that are only that."""
    lines = text.replace("\0", " ").splitlines()
    return "\n".join([*lines, ""]).encode("utf-8", "replace").decode()


def _attach(mail: EmailMessage, attachment: Attachment) -> None:
    kind = _CONTENT_TYPE.match(attachment.content_type.lower())
    main, sub = kind.groups() if kind else ("application", "octet-stream")
    if main in {"message", "multipart"}:  # which would have to be what they say
        main, sub = "application", "octet-stream"
    name = header_text(attachment.name)[:100].replace("/", "-").replace("\\", "-")
    mail.add_attachment(attachment.data, main, sub, cte="base64", filename=name)


def _file_name(message: Message) -> str:
    kind = message.content_type.partition(";")[0].strip().lower()
    return f"{message.id}.{_ENDINGS.get(kind, 'bin')}"
