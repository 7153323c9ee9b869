"""`wattwire event`: what happened."""

from typing import Annotated

import typer

from wattwire.cli.calls import call_api
from wattwire.cli.output import show_list
from wattwire.cli.reach import (
    CursorOption,
    DataDirOption,
    JsonOption,
    LimitOption,
    OrganizationOption,
    Where,
)

app = typer.Typer(name="event", help="What happened.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Tell what happened."""


@app.command("list")
def list_all(
    *,
    topic: Annotated[str | None, typer.Option("--topic", help="Only this topic.")] = None,
    limit: LimitOption = 20,
    cursor: CursorOption = None,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """List events, the newest first."""
    query = {"topic": topic, "limit": limit, "cursor": cursor}
    page = call_api(Where(data_dir, organization), "GET", "/api/v1/events", query=query)
    columns = ["created_at", "topic", "device_id", "stream", "severity", "data"]
    show_list(page["items"], columns, as_json=as_json, next_cursor=page["next_cursor"])
