"""`wattwire export` and `wattwire apply`: everything that people decided, as one document."""

import os
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from wattwire.api.configuration.referred import referred
from wattwire.cli.calls import call_api
from wattwire.cli.documents import MAX_BYTES, DocumentError, read_document, write_document
from wattwire.cli.output import CommandError, fail, show_json
from wattwire.cli.reach import DataDirOption, JsonOption, OrganizationOption, Where

PATH: Final = "/api/v1/configuration"
_WIDEST: Final = 100
_HEAD: Final = """\
# The configuration of an organization. `wattwire apply` makes a hub as this file says.
# ${SECRET:NAME}: given in the file of --secrets or in the environment as WATTWIRE_SECRET_ with the
# name after it; a secret that is not given stays as it is. ${ENV:NAME}, ${FILE:PATH}: what is
# there.
"""


def export_configuration(
    file: Annotated[
        Path | None, typer.Argument(help="Where it is written; to the screen when left out.")
    ] = None,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the configuration of an organization as one document; secrets as references."""
    document = call_api(Where(data_dir, organization), "GET", PATH)
    text = _json(document) if as_json else _HEAD + write_document(document)
    if file is None:
        print(text, end="")
        return
    try:
        draft = file.with_name(f".{file.name}.new")
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        fail(CommandError(f"{file} cannot be written: {error.strerror}"))


def _json(document: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def apply_configuration(
    file: Annotated[
        Path | None, typer.Argument(help="The document, YAML or JSON; - reads it from stdin.")
    ] = None,
    *,
    named: Annotated[
        Path | None, typer.Option("--file", "-f", help="The document, as an option.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be done.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Delete sources, integrations and MQTT credentials that its sections do not name.",
        ),
    ] = False,
    secrets: Annotated[
        Path | None,
        typer.Option("--secrets", help="File with NAME: VALUE, for ${SECRET:NAME}; mode 0600."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Discard what is still queued for what is deleted.")
    ] = False,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make everything as a document says, all of it or nothing, and show what differs.

    Devices are matched by key, integrations by type and name, MQTT credentials by user name. What
    is left out of an entry has its default; devices and sections that are left out stay.
    """
    source = file or named
    if source is None or (file and named):
        fail(CommandError("Name one document: wattwire apply -f FILE"))
    where = Where(data_dir, organization)
    try:
        document = read_document(_bytes(source))
        values = _values(document, source.parent, secrets)
    except DocumentError as error:
        fail(CommandError(f"{source}: {error}"))
    body = {"document": document, "values": values, "prune": prune, "discard": yes}
    plan = call_api(where, "POST", PATH, body=body | {"dry_run": True})
    if not as_json:
        _show_steps(plan["steps"])
    if not dry_run:
        plan = call_api(where, "POST", PATH, body=body)
    if as_json:
        show_json(plan)
    else:
        done = "" if plan["applied"] else " Nothing was changed: a dry run."
        print(f"{_count(plan['changes'])}, {plan['unchanged']} unchanged.{done}")


def _count(changes: int) -> str:
    return "1 change" if changes == 1 else f"{changes} changes"


def _bytes(file: Path) -> bytes:
    """Return what a file holds, or standard input; a byte more than allowed at the most."""
    if str(file) == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise DocumentError(f"it cannot be read: {error.strerror}") from error


def _values(document: Mapping[str, Any], folder: Path, secrets: Path | None) -> dict[str, Any]:
    """Return what stands for the references of a document. Raises DocumentError for what misses."""
    given = {} if secrets is None else _secrets(secrets)
    values: dict[str, Any] = {}
    missing = []
    for kind, name in sorted(set(referred(document))):
        if kind == "SECRET":
            value = given.get(name, os.environ.get(f"WATTWIRE_SECRET_{name}"))
        elif kind == "ENV":
            value = os.environ.get(name)
        else:
            value = _text(folder / name)
        if value is not None:
            values[f"{kind}:{name}"] = value
        elif kind == "ENV":
            missing.append(name)
    if missing:
        raise DocumentError(f"set in the environment: {', '.join(missing)}")
    return values


def _text(file: Path) -> str:
    try:
        return _bytes(file).decode().removesuffix("\n")
    except DocumentError as error:
        raise DocumentError(f"{file}: {error}") from error
    except UnicodeDecodeError as error:
        raise DocumentError(f"{file} is not UTF-8") from error


def _secrets(file: Path) -> dict[str, Any]:
    """Return the secrets of a file that nobody else may read."""
    content = _bytes(file)
    if file.stat().st_mode & stat.S_IRWXO:
        raise DocumentError(f"{file} holds secrets and others may read it: chmod 600 {file}")
    try:
        return read_document(content)
    except DocumentError as error:
        raise DocumentError(f"{file}: {error}") from error


def _show_steps(steps: Sequence[Mapping[str, Any]]) -> None:
    for step in steps:
        queued = step["queued"]
        waits = (
            f"  ({queued['waiting']} waiting, {queued['in_flight']} in flight, "
            f"{queued['dead']} dead)"
            if queued
            else ""
        )
        print(f"{step['action']}  {step['kind']}  {step['name']}{waits}")
        for change in step["changes"]:
            before, after = _shown(change["before"]), _shown(change["after"])
            arrow = after if step["action"] == "create" else f"{before} -> {after}"
            print(f"    {change['field']}: {arrow}")


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    line = " ".join(text.split())
    return line if len(line) <= _WIDEST else f"{line[:_WIDEST]}…"
