"""`wattwire solarnetwork-token`: tokens that sign requests to SolarNetwork's API."""

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
from wattwire.cli.secrets import key_file
from wattwire.engines.secrets import Sealer
from wattwire.store import solarnetwork

app = typer.Typer(
    name="solarnetwork-token",
    help="Tokens that sign requests to SolarNetwork's API.",
    no_args_is_help=True,
)


class Kind(StrEnum):
    """What a token may do."""

    USER = "User"
    READ_NODE_DATA = "ReadNodeData"


@app.command()
def create(
    *,
    name: Annotated[str, typer.Option("--name", help="What it is for.")] = "",
    kind: Annotated[Kind, typer.Option("--kind", help="What it may do.")] = Kind.USER,
    nodes: Annotated[
        list[int] | None, typer.Option("--node", min=1, help="Only this node; may be repeated.")
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option("--source", help="Only sources of this pattern; may be repeated."),
    ] = None,
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=36500, help="Ends after so many days.")
    ] = None,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a token. Its secret is shown this once."""
    policy = {"node_ids": nodes, "source_ids": [s[:255] for s in sources or []]}

    async def work(desk: Desk) -> dict[str, Any]:
        expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
        async with desk.pool.acquire() as db, db.transaction():
            row, secret = await solarnetwork.create(
                db,
                Sealer.open(key_file(data_dir, desk)),
                desk.organization.id,
                name=name[:200],
                kind=kind.value,
                policy={field: value for field, value in policy.items() if value},
                expires_at=expires_at,
            )
            await desk.record(
                db, "solarnetwork_token.created", row.id, name=row.name, kind=row.kind
            )
        return {**_shown(row), "secret": secret}

    show(at_desk(Where(data_dir, organization), work), as_json=as_json)


@app.command("list")
def list_all(
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """List tokens, the newest first."""

    async def work(desk: Desk) -> list[dict[str, Any]]:
        rows = await solarnetwork.list_page(desk.pool, desk.organization.id, after=None, limit=1000)
        return [_shown(row) for row in rows]

    columns = ["id", "name", "kind", "created_at", "expires_at", "last_used_at", "revoked_at"]
    show_list(at_desk(Where(data_dir, organization), work), columns, as_json=as_json)


@app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(help="The token's id.")],
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a token now."""
    where = Where(data_dir, organization)
    row = end(where, solarnetwork.revoke, token_id, "solarnetwork_token")
    show(_shown(row), as_json=as_json)


def _shown(row: solarnetwork.Token) -> dict[str, Any]:
    return dataclasses.asdict(row)
