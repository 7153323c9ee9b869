"""`serve`, `worker`, `migrate`: running the hub."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from wattwire.cli.output import CommandError, fail, show
from wattwire.cli.reach import DataDirOption, JsonOption, find_hub, load_settings
from wattwire.store import database

RolesOption = Annotated[
    str | None,
    typer.Option(
        "--roles",
        help="Some of door,sources,pipeline,delivery,api; all when left out.",
        show_default=False,
    ),
]
ProcessesOption = Annotated[
    int | None,
    typer.Option(
        "--processes", min=0, max=64, help="1: all roles in one process.", show_default=False
    ),
]
ReadyOption = Annotated[
    Path | None,
    typer.Option("--ready-file", help="Write JSON here once everything is up.", show_default=False),
]


def serve(
    data_dir: DataDirOption = None,
    roles: RolesOption = None,
    demo: Annotated[bool, typer.Option("--demo", help="Add a simulated fleet.")] = False,
    ready_file: ReadyOption = None,
    processes: ProcessesOption = None,
) -> None:
    """Run the hub until it is told to stop (Ctrl-C)."""
    _serve(data_dir, roles, demo=demo, ready_file=ready_file, processes=processes)


def worker(
    roles: Annotated[
        str, typer.Option("--roles", help="Some of door,sources,pipeline,delivery,api.")
    ],
    data_dir: DataDirOption = None,
    ready_file: ReadyOption = None,
    processes: ProcessesOption = None,
) -> None:
    """Run some roles beside other hubs; WATTWIRE_DATABASE_URL and WATTWIRE_NATS_URL say where."""
    _serve(data_dir, roles, demo=False, ready_file=ready_file, processes=processes)


def _serve(
    data_dir: Path | None,
    roles: str | None,
    *,
    demo: bool,
    ready_file: Path | None,
    processes: int | None,
) -> None:
    from wattwire.app.serve import ROLES  # noqa: PLC0415 - the whole hub: slow to import, for this alone
    from wattwire.app.serve import serve as run_hub  # noqa: PLC0415 - as above

    settings = load_settings(data_dir, processes=processes)
    chosen = [r.strip() for r in roles.split(",") if r.strip()] if roles else list(ROLES)
    if unknown := set(chosen) - set(ROLES):
        fail(CommandError(f"there is no role {min(unknown)}; the roles are {', '.join(ROLES)}"))
    raise typer.Exit(run_hub(settings, roles=chosen, demo=demo, ready_file=ready_file))


def migrate(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Bring the database up to date. `serve` does so by itself."""
    try:
        url = find_hub(data_dir)["database_url"]
        applied = asyncio.run(database.migrate(url))
    except CommandError as error:
        fail(error)
    except (database.DatabaseError, OSError, TimeoutError) as error:
        fail(CommandError(str(error)))
    show({"applied": applied}, as_json=as_json)
