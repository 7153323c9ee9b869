"""`wattwire user`: the people of an organization."""

import dataclasses
import sys
from typing import Annotated, Any

import typer

from wattwire.cli.output import CommandError, fail, show, show_list
from wattwire.cli.reach import (
    DataDirOption,
    Desk,
    JsonOption,
    OrganizationOption,
    Where,
    at_desk,
)
from wattwire.cli.tokens import Role
from wattwire.store import accounts
from wattwire.store.passwords import MAX_LENGTH, hash_password, make_password

app = typer.Typer(name="user", help="People who may sign in.", no_args_is_help=True)
MIN_LENGTH = 12
EmailArgument = Annotated[str, typer.Argument(help="Their email.")]
StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]


@app.command()
def create(
    *,
    email: EmailArgument,
    role: Annotated[Role, typer.Option("--role", help="What they may do.")],
    name: Annotated[str, typer.Option("--name", help="Their name.")] = "",
    password_stdin: StdinOption = False,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a person in. A password that is not given is made up and shown this once."""
    if "@" not in email[1:-1]:
        fail(CommandError(f"{email} is not an email address"))
    password = _password(from_stdin=password_stdin)

    async def work(desk: Desk) -> dict[str, Any]:
        hashed = await hash_password(password)
        async with desk.pool.acquire() as db, db.transaction():
            row = await accounts.create(
                db,
                desk.organization.id,
                email=email,
                name=name[:200],
                role=role.value,
                password_hash=hashed,
            )
            await desk.record(db, "user.created", row.id, email=row.email, role=row.role)
        return dataclasses.asdict(row) | ({} if password_stdin else {"password": password})

    show(at_desk(Where(data_dir, organization), work), as_json=as_json)


def _password(*, from_stdin: bool) -> str:
    if not from_stdin:
        return make_password()
    password = sys.stdin.readline().rstrip("\r\n")
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        fail(CommandError(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters"))
    return password


@app.command("list")
def list_all(
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """List users."""

    async def work(desk: Desk) -> list[dict[str, Any]]:
        rows = await accounts.list_page(desk.pool, desk.organization.id, after=0, limit=10_000)
        return [dataclasses.asdict(row) for row in rows]

    columns = ["id", "email", "name", "role", "created_at", "disabled_at"]
    show_list(at_desk(Where(data_dir, organization), work), columns, as_json=as_json)


@app.command()
def disable(
    email: EmailArgument,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Shut a person out, at once."""

    async def work(desk: Desk) -> dict[str, Any]:
        async with desk.pool.acquire() as db, db.transaction():
            found = await _find(desk, db, email)
            if await accounts.lock_owners(db, desk.organization.id) == {found.id}:
                raise CommandError("this is the last owner: make another one first")
            row = await accounts.update(db, desk.organization.id, found.id, disabled=True)
            await desk.record(db, "user.updated", found.id, disabled=True)
        return dataclasses.asdict(row or found)

    show(at_desk(Where(data_dir, organization), work), as_json=as_json)


@app.command()
def password(
    email: EmailArgument,
    password_stdin: StdinOption = False,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set a new password; it ends their sessions."""
    new = _password(from_stdin=password_stdin)

    async def work(desk: Desk) -> dict[str, Any]:
        hashed = await hash_password(new)
        async with desk.pool.acquire() as db, db.transaction():
            found = await _find(desk, db, email)
            await accounts.update(db, desk.organization.id, found.id, password_hash=hashed)
            await desk.record(db, "user.updated", found.id, password=True)
        return {"email": found.email} | ({} if password_stdin else {"password": new})

    show(at_desk(Where(data_dir, organization), work), as_json=as_json)


async def _find(desk: Desk, db: Any, email: str) -> accounts.Account:
    found = await accounts.find_by_email(db, email)
    if found is None or found[0].organization_id != desk.organization.id:
        raise CommandError(f"there is no user {email} in {desk.organization.name}")
    return found[0]
