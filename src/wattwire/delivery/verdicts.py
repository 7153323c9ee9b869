"""What an answer means: the type's table, changed by what the user said. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from wattwire.integrations.contract import (
    FAULT,
    TIMED_OUT,
    UNREACHABLE,
    ConfigurationError,
    Delivered,
    Outcome,
    Retry,
    Verdict,
)

CONFIGURATION: Final = "configuration"
#: What the engine itself says of a call that gave no outcome.
ENGINE_VERDICTS: Final[Mapping[str, Verdict]] = {
    CONFIGURATION: Verdict.PARK,
    UNREACHABLE: Verdict.DOWN,
    TIMED_OUT: Verdict.DOWN,
    FAULT: Verdict.RETRY,
}
#: What a user may say of an answer.
USER_VERDICTS: Final = frozenset({"ok", "retry", "reject", "park", "disable", "throttle", "down"})
_SERVER_ERRORS: Final = range(500, 600)


def merged(table: Mapping[str, Verdict], changes: Mapping[str, Any]) -> dict[str, Verdict]:
    """Return the table with the user's changes, such as {"409": "ok", "5xx": "retry"}.

    Raises ConfigurationError for a word that is no verdict.
    """
    if wrong := {str(v) for v in changes.values()} - USER_VERDICTS:
        raise ConfigurationError(f"{min(wrong)!r} is not one of {sorted(USER_VERDICTS)}")
    said = {str(key): Verdict(value) for key, value in changes.items()}
    return {**ENGINE_VERDICTS, **table, **said}


def judge(outcome: Outcome, table: Mapping[str, Verdict]) -> Verdict:
    """Return what an outcome means: by its code, its status, its class, or as it says itself."""
    for key in _keys(outcome):
        if key in table:
            return table[key]
    if isinstance(outcome, Delivered):
        return Verdict.OK
    return Verdict.RETRY if isinstance(outcome, Retry) else Verdict.REJECT


def _keys(outcome: Outcome) -> Iterable[str]:
    if not isinstance(outcome, Delivered) and outcome.code:
        yield outcome.code
    if outcome.status is not None:
        yield str(outcome.status)
        yield f"{outcome.status // 100}xx"


def looks_down(outcome: Outcome, verdict: Verdict) -> bool:
    """Return whether an answer is a sign of an outage: none at all, or one of the 5xx."""
    if verdict in {Verdict.OK, Verdict.REJECT}:
        return False
    if verdict is Verdict.DOWN or isinstance(outcome, Delivered):
        return verdict is Verdict.DOWN
    return outcome.status in _SERVER_ERRORS or outcome.code == FAULT
