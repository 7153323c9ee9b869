"""Lists in pages: `{"items": […], "next_cursor": …}`. A cursor fits only the list that gave it."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from fastapi import Query
from pydantic import BaseModel, Field

from wattwire.api.problems import Problem

T = TypeVar("T")
P = TypeVar("P")
_DIGEST: Final = 8

Limit = Annotated[int, Query(ge=1, le=1000, description="Items on a page.")]
CursorText = Annotated[
    str | None,
    Query(alias="cursor", max_length=500, description="`next_cursor` of the page before."),
]


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T] = Field(description="What is on this page.")
    next_cursor: str | None = Field(
        default=None,
        description="Give it as `cursor` for the next page; null on the last.",
        examples=[None],
    )


@dataclass(frozen=True, slots=True)
class Cursors:
    """Cursors of one list with one set of filters; positions are of type `position`."""

    name: str
    filters: Sequence[object]
    position: Any

    def encode(self, position: object) -> str:
        """Return an opaque text for a position."""
        body = msgspec.json.encode(position)
        return base64.urlsafe_b64encode(self._digest(body) + body).decode().rstrip("=")

    def decode(self, text: str | None) -> Any:
        """Return the position; None for no cursor. Raises Problem 400 for another list's cursor."""
        if text is None:
            return None
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            if hmac.compare_digest(raw[:_DIGEST], self._digest(raw[_DIGEST:])):
                return msgspec.json.decode(raw[_DIGEST:], type=self.position)
        except (ValueError, binascii.Error, msgspec.DecodeError):
            pass
        raise Problem(
            400, "The cursor does not belong to this list and these filters.", slug="bad-cursor"
        )

    def _digest(self, body: bytes) -> bytes:
        key = msgspec.json.encode([self.name, [str(f) for f in self.filters]])
        person = hashlib.blake2b(key, digest_size=32).digest()
        return hashlib.blake2b(body, digest_size=_DIGEST, key=person).digest()


def page(
    rows: Sequence[T], limit: int, cursors: Cursors, position: Callable[[T], object]
) -> dict[str, Any]:
    """Cut `limit` + 1 fetched rows into a page; the extra one says that there is another."""
    shown = rows[:limit]
    more = len(rows) > limit
    return {"items": shown, "next_cursor": cursors.encode(position(shown[-1])) if more else None}
