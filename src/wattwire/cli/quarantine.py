"""`wattwire quarantine`: what could not be understood."""

from pathlib import Path
from typing import Annotated, Any

import typer

from wattwire.cli.calls import call_api
from wattwire.cli.output import CommandError, fail, show, show_list
from wattwire.cli.reach import (
    CursorOption,
    DataDirOption,
    JsonOption,
    LimitOption,
    OrganizationOption,
    Where,
)

app = typer.Typer(name="quarantine", help="What could not be understood.", no_args_is_help=True)
PATH = "/api/v1/quarantine"
EntryArgument = Annotated[int, typer.Argument(help="Number of the entry.")]
EntriesArgument = Annotated[list[int] | None, typer.Argument(help="Numbers of entries.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only with this in the reason.")]
AllOption = Annotated[bool, typer.Option("--all", help="All that are open.")]


@app.command("list")
def list_all(
    *,
    state: Annotated[str, typer.Option("--state", help="open, replayed, purged.")] = "open",
    reason: ReasonOption = None,
    limit: LimitOption = 100,
    cursor: CursorOption = None,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """List entries, the newest first."""
    query = {"state": state, "reason": reason, "limit": limit, "cursor": cursor}
    page = call_api(Where(data_dir, organization), "GET", PATH, query=query)
    columns = ["id", "received_at", "source", "format", "topic", "reason", "where"]
    show_list(page["items"], columns, as_json=as_json, next_cursor=page["next_cursor"])


@app.command("show")
def show_one(
    entry: EntryArgument,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one entry with what came."""
    show(call_api(Where(data_dir, organization), "GET", f"{PATH}/{entry}"), as_json=as_json)


@app.command()
def replay(
    *,
    entries: EntriesArgument = None,
    everything: AllOption = False,
    reason: ReasonOption = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="Feed this back instead of what came.")
    ] = None,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Feed entries back, as they came or mended."""
    where = Where(data_dir, organization)
    if file is not None:
        show(_replay_mended(where, entries, file), as_json=as_json)
        return
    body = _selection(entries, reason, everything=everything) | {"limit": 1000}
    done = call_api(where, "POST", f"{PATH}/replay", body=body)
    if not as_json:
        print(f"{done['replayed']} understood, {done['refused']} still refused")
    show_list(done["items"], ["id", "accepted", "reason", "where"], as_json=as_json)
    if done["refused"]:
        raise typer.Exit(1)


def _replay_mended(where: Where, entries: list[int] | None, file: Path) -> Any:
    if entries is None or len(entries) != 1:
        fail(CommandError("--file goes with the number of one entry"))
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(CommandError(f"{file} cannot be read: {error}"))
    return call_api(where, "POST", f"{PATH}/{entries[0]}/replay", body={"text": text})


def _selection(
    entries: list[int] | None, reason: str | None, *, everything: bool
) -> dict[str, Any]:
    if not entries and not everything and reason is None:
        fail(CommandError("give numbers of entries, --reason, or --all"))
    given: dict[str, Any] = {"ids": entries or None, "reason": reason}
    return {name: value for name, value in given.items() if value is not None}


@app.command()
def purge(
    *,
    entries: EntriesArgument = None,
    everything: AllOption = False,
    reason: ReasonOption = None,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Empty entries of their bytes. This cannot be undone."""
    body = _selection(entries, reason, everything=everything)
    show(
        call_api(Where(data_dir, organization), "POST", f"{PATH}/purge", body=body), as_json=as_json
    )
