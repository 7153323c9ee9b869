"""`wattwire organization`: whose everything is."""

import dataclasses
from typing import Annotated, Any

import typer

from wattwire.cli.output import show, show_list
from wattwire.cli.reach import DataDirOption, JsonOption, find_hub, run
from wattwire.store import audit, organizations
from wattwire.store.database import open_pool

app = typer.Typer(name="organization", help="Organizations.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Its name.")],
    auto_register: Annotated[
        bool, typer.Option(help="Register unknown devices; else they go to quarantine.")
    ] = True,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an organization."""

    async def work() -> dict[str, Any]:
        async with open_pool(find_hub(data_dir)["database_url"], size=1, role="cli") as pool:
            row = await organizations.create(pool, name, auto_register=auto_register)
            await audit.record(
                pool, row.id, actor="cli", action="organization.created", object=row.id
            )
            return dataclasses.asdict(row)

    show(run(work), as_json=as_json)


@app.command("list")
def list_all(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """List organizations, the oldest first."""

    async def work() -> list[dict[str, Any]]:
        async with open_pool(find_hub(data_dir)["database_url"], size=1, role="cli") as pool:
            return [dataclasses.asdict(row) for row in await organizations.list_all(pool)]

    show_list(run(work), ["id", "name", "auto_register", "detect_resets"], as_json=as_json)
