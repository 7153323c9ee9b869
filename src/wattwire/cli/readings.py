"""`wattwire readings`, `wattwire rollups`: what a device reported."""

from typing import Annotated, Any

import typer

from wattwire.cli.calls import call_api
from wattwire.cli.devices import KeyArgument, find_id
from wattwire.cli.output import show_list
from wattwire.cli.reach import (
    CursorOption,
    DataDirOption,
    JsonOption,
    OrganizationOption,
    Where,
)

StreamOption = Annotated[str | None, typer.Option("--stream", help="Only this stream.")]
FromOption = Annotated[str, typer.Option("--from", help="2025-06-01T00:00:00Z")]
ToOption = Annotated[str, typer.Option("--to", help="2025-07-01T00:00:00Z")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")]


def readings(
    *,
    key: KeyArgument,
    start: Annotated[str | None, typer.Option("--from", help="2025-06-01T00:00:00Z")] = None,
    end: Annotated[str | None, typer.Option("--to", help="2025-07-01T00:00:00Z")] = None,
    stream: StreamOption = None,
    order: Annotated[str, typer.Option("--order", help="asc or desc.")] = "desc",
    limit: LimitOption = 20,
    cursor: CursorOption = None,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """List readings of a device, the newest first."""
    where = Where(data_dir, organization)
    query = {
        "from": start,
        "to": end,
        "stream": stream,
        "order": order,
        "limit": limit,
        "cursor": cursor,
    }
    path = f"/api/v1/devices/{find_id(where, key)}/readings"
    page = call_api(where, "GET", path, query=query)
    _show(page, ["stream", "time"], "values", as_json=as_json)


def rollups(
    *,
    key: KeyArgument,
    start: FromOption,
    end: ToOption,
    aggregation: Annotated[str, typer.Option("--aggregation", help="h, d or M.")] = "d",
    stream: StreamOption = None,
    limit: LimitOption = 1000,
    cursor: CursorOption = None,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """List hours, local days or calendar months of a device."""
    where = Where(data_dir, organization)
    query = {
        "aggregation": aggregation, "from": start, "to": end, "stream": stream, "limit": limit,
        "cursor": cursor,
    }  # fmt: skip
    path = f"/api/v1/devices/{find_id(where, key)}/rollups"
    page = call_api(where, "GET", path, query=query)
    _show(page, ["stream", "start", "readings"], "channels", as_json=as_json)


def _show(page: Any, columns: list[str], spread: str, *, as_json: bool) -> None:
    """Print a page; in a table each channel has its own column."""
    items = page["items"]
    if as_json:
        show_list(items, [], as_json=True, next_cursor=page["next_cursor"])
        return
    names = list(dict.fromkeys(name for item in items for name in item[spread]))
    rows = [item | {name: _value(item[spread].get(name)) for name in names} for item in items]
    show_list(rows, columns + names, as_json=False, next_cursor=page["next_cursor"])


def _value(channel: Any) -> Any:
    """Return a value, or the one figure of a rollup that people look for."""
    if not isinstance(channel, dict):
        return channel
    return next((channel[k] for k in ("total", "sum", "mean", "value") if k in channel), None)
