"""How the body of a webhook is signed: two ways side by side. Pure.

`X-Signature` is the lowercase hexadecimal HMAC-SHA256 of the body under the whole secret. The
`webhook-*` headers follow Standard Webhooks 1.0.0
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md), whose
signature also covers the id and the time, so that a receiver can refuse what is repeated later.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import Final

PREFIX: Final = "whsec_"


def plain_signature(secret: str, body: bytes) -> str:
    """Return the value of X-Signature."""
    return hmac.digest(secret.encode(), body, "sha256").hex()


def key_bytes(secret: str) -> bytes:
    """Return the key inside a secret: base64 after `whsec_`, else its own characters.

    Raises ValueError for a `whsec_` secret that is not base64.
    """
    if not secret.startswith(PREFIX):
        return secret.encode()
    text = secret.removeprefix(PREFIX)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("a secret that begins with whsec_ must go on in base64") from error


def standard_signature(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of webhook-signature: one token for each key, the newest first."""
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    tokens = (base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)
    return " ".join(f"v1,{token}" for token in tokens)
