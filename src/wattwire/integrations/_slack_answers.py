"""What Slack's refusals mean. Pure.

The Web API answers 200 and says in JSON what went wrong; webhooks answer in plain words.
https://docs.slack.dev/reference/methods/chat.postMessage (errors; read 2026-08)
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from wattwire.integrations import _http
from wattwire.integrations.contract import (
    HTTP_VERDICTS,
    Delivered,
    Outcome,
    Rejected,
    Retry,
    Verdict,
)

#: Slack's words for what somebody has to mend: who we are, what we may, where it goes.
_PARK: Final = (
    "access_denied", "account_inactive", "action_prohibited", "channel_is_archived",
    "channel_not_found", "ekm_access_denied", "enterprise_is_restricted", "invalid_auth",
    "invalid_token", "is_archived", "missing_scope", "no_permission", "no_service",
    "no_service_id", "no_team", "not_allowed_token_type", "not_authed", "not_in_channel",
    "org_login_required", "restricted_action", "restricted_action_read_only_channel",
    "restricted_action_thread_only_channel", "team_access_not_granted", "team_disabled",
    "token_expired", "token_revoked", "user_not_found",
)  # fmt: skip
#: Its words for a message that it never will take.
_REJECT: Final = frozenset(
    (
        "cannot_parse_attachment", "invalid_attachments", "invalid_blocks", "invalid_blocks_format",
        "invalid_payload", "message_limit_exceeded", "missing_text_or_fallback_or_attachments",
        "msg_blocks_too_long", "msg_too_long", "no_text", "too_many_attachments",
    )
)  # fmt: skip
VERDICTS: Final[Mapping[str, Verdict]] = {
    **HTTP_VERDICTS,
    **dict.fromkeys(_PARK, Verdict.PARK),
    **dict.fromkeys(("rate_limited", "ratelimited"), Verdict.THROTTLE),
    **dict.fromkeys(("request_timeout", "service_unavailable"), Verdict.DOWN),
}
_CODE: Final = re.compile(r"[a-z_]{3,60}")


def webhook_outcome(status: int, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Read the plain words of a webhook: `ok`, or why not."""
    word = body[:1000].decode("utf-8", "replace").strip()
    if status == 200 and word == "ok":  # noqa: PLR2004 - the only success
        return Delivered(receipt="HTTP 200 ok", status=status)
    return failed(status, headers, word, body)


def failed(status: int, headers: Mapping[str, str], word: str, body: bytes) -> Outcome:
    """Return what a refusal means; `word` is Slack's own for it, if there is one."""
    code = word if _CODE.fullmatch(word) else ""
    said = code or _http.printable(body[:2000].decode("utf-8", "replace"), 300)
    reason = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    if code in _REJECT:
        return Rejected(reason, status=status, code=code)
    wish = _http.retry_after(headers.get("Retry-After"), datetime.now(UTC))
    return Retry(reason, after=wish, status=status, code=code)


def api_answer(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object that the Web API answered; empty when it is none."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
