"""How a command calls the hub's API: with a token made for the one call and deleted after it.

Apart from `reach`, because most commands need no HTTP client, which is slow to import.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp

from wattwire.cli.output import UNREACHABLE, CommandError
from wattwire.cli.reach import Desk, Where, at_desk
from wattwire.store import tokens

CALL_SECONDS: Final = 120


def call_api(
    where: Where,
    method: str,
    path: str,
    *,
    query: Mapping[str, Any] | None = None,
    body: Any = None,
) -> Any:
    """Call the hub's API as an owner of the organization and return the answer's JSON."""

    async def work(desk: Desk) -> Any:
        async with _token(desk) as token, _session(token) as session:
            return await _call(session, _address(desk) + path, method, query, body)

    return at_desk(where, work)


def _address(desk: Desk) -> str:
    url = desk.info.get("http_url")
    if not url:
        raise CommandError(
            "this needs the API of a running hub, and none runs here: give its --data-dir",
            UNREACHABLE,
        )
    return str(url)


@asynccontextmanager
async def _token(desk: Desk) -> AsyncIterator[str]:
    row, text = await tokens.create(
        desk.pool,
        desk.organization.id,
        name=desk.actor[:200],
        role="owner",
        expires_at=datetime.now(UTC) + timedelta(seconds=2 * CALL_SECONDS),
    )
    try:
        yield text
    finally:
        await tokens.drop(desk.pool, row.id)


def _session(token: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {token}"},
        timeout=aiohttp.ClientTimeout(total=CALL_SECONDS, connect=5),
    )


async def _call(
    session: aiohttp.ClientSession,
    url: str,
    method: str,
    query: Mapping[str, Any] | None,
    body: Any,
) -> Any:
    given = {k: str(v) for k, v in (query or {}).items() if v is not None}
    try:
        async with session.request(method, url, params=given, json=body) as response:
            answer = await response.json(content_type=None) if response.status != 204 else {}  # noqa: PLR2004 - no content
            if not response.ok:
                raise CommandError(_problem(answer))
            return answer
    except aiohttp.ClientError as error:
        raise CommandError(f"the API does not answer: {error}", UNREACHABLE) from error


def _problem(answer: Any) -> str:
    """Say a problem as a sentence, with the fields that do not fit."""
    fields = [f"{e['field']}: {e['message']}" for e in answer.get("errors", [])]
    return "\n  ".join([str(answer.get("detail", "refused")), *fields])
