"""Pages of results over several streams: which part of which stream a page shows."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Slice(NamedTuple):
    """Items [offset, offset + limit) of the stream at `place`, counted from the oldest."""

    place: int
    offset: int
    limit: int


def slices_of(counts: Sequence[int], offset: int, limit: int, *, newest_first: bool) -> list[Slice]:
    """Return what of each stream lies on a page, in order.

    `counts` says how many items each stream has, in the order of the page. Within a stream items
    come oldest or newest first; a slice is counted from the oldest either way.
    """
    slices: list[Slice] = []
    for place, count in enumerate(counts):
        if limit <= 0:
            break
        if offset >= count:
            offset -= count
            continue
        taken = min(limit, count - offset)
        first = count - offset - taken if newest_first else offset
        slices.append(Slice(place, first, taken))
        limit -= taken
        offset = 0
    return slices


def page(results: Sequence[Any], *, offset: int, total: int | None) -> dict[str, Any]:
    """Return `data` of a paged answer; `totalResults` is left out when nobody counted."""
    counted = {} if total is None else {"totalResults": total}
    return {
        **counted,
        "startingOffset": offset,
        "returnedResultCount": len(results),
        "results": results,
    }
