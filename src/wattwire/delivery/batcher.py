"""How many of the waiting messages fit one call. Pure."""

from collections.abc import Iterable

from wattwire.integrations.contract import Limits
from wattwire.model import Message


def size_of(message: Message, limits: Limits) -> int:
    """Return how many bytes of a call the message takes."""
    return len(message.body) + limits.overhead_bytes


def count_fitting(messages: Iterable[Message], limits: Limits) -> int:
    """Return how many of the first messages fit one call, at least one if there is any.

    Two messages of the same id never travel together: outcomes are told apart by id.
    """
    count, total = 0, 0
    ids: set[str] = set()
    for message in messages:
        total += size_of(message, limits)
        if (
            count >= limits.max_messages
            or message.id in ids
            or (count and total > limits.max_bytes)
        ):
            break
        ids.add(message.id)
        count += 1
    return count
