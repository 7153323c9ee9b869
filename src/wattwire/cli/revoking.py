"""The end of what lets somebody in: tokens and certificates."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from wattwire.cli.output import CommandError
from wattwire.cli.reach import Desk, Where, at_desk

End = Callable[[Any, UUID, Any], Awaitable[Any]]


def revoke(where: Where, end: End, key: str | int, noun: str) -> Any:
    """End one of an organization's, with its audit row, and return its row.

    `end` takes a connection, the organization and the key, and returns None where there is no such
    thing. `noun` is the audit's word for it, such as `solarnetwork_token`.
    """

    async def work(desk: Desk) -> Any:
        async with desk.pool.acquire() as db, db.transaction():
            row = await end(db, desk.organization.id, key)
            if row is None:
                word, command = noun.rpartition("_")[2], noun.replace("_", "-")
                shown = str(key)[:20]
                raise CommandError(f"there is no {word} {shown}: see `wattwire {command} list`")
            await desk.record(db, f"{noun}.revoked", row.id)
        return row

    return at_desk(where, work)
