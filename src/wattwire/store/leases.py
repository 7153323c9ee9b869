"""Leases as rows: one owner each, and the database's clock decides when one has expired."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any, Final, NamedTuple

from wattwire.store.queries import load

_SQL: Final = load("leases")


class Renewal(NamedTuple):
    """What became of a lease that was to be renewed."""

    ours: bool  #: no other owner has taken it
    renewed: bool  #: it was extended; not so while a transaction holds it still


async def acquire(
    pool: Any, names: Collection[str], owner: str, life: timedelta, most: int | None = None
) -> dict[str, int]:
    """Take what is free, expired or ours among `names`, at most so many; return their epochs."""
    rows = await pool.fetch(_SQL.acquire, list(names), owner, life, most)
    return {row["name"]: row["epoch"] for row in rows}


async def renew(
    pool: Any, names: Collection[str], owner: str, life: timedelta
) -> dict[str, Renewal]:
    """Extend what is ours; a name without a row is left out."""
    rows = await pool.fetch(_SQL.renew, list(names), owner, life)
    return {row["name"]: Renewal(row["ours"], row["renewed"]) for row in rows}


async def release(pool: Any, names: Collection[str], owner: str) -> None:
    """Let others have what is ours among `names` at once."""
    await pool.execute(_SQL.release, list(names), owner)


async def count_company(pool: Any, beginning: str) -> int:
    """Return how many owners hold a lease whose name begins so."""
    return int(await pool.fetchval(_SQL.count_company, beginning))


async def fence(connection: Any, name: str, owner: str, epoch: int) -> bool:
    """Return whether the lease is still ours, and keep it so until the transaction ends.

    Called first in a transaction, it makes sure that whoever takes the lease over sees what this
    transaction writes.
    """
    return await connection.fetchval(_SQL.fence, name, owner, epoch) is True
