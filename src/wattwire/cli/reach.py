"""How a command finds the hub: by its data folder, or by the address of its database.

Commands about who may come in work on the store itself; others go through the API (`calls`).
"""

import asyncio
import getpass
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
from pydantic import ValidationError

from wattwire.cli.output import UNREACHABLE, CommandError, fail
from wattwire.engines.datadir import read_hub_info
from wattwire.engines.errors import EngineError
from wattwire.settings import Settings
from wattwire.store import audit, organizations
from wattwire.store.database import DatabaseError, open_pool

T = TypeVar("T")

DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder of the hub.", show_default=False)
]
OrganizationOption = Annotated[
    str | None,
    typer.Option(
        "--organization",
        help="Name of the organization; the first one when left out.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")]
CursorOption = Annotated[
    str | None, typer.Option("--cursor", help="Where the page before ended.", show_default=False)
]


@dataclass(frozen=True, slots=True)
class Where:
    """What was given to find the hub."""

    data_dir: Path | None = None
    organization: str | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """The store, opened for one command."""

    pool: Any
    organization: organizations.Organization
    info: Mapping[str, Any]

    @property
    def actor(self) -> str:
        """Whom the audit names."""
        return f"cli:{_user()}"

    async def record(self, db: Any, action: str, object_id: object, **detail: Any) -> None:
        """Write the audit row of a change."""
        await audit.record(
            db,
            self.organization.id,
            actor=self.actor,
            action=action,
            object=object_id,
            detail=detail,
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in some containers
        return "unknown"


def load_settings(data_dir: Path | None, **given: Any) -> Settings:
    """Return the settings, or leave with a sentence about each that does not fit."""
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**chosen) if data_dir is None else Settings(data_dir=data_dir, **chosen)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "_".join(map(str, first["loc"])).upper()
        fail(CommandError(f"WATTWIRE_{name}: {first['msg']}"))


def find_hub(data_dir: Path | None) -> dict[str, Any]:
    """Return what the running hub tells of itself, the address of its database at the least.

    Raises CommandError when there is none.
    """
    settings = load_settings(data_dir)
    try:
        info = read_hub_info(settings.data_dir) if settings.data_dir.exists() else None
    except EngineError as error:
        raise CommandError(str(error), UNREACHABLE) from error
    if settings.database_url is not None and data_dir is None:
        return {**(info or {}), "database_url": settings.database_url.get_secret_value()}
    if info is None:
        raise CommandError(
            f"no hub runs on {settings.data_dir.absolute()}: start it with `wattwire serve`, give "
            "--data-dir, or set WATTWIRE_DATABASE_URL",
            UNREACHABLE,
        )
    return info


@asynccontextmanager
async def open_desk(where: Where) -> AsyncIterator[Desk]:
    """Open the store and find the organization. Raises CommandError."""
    info = find_hub(where.data_dir)
    try:
        async with open_pool(info["database_url"], size=2, role="cli") as pool:
            found = await organizations.find_by_name(pool, where.organization)
            if found is None:
                raise _no_organization(where.organization)
            yield Desk(pool, found, info)
    except DatabaseError as error:
        raise CommandError(f"{error}. Is the hub running?", UNREACHABLE) from error


def _no_organization(name: str | None) -> CommandError:
    if name is None:
        return CommandError("there is no organization: `wattwire organization create NAME`")
    return CommandError(f"there is no organization {name}: see `wattwire organization list`")


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Carry out the work of a command; what is wrong becomes one sentence and an exit code."""

    async def carry_out() -> T:
        return await work()

    try:
        return asyncio.run(carry_out())
    except CommandError as error:
        fail(error)
    except asyncpg.UniqueViolationError:
        fail(CommandError("something with this name exists already"))
    except asyncpg.UndefinedTableError:
        fail(CommandError("the database is not set up: run `wattwire migrate`"))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        fail(CommandError(f"the database does not answer: {error}", UNREACHABLE))


def at_desk(where: Where, work: Callable[[Desk], Awaitable[T]]) -> T:
    """Carry out work that needs the store."""

    async def seated() -> T:
        async with open_desk(where) as desk:
            return await work(desk)

    return run(seated)
