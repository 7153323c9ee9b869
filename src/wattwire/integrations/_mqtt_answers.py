"""What a broker's answers mean: outcomes, and the verdicts on their reason codes."""

import asyncio
from typing import Final, TypeAlias

from wattwire.integrations._mqtt_client import (
    Answer,
    Connection,
    RefusedByBrokerError,
    code_of,
)
from wattwire.integrations._paho import FAILED
from wattwire.integrations.contract import (
    TIMED_OUT,
    UNREACHABLE,
    Delivered,
    Outcome,
    Rejected,
    Retry,
    UnreachableError,
    Verdict,
)

#: Reason codes as in https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html, 2.4; those of a
#: 3.1.1 CONNACK are told by the codes that mean the same.
VERDICTS: Final = {
    UNREACHABLE: Verdict.DOWN,
    TIMED_OUT: Verdict.DOWN,
    "subscription": Verdict.PARK,
    **dict.fromkeys(  # version, client id, user, permission, ban, method, retain, QoS, moved
        ("0x84", "0x85", "0x86", "0x87", "0x8a", "0x8c", "0x9a", "0x9b", "0x9d"), Verdict.PARK
    ),
    # unavailable, shutting down, keep-alive, taken over, administrative action, use another
    **dict.fromkeys(("0x88", "0x8b", "0x8d", "0x8e", "0x98", "0x9c"), Verdict.DOWN),
    # busy, receive maximum, message rate, quota, connection rate
    **dict.fromkeys(("0x89", "0x93", "0x96", "0x97", "0x9f"), Verdict.THROTTLE),
}
#: Topic name invalid, packet too large, payload format invalid: the message's own fault.
HOPELESS: Final = frozenset({0x90, 0x95, 0x99})

#: What became of a message so far: an outcome, an answer to come, or what to say once confirmed.
Begun: TypeAlias = "Outcome | asyncio.Future[Answer] | str"


async def unread_by(connection: Connection) -> Retry | None:
    """Return why it is not known that the broker has read everything; None when it is."""
    try:
        await connection.confirm()
    except (UnreachableError, RefusedByBrokerError) as error:
        return failure(error)
    return None


def outcome_of(begun: Begun, unread: Retry | None) -> Outcome:
    """Return what became of a message. `unread`: why what is not acknowledged may be lost."""
    if isinstance(begun, str):
        return unread or Delivered(receipt=begun)
    if not isinstance(begun, asyncio.Future):
        return begun
    error = begun.exception()
    if error is not None:
        return failure(error)
    answer = begun.result()
    if answer.code < FAILED:
        return Delivered(receipt=f"packet {answer.packet_id}, {answer.text}")
    if answer.code in HOPELESS:
        return Rejected(answer.text, code=code_of(answer.code))
    return Retry(f"the broker refused: {answer.text}", code=code_of(answer.code))


def failure(error: BaseException) -> Retry:
    """Return the outcome of a connection that was refused or lost."""
    code = error.code if isinstance(error, RefusedByBrokerError) else UNREACHABLE
    return Retry(str(error), code=code)
