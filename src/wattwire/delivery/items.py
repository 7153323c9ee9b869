"""Messages made of rows of the queue, or the reason why a row cannot be sent at all."""

from datetime import datetime, timedelta
from typing import NamedTuple

from wattwire.delivery.plan import Plan
from wattwire.delivery.rendering import message_of
from wattwire.model import Message
from wattwire.store.deliveries import Queued


class Item(NamedTuple):
    """A row of the queue, and the message that it became."""

    row: Queued
    message: Message


def item_of(plan: Plan, row: Queued, now: datetime) -> Item | str:
    """Return the message of a row, or why there is none."""
    if row.event is None:
        return "its event is no longer kept"
    if now - row.queued_at > plan.max_age:
        return expired(plan.max_age)
    try:
        message = message_of(row, row.event, plan.form)
    except Exception as error:  # noqa: BLE001 - one odd event must not stop the others
        return f"cannot be written in this format: {type(error).__name__}: {error}"
    if len(message.body) > plan.max_payload_bytes:
        limit = f"{plan.max_payload_bytes:,} bytes"
        return f"payload of {len(message.body):,} bytes is over the limit of {limit}"
    return Item(row, message)


def expired(age: timedelta) -> str:
    """Return the reason of a message that waited for too long."""
    return f"expired: not delivered within {age}"
