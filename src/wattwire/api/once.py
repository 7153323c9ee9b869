"""Changes: one transaction each, with its audit row; carried out once per idempotency key."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec
from fastapi import Header
from starlette.responses import Response

from wattwire.api.identity import Call
from wattwire.api.problems import Problem
from wattwire.store import audit, idempotency
from wattwire.store.sealed import answer_context
from wattwire.store.sealing import Sealer

JSON: Final = "application/json"

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="A key of your own. Within a day, the same request with this key is carried "
        "out once; a repeat gets the first answer, with `Idempotency-Replayed: true`.",
    ),
]


@dataclass(frozen=True, slots=True)
class Change:
    """A transaction of one call."""

    call: Call
    db: Any

    async def record(
        self, action: str, object_id: object, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Write the audit row of the change."""
        await audit.record(
            self.db,
            self.call.organization_id,
            actor=self.call.caller.actor,
            action=action,
            object=object_id,
            detail=detail,
        )


async def change(call: Call, work: Callable[[Change], Awaitable[Any]]) -> Any:
    """Carry out `work` in a transaction and return what it returns."""
    async with call.pool.acquire(timeout=10) as db, db.transaction():
        return await work(Change(call, db))


async def once(
    call: Call, key: str | None, status: int, work: Callable[[Change], Awaitable[Any]]
) -> Response:
    """Carry out `work` in a transaction; its result, a pydantic model, is the body of the answer.

    The key is claimed, and the answer written down, in the same transaction: a crash leaves either
    both or nothing, and a repeat that arrives meanwhile waits for the first to end.
    """
    async with call.pool.acquire(timeout=10) as db, db.transaction():
        if key is not None:
            request_hash = await _hash_request(call)
            kept = await idempotency.claim(db, call.organization_id, key, request_hash)
            if kept is not None:
                return _repeat(call, kept, request_hash)
        answer = (await work(Change(call, db))).model_dump_json().encode()
        if key is not None:
            sealed = _sealer(call).seal(answer)
            await idempotency.keep(db, call.organization_id, key, status, sealed)
    return Response(answer, status_code=status, media_type=JSON)


def _repeat(call: Call, kept: idempotency.Kept, request_hash: bytes) -> Response:
    if kept.request_hash != request_hash:
        raise Problem(
            422, "This idempotency key was used for another request.", slug="idempotency-key-reused"
        )
    body = _sealer(call).open(kept.response)
    headers = {"Idempotency-Replayed": "true"}
    return Response(body, status_code=kept.status, media_type=JSON, headers=headers)


def _sealer(call: Call) -> Sealer:
    return call.hub.sealer.bound(answer_context(call.organization_id))


async def _hash_request(call: Call) -> bytes:
    """Return what makes two requests the same: caller, address and body."""
    request = call.request
    head = [call.caller.token_id, request.method, request.url.path, request.url.query]
    digest = hashlib.sha256(msgspec.json.encode(head))
    digest.update(await request.body())
    return digest.digest()
