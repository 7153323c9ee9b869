"""`wattwire token`: bearer tokens for programs."""

import dataclasses
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from wattwire.cli.output import show, show_list
from wattwire.cli.reach import (
    DataDirOption,
    Desk,
    JsonOption,
    OrganizationOption,
    Where,
    at_desk,
)
from wattwire.cli.revoking import revoke as end
from wattwire.store import tokens

app = typer.Typer(name="token", help="Bearer tokens for the API.", no_args_is_help=True)


class Role(StrEnum):
    """What a token or a user may do."""

    OWNER = "owner"
    EDITOR = "editor"
    VIEWER = "viewer"


RoleOption = Annotated[Role, typer.Option("--role", help="What it allows.")]


@app.command()
def create(
    *,
    role: RoleOption,
    name: Annotated[str, typer.Option("--name", help="What it is for.")] = "",
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=36500, help="Ends after so many days.")
    ] = None,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token. It is shown this once."""

    async def work(desk: Desk) -> dict[str, Any]:
        expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
        async with desk.pool.acquire() as db, db.transaction():
            row, text = await tokens.create(
                db, desk.organization.id, name=name[:200], role=role.value, expires_at=expires_at
            )
            await desk.record(db, "token.created", row.id, name=row.name, role=row.role)
        return {**_shown(row), "token": text}

    show(at_desk(Where(data_dir, organization), work), as_json=as_json)


@app.command("list")
def list_all(
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """List tokens, the newest first."""

    async def work(desk: Desk) -> list[dict[str, Any]]:
        rows = await tokens.list_page(desk.pool, desk.organization.id, after=None, limit=1000)
        return [_shown(row) for row in rows]

    columns = ["id", "name", "role", "created_at", "expires_at", "last_used_at", "revoked_at"]
    show_list(at_desk(Where(data_dir, organization), work), columns, as_json=as_json)


@app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(help="The part of the token before its dot.")],
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a token now."""
    key = token_id.partition(".")[0]
    row = end(Where(data_dir, organization), tokens.revoke, key, "token")
    show(_shown(row), as_json=as_json)


def _shown(row: tokens.Token) -> dict[str, Any]:
    return dataclasses.asdict(row)
