"""Bodies that are JSON, with the message's id inside, for services that have no other place. Pure.

Whoever reads them drops a repeat by its `message_id`.
"""

from base64 import b64encode
from typing import Final

import msgspec

from wattwire.model import Message

_check: Final = msgspec.json.Decoder(msgspec.Raw).decode
_encode: Final = msgspec.json.encode
_FIELD: Final = b'"message_id"'


def object_of(message: Message) -> bytes | None:
    """Return the body as it is, None if it is no JSON object in UTF-8."""
    value = _value_of(message)
    return value if value is not None and value.startswith(b"{") else None


def identified(message: Message) -> bytes | None:
    """Return a JSON object with `message_id` in front, None if the body is none.

    A body that speaks of a `message_id` of its own is left as it is.
    """
    value = object_of(message)
    return value if value is None or _FIELD in value else _with_id(message, value)


def line_of(message: Message) -> bytes:
    """Return any body as one line of JSON, its end included, that carries the message's id.

    What is no JSON object becomes `{"message_id": …, "body": …}`; what is no JSON has its text as
    `body_text`, and what is no text either is there as `body_base64`.
    """
    value = _value_of(message)
    if value is None:
        return _encode({"message_id": message.id, **_wrapped(message.body)}) + b"\n"
    value = value.replace(b"\n", b" ").replace(b"\r", b" ")  # not inside strings: JSON forbids it
    if value.startswith(b"{") and _FIELD not in value:
        return _with_id(message, value) + b"\n"
    return b'{%s:"%s","body":%s}\n' % (_FIELD, message.id.encode(), value)


def _value_of(message: Message) -> bytes | None:
    """Return the body without white space around it, None if it is not JSON in UTF-8."""
    try:
        message.body.decode()
        _check(message.body)
    except (UnicodeDecodeError, msgspec.DecodeError):
        return None
    return message.body.strip()


def _with_id(message: Message, value: bytes) -> bytes:
    rest = value[1:].lstrip()
    comma = b"" if rest == b"}" else b","
    return b'{%s:"%s"%s%s' % (_FIELD, message.id.encode(), comma, rest)


def _wrapped(body: bytes) -> dict[str, str]:
    try:
        return {"body_text": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": b64encode(body).decode()}
