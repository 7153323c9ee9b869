"""`wattwire device`: the things in the field."""

import dataclasses
from typing import Annotated, Any

import msgspec
import typer

from wattwire.cli.calls import call_api
from wattwire.cli.output import CommandError, fail, show, show_list
from wattwire.cli.reach import (
    CursorOption,
    DataDirOption,
    Desk,
    JsonOption,
    LimitOption,
    OrganizationOption,
    Where,
    at_desk,
)
from wattwire.store import devices

app = typer.Typer(name="device", help="Devices.", no_args_is_help=True)
KeyArgument = Annotated[str, typer.Argument(help="The device's key.")]


@app.command("list")
def list_all(
    *,
    search: Annotated[str | None, typer.Option("--search", help="Part of the name or key.")] = None,
    status: Annotated[str | None, typer.Option("--status", help="online, silent, offline.")] = None,
    limit: LimitOption = 100,
    cursor: CursorOption = None,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """List devices."""
    query = {"search": search, "status": status, "limit": limit, "cursor": cursor}
    page = call_api(Where(data_dir, organization), "GET", "/api/v1/devices", query=query)
    columns = ["id", "key", "name", "type", "time_zone", "status", "last_seen_at"]
    show_list(page["items"], columns, as_json=as_json, next_cursor=page["next_cursor"])


@app.command("show")
def show_one(
    key: KeyArgument,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a device and its streams."""

    async def work(desk: Desk) -> dict[str, Any]:
        row = await _find(desk, key)
        streams = await devices.list_streams(desk.pool, desk.organization.id, row.id)
        return dataclasses.asdict(row) | {"streams": [dataclasses.asdict(s) for s in streams]}

    show(at_desk(Where(data_dir, organization), work), as_json=as_json)


async def _find(desk: Desk, key: str) -> devices.DeviceRow:
    row = await devices.find_by_key(desk.pool, desk.organization.id, key)
    if row is None:
        raise CommandError(f"there is no device {key}: see `wattwire device list`")
    return row


def find_id(where: Where, key: str) -> int:
    """Return the number of the device with this key."""

    async def work(desk: Desk) -> int:
        return (await _find(desk, key)).id

    return at_desk(where, work)


@app.command("set")
def set_fields(
    *,
    key: KeyArgument,
    name: Annotated[str | None, typer.Option("--name", help="What people call it.")] = None,
    type: Annotated[str | None, typer.Option("--type", help="What kind of device.")] = None,  # noqa: A002 - the option's name
    time_zone: Annotated[str | None, typer.Option("--time-zone", help="IANA zone.")] = None,
    metadata: Annotated[str | None, typer.Option("--metadata", help="A JSON object.")] = None,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a device; what is left out stays."""
    where = Where(data_dir, organization)
    fields = {"name": name, "type": type, "time_zone": time_zone, "metadata": _object(metadata)}
    body = {field: value for field, value in fields.items() if value is not None}
    path = f"/api/v1/devices/{find_id(where, key)}"
    show(call_api(where, "PATCH", path, body=body), as_json=as_json)


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text.encode(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        fail(CommandError(f"--metadata is not a JSON object: {error}"))
