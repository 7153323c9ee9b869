"""`wattwire mqtt-credential`: who may connect to the MQTT door."""

import dataclasses
import sys
from typing import Annotated, Any

import typer

from wattwire.api.mqtt_filters import Format, find_faults
from wattwire.cli.output import CommandError, fail, show, show_list
from wattwire.cli.reach import (
    DataDirOption,
    Desk,
    JsonOption,
    OrganizationOption,
    Where,
    at_desk,
)
from wattwire.store import credentials
from wattwire.store.passwords import MAX_LENGTH, hash_password, make_password

app = typer.Typer(name="mqtt-credential", help="Logins of the MQTT door.", no_args_is_help=True)
UsernameOption = Annotated[str, typer.Option("--username", help="Its user name.")]


@app.command()
def create(
    *,
    username: UsernameOption,
    format: Annotated[Format, typer.Option("--format", help="How what it publishes is read.")],  # noqa: A002 - the option's name
    topic: Annotated[
        list[str] | None, typer.Option("--topic", help="May publish here; may be repeated.")
    ] = None,
    subscribe: Annotated[
        list[str] | None, typer.Option("--subscribe", help="May subscribe here; may be repeated.")
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let somebody in at the MQTT door, at once. The password is shown this once."""
    password = _read_password() if password_stdin else make_password()
    topics, subscribed = topic or [], subscribe or []

    async def work(desk: Desk) -> dict[str, Any]:
        _check(desk, username, format, topics, subscribed)
        fields = credentials.CredentialFields(
            username=username,
            format=format,
            publish_topics=topics,
            subscribe_topics=subscribed,
            settings={},
            password_hash=await hash_password(password),
        )
        async with desk.pool.acquire() as db, db.transaction():
            row = await credentials.create(db, desk.organization.id, fields)
            await desk.record(db, "mqtt_credential.created", row.id, username=username)
        return {**shown(row), "password": password, "topic": topics[0] if topics else None}

    show(at_desk(Where(data_dir, organization), work), as_json=as_json)


def _read_password() -> str:
    password = sys.stdin.readline().rstrip("\r\n")
    if not 0 < len(password) <= MAX_LENGTH:
        fail(CommandError(f"a password has 1 to {MAX_LENGTH} characters"))
    return password


def _check(
    desk: Desk, username: str, format_name: str, publish: list[str], subscribe: list[str]
) -> None:
    if not 1 <= len(username) <= 255:  # noqa: PLR2004 - as the table says
        raise CommandError("a user name has 1 to 255 characters")
    faults = find_faults(publish, subscribe, format_name, desk.organization.id)
    if faults:
        field, fault = faults[0]
        raise CommandError(f"{field.replace('_topics', '')}: {fault}")


@app.command("list")
def list_all(
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """List logins."""

    async def work(desk: Desk) -> list[dict[str, Any]]:
        rows = await credentials.list_page(desk.pool, desk.organization.id, after=0, limit=10_000)
        return [shown(row) for row in rows]

    columns = ["id", "username", "format", "publish_topics", "subscribe_topics", "disabled_at"]
    show_list(at_desk(Where(data_dir, organization), work), columns, as_json=as_json)


@app.command()
def disable(
    username: UsernameOption,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Shut somebody out at the MQTT door, at once."""

    async def work(desk: Desk) -> dict[str, Any]:
        async with desk.pool.acquire() as db, db.transaction():
            old = await credentials.find_by_username(db, desk.organization.id, username)
            if old is None:
                raise CommandError(f"there is no login {username} in {desk.organization.name}")
            row = await credentials.replace(db, desk.organization.id, old.id, _disabled(old))
            await desk.record(db, "mqtt_credential.updated", old.id, changed=["disabled"])
        return shown(row)

    show(at_desk(Where(data_dir, organization), work), as_json=as_json)


def _disabled(old: credentials.Credential) -> credentials.CredentialFields:
    return credentials.CredentialFields(
        username=old.username,
        format=old.format,
        publish_topics=old.publish_topics,
        subscribe_topics=old.subscribe_topics,
        settings=old.settings,
        certificate_sha256=old.certificate_sha256,
        disabled=True,
    )


def shown(row: credentials.Credential) -> dict[str, Any]:
    """Return a login as it is printed."""
    fields = dataclasses.asdict(row)
    certificate = fields.pop("certificate_sha256")
    return {**fields, "certificate_sha256": certificate.hex() if certificate else None}
