"""`wattwire solarnetwork-certificate`: client certificates by which nodes upload to SolarIn."""

import dataclasses
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from wattwire.api.client_certificates import MAX_PEM, ClientCertificate, read_certificate
from wattwire.cli.output import CommandError, show, show_list
from wattwire.cli.reach import (
    DataDirOption,
    Desk,
    JsonOption,
    OrganizationOption,
    Where,
    at_desk,
    load_settings,
)
from wattwire.cli.revoking import revoke as end
from wattwire.engines.certificates import issue_client_certificate
from wattwire.engines.errors import EngineError
from wattwire.engines.private_files import write_private
from wattwire.store import devices
from wattwire.store import solarnetwork_certificates as certificates

app = typer.Typer(
    name="solarnetwork-certificate",
    help="Client certificates by which nodes upload to SolarNetwork's API.",
    no_args_is_help=True,
)
NodeOption = Annotated[
    int, typer.Option("--node", min=1, help="The node: the device's number. It may upload for it.")
]
_DAYS: Final = 5 * 365


@app.command()
def create(
    *,
    node: NodeOption,
    days: Annotated[
        int, typer.Option("--days", min=1, max=_DAYS, help="Ends after so many days.")
    ] = _DAYS,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="Write node-N.pem and node-N.key there, not to the screen."),
    ] = None,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a certificate with the hub's own CA. Its key is shown this once."""

    async def work(desk: Desk) -> dict[str, Any]:
        await _check_node(desk, node)
        authority = _authority(data_dir)
        try:
            issued = issue_client_certificate(
                authority, f"node-{node}", timedelta(days=days), user_id=str(node)
            )
            files = _written(folder, node, issued.certificate, issued.key)
        except EngineError as error:
            raise CommandError(str(error)) from error
        row = await _allow(desk, node, read_certificate(issued.certificate, node))
        _note(desk)
        return {**_shown(row), **files}

    show(at_desk(Where(data_dir, organization), work), as_json=as_json)


@app.command()
def register(
    file: Annotated[Path, typer.Argument(help="The certificate, PEM; never its key.")],
    *,
    node: NodeOption,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Allow a certificate that an authority of your own signed (WATTWIRE_TLS_CLIENT_CA_FILE)."""

    async def work(desk: Desk) -> dict[str, Any]:
        await _check_node(desk, node)
        try:
            with file.open("rb") as opened:
                read = read_certificate(opened.read(MAX_PEM), node)
        except (OSError, ValueError) as error:
            raise CommandError(f"{file}: {getattr(error, 'strerror', None) or error}") from error
        row = await _allow(desk, node, read)
        _note(desk)
        return _shown(row)

    show(at_desk(Where(data_dir, organization), work), as_json=as_json)


@app.command("list")
def list_all(
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """List certificates, the newest first."""

    async def work(desk: Desk) -> list[dict[str, Any]]:
        rows = await certificates.list_page(
            desk.pool, desk.organization.id, before=None, limit=10_000
        )
        return [_shown(row) for row in rows]

    columns = ["id", "device_id", "subject", "expires_at", "last_used_at", "revoked_at"]
    show_list(at_desk(Where(data_dir, organization), work), columns, as_json=as_json)


@app.command()
def revoke(
    certificate_id: Annotated[int, typer.Argument(min=1, help="The certificate's number.")],
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refuse a certificate from now on."""
    where = Where(data_dir, organization)
    row = end(where, certificates.revoke, certificate_id, "solarnetwork_certificate")
    show(_shown(row), as_json=as_json)


async def _check_node(desk: Desk, node: int) -> None:
    if await devices.find(desk.pool, desk.organization.id, node) is None:
        raise CommandError(f"there is no device {node}: see `wattwire device list`")


def _authority(data_dir: Path | None) -> Path:
    """Return the folder of the hub's CA; a new one must not be made: the hub would not trust it."""
    folder = load_settings(data_dir).data_dir / "tls"
    if not (folder / "ca.pem").exists():
        raise CommandError(f"{folder} has no CA: give the --data-dir of a hub that has run")
    return folder


def _written(folder: Path | None, node: int, certificate: bytes, key: bytes) -> dict[str, Any]:
    """Return what to show: the two texts, or the files they were written to, the key's private."""
    if folder is None:
        return {"certificate": certificate.decode(), "key": key.decode()}
    files = {
        "key_file": folder / f"node-{node}.key",
        "certificate_file": folder / f"node-{node}.pem",
    }
    if taken := [path for path in files.values() if path.exists()]:
        raise CommandError(f"{taken[0]} exists already: move it away")
    try:
        write_private(files["key_file"], key)
        write_private(files["certificate_file"], certificate, mode=0o644)
    except OSError as error:
        raise CommandError(f"{folder}: {error.strerror}") from error
    return files


async def _allow(desk: Desk, node: int, read: ClientCertificate) -> certificates.Certificate:
    async with desk.pool.acquire() as db, db.transaction():
        row = await certificates.create(
            db,
            desk.organization.id,
            device_id=node,
            sha256=read.sha256,
            subject=read.subject,
            expires_at=read.expires_at,
        )
        await desk.record(
            db, "solarnetwork_certificate.created", row.id, device_id=node, sha256=read.sha256.hex()
        )
    return row


def _note(desk: Desk) -> None:
    if "pid" in desk.info and not desk.info.get("https_url"):
        print(
            "wattwire: the hub does not listen with TLS yet: set WATTWIRE_HTTPS_PORT",
            file=sys.stderr,
        )


def _shown(row: certificates.Certificate) -> dict[str, Any]:
    return {**dataclasses.asdict(row), "sha256": row.sha256.hex()}
