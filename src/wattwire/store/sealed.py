"""Every sealed value there is, to be sealed again with another key.

Whoever adds a column that holds sealed bytes adds it here.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from wattwire.store.queries import load
from wattwire.store.sealing import SEALING
from wattwire.store.solarnetwork import secret_context

_SQL: Final = load("sealed")
BATCH: Final = 500

#: Seals a blob again, for a context; None for one that cannot be opened.
Reseal = Callable[[bytes, str], bytes | None]


@dataclass(frozen=True, slots=True)
class Resealed:
    """How many values were sealed again, and how many could not be opened."""

    resealed: int
    unreadable: int


class _Place(NamedTuple):
    """A column of sealed values: the statements that read and write it, and its key."""

    listed: str
    written: str
    before: tuple[Any, ...]  #: sorts before every key
    context: Callable[[Sequence[Any]], str]


def answer_context(organization_id: UUID) -> str:
    """Return what answers under idempotency keys are sealed for."""
    return f"idempotency:{organization_id}"


_PLACES: Final = (
    _Place(_SQL.list_integrations, _SQL.write_integration, (0,), lambda _: SEALING),
    _Place(_SQL.list_sources, _SQL.write_source, (0,), lambda _: SEALING),
    _Place(
        _SQL.list_answers, _SQL.write_answer, (UUID(int=0), ""), lambda key: answer_context(key[0])
    ),
    _Place(
        _SQL.list_solarnetwork_tokens,
        _SQL.write_solarnetwork_token,
        ("",),
        lambda key: secret_context(key[0]),
    ),
)


@asynccontextmanager
async def alone(connection: Any) -> AsyncIterator[bool]:
    """Yield whether nobody else seals everything again at the moment; keep others from it."""
    mine: bool = await connection.fetchval(_SQL.try_alone)
    try:
        yield mine
    finally:
        if mine and not connection.is_closed():
            await connection.fetchval(_SQL.release_alone)


async def stop_writers(connection: Any) -> None:
    """Let nobody write sealed values until the transaction ends. Waits for those who do."""
    await connection.execute(_SQL.stop_writers)


async def reseal_all(connection: Any, header: bytes, reseal: Reseal) -> Resealed:
    """Seal everything again whose blob does not begin with `header`, a transaction per batch."""
    resealed = unreadable = 0
    for place in _PLACES:
        after: tuple[Any, ...] | None = place.before
        while after is not None:
            after, done, lost = await _batch(connection, header, reseal, place, after)
            resealed += done
            unreadable += lost
    return Resealed(resealed, unreadable)


async def _batch(
    connection: Any, header: bytes, reseal: Reseal, place: _Place, after: tuple[Any, ...]
) -> tuple[tuple[Any, ...] | None, int, int]:
    """Carry out one batch; return its last key, None when it was the last, and two counts."""
    async with connection.transaction():
        rows = await connection.fetch(place.listed, header, *after, BATCH)
        keys = [tuple(row)[:-1] for row in rows]
        blobs = [
            reseal(row["blob"], place.context(key)) for row, key in zip(rows, keys, strict=True)
        ]
        fresh = [(*key, blob) for key, blob in zip(keys, blobs, strict=True) if blob is not None]
        await connection.executemany(place.written, fresh)
    return (keys[-1] if len(keys) == BATCH else None), len(fresh), len(keys) - len(fresh)
