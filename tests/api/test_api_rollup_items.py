"""Rollups as items: the members of each kind, whatever order and width."""

from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import pytest

from wattwire.api.rollup_items import show_rollups
from wattwire.store.devices import ChannelRow, StreamDetail

KINDS = ["interval", "instantaneous", "status", "accumulating", "instantaneous"]
AT = datetime(2025, 6, 1, tzinfo=UTC)


def stream(kinds):
    channels = [ChannelRow(f"c{n}", kind, "") for n, kind in enumerate(kinds)]
    return StreamDetail(7, uuid4(), "/p", "start", None, None, AT, channels)


def row(width):
    """Every figure tells its column and its place."""
    columns = [
        "count",
        "mean",
        "minimum",
        "maximum",
        "total",
        "difference",
        "first_value",
        "last_value",
        "texts",
    ]
    arrays = {name: [f"{name}{place}" for place in range(width)] for name in columns}
    return {"stream_id": 7, "start": AT, "end": AT, "readings": 3, "completeness": 0.5, **arrays}


MEMBERS = {
    "interval": lambda p: {"count": f"count{p}", "sum": f"total{p}"},
    "instantaneous": lambda p: {
        "count": f"count{p}", "mean": f"mean{p}", "min": f"minimum{p}", "max": f"maximum{p}",
    },
    "status": lambda p: {"count": f"count{p}", "value": f"texts{p}"},
    "accumulating": lambda p: {
        "count": f"count{p}", "total": f"total{p}", "difference": f"difference{p}",
        "start": f"first_value{p}", "end": f"last_value{p}",
    },
}  # fmt: skip


@pytest.mark.parametrize("kinds", [KINDS, KINDS[1:2] * 3, KINDS[3:4], []], ids=len)
@pytest.mark.parametrize("narrower", [0, 1])
@pytest.mark.parametrize("only", [None, frozenset({"c0", "c3"}), frozenset({"c1"}), frozenset()])
def test_each_channel_shows_the_figures_of_its_own_place(kinds, narrower, only):
    """By kind and place, in the order of the channels, and nothing of channels that came later."""
    width = max(0, len(kinds) - narrower)
    items = msgspec.json.decode(
        msgspec.json.encode(show_rollups([row(width)], [stream(kinds)], only))
    )
    expected = {
        f"c{place}": MEMBERS[kind](place)
        for place, kind in enumerate(kinds[:width])
        if only is None or f"c{place}" in only
    }

    assert list(expected.items()) == list(items[0]["channels"].items())
    assert (3, 0.5, "/p") == (items[0]["readings"], items[0]["completeness"], items[0]["stream"])
