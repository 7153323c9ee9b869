"""`wattwire integration`: where events go."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from wattwire.cli.calls import call_api
from wattwire.cli.output import CommandError, fail, show, show_json, show_list
from wattwire.cli.reach import (
    CursorOption,
    DataDirOption,
    JsonOption,
    LimitOption,
    OrganizationOption,
    Where,
)

app = typer.Typer(name="integration", help="Where events go.", no_args_is_help=True)
PATH = "/api/v1/integrations"
FormatOption = Annotated[
    str | None, typer.Option("--format", help="How events are written; else as the type does.")
]
FormatSettingsOption = Annotated[
    str | None, typer.Option("--format-settings", help="JSON, or @FILE with JSON.")
]
IdArgument = Annotated[int, typer.Argument(help="Number of the integration.")]


@app.command()
def create(
    *,
    type: Annotated[str, typer.Option("--type", help="webhook, aws_sqs, aws_sns, …")],  # noqa: A002 - the option's name
    name: Annotated[str, typer.Option("--name", help="What people call it.")],
    topic: Annotated[list[str], typer.Option("--topic", help="What it asks for; may be repeated.")],
    settings: Annotated[str, typer.Option("--settings", help="JSON, or @FILE with JSON.")],
    form: FormatOption = None,
    format_settings: FormatSettingsOption = None,
    objects: Annotated[
        list[str] | None,
        typer.Option("--object", help="A message for each such channel, adc_*; may be repeated."),
    ] = None,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send events somewhere."""
    body: dict[str, Any] = {"type": type, "name": name, "topics": topic}
    body |= {"settings": _settings(settings)} | _format(form, format_settings)
    if objects:
        body["objects"] = objects
    show(call_api(Where(data_dir, organization), "POST", PATH, body=body), as_json=as_json)


@app.command()
def preview(
    *,
    form: Annotated[
        str | None, typer.Option("--format", help="A body: wattwire, connexa, template, …")
    ] = None,
    format_settings: FormatSettingsOption = None,
    type: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option("--type", help="Or what people are sent: email, slack.")
    ] = None,
    integration: Annotated[
        int | None, typer.Option("--id", help="Or what an integration would send them.")
    ] = None,
    settings: Annotated[
        str | None,
        typer.Option("--settings", help="Of --type, or laid over those of --id; JSON, or @FILE."),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=1, help="Of --type and --id: more make a digest.")
    ] = 1,
    event: Annotated[
        str | None, typer.Option("--event", help="A stored event's id; else an example.")
    ] = None,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what an event looks like: as a body in a format, or as a mail or Slack message."""
    where, stored = Where(data_dir, organization), {"event_id": event} if event else {}
    if sum(given is not None for given in (form, type, integration)) != 1:
        fail(CommandError("give one of --format, --type and --id"))
    if form is not None:
        if settings is not None or count > 1:
            fail(CommandError("--settings and --count belong to --type and --id"))
        body = _format(form, format_settings) | stored
        show(call_api(where, "POST", f"{PATH}/preview", body=body), as_json=as_json)
        return
    if format_settings is not None:
        fail(CommandError("--format-settings belongs to --format"))
    path = f"{PATH}/{integration}" if type is None else f"/api/v1/integration-types/{type}"
    body = {"settings": _settings(settings or "{}"), "count": count} | stored
    _show_parts(call_api(where, "POST", f"{path}/preview", body=body), as_json=as_json)


def _show_parts(found: dict[str, Any], *, as_json: bool) -> None:
    """Print each part below its name, without what a terminal would take for a command."""
    if as_json:
        show_json(found)
        return
    for part in found["parts"]:
        shown = "".join(c if c.isprintable() or c in "\n\t" else "?" for c in part["content"])
        print(f"--- {part['name']} ({part['content_type']})\n{shown.rstrip()}\n")


def _format(form: str | None, settings: str | None) -> dict[str, Any]:
    """Return the fields of a request that say how events are written."""
    fields: dict[str, Any] = {} if form is None else {"format": form}
    return (
        fields
        if settings is None
        else fields | {"format_settings": _settings(settings, "--format-settings")}
    )


def _settings(text: str, option: str = "--settings") -> dict[str, Any]:
    """Return settings given as JSON or, so that secrets stay out of the process list, as @FILE."""
    try:
        raw = Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()
        return msgspec.json.decode(raw, type=dict[str, Any])
    except OSError as error:
        fail(CommandError(f"{text[1:]} cannot be read: {error.strerror}"))
    except msgspec.DecodeError as error:
        fail(CommandError(f"{option} is not a JSON object: {error}"))


@app.command("list")
def list_all(
    limit: LimitOption = 100,
    cursor: CursorOption = None,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """List integrations."""
    query = {"limit": limit, "cursor": cursor}
    page = call_api(Where(data_dir, organization), "GET", PATH, query=query)
    columns = ["id", "type", "name", "topics", "status", "reason"]
    show_list(page["items"], columns, as_json=as_json, next_cursor=page["next_cursor"])


@app.command("test")
def send_test(
    integration: IdArgument,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Really send one message marked as a test."""
    result = call_api(Where(data_dir, organization), "POST", f"{PATH}/{integration}/test")
    show(result, as_json=as_json)
    if result["outcome"] != "delivered":
        raise typer.Exit(1)


@app.command()
def replay(
    *,
    integration: IdArgument,
    dead_since: Annotated[
        str | None,
        typer.Option("--dead-since", help="All dead letters since 2025-06-01T00:00:00Z."),
    ] = None,
    dead: Annotated[list[int] | None, typer.Option("--dead", help="This dead letter.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Events again, from …")] = None,
    end: Annotated[str | None, typer.Option("--to", help="… until before.")] = None,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send again: dead letters, or the events of a time range."""
    given = {"dead_letter_ids": dead or None, "dead_since": dead_since, "from": start, "to": end}
    body = {name: value for name, value in given.items() if value is not None}
    path = f"{PATH}/{integration}/replay"
    show(call_api(Where(data_dir, organization), "POST", path, body=body), as_json=as_json)


@app.command()
def stats(
    integration: IdArgument,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the counters: matched = delivered + waiting + in_flight + dead + discarded."""
    path = f"{PATH}/{integration}/stats"
    show(call_api(Where(data_dir, organization), "GET", path), as_json=as_json)


@app.command()
def pause(
    integration: IdArgument,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop sending; messages wait."""
    path = f"{PATH}/{integration}/pause"
    show(call_api(Where(data_dir, organization), "POST", path), as_json=as_json)


@app.command()
def resume(
    integration: IdArgument,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send again, what waited first."""
    path = f"{PATH}/{integration}/resume"
    show(call_api(Where(data_dir, organization), "POST", path), as_json=as_json)
