"""The command line: `wattwire`. One file per group of commands.

Exit codes: 0 done, 1 refused or failed, 2 not understood, 3 the hub cannot be reached.

Only the file of the command that is called is imported: all of them take most of a second.
"""

import gc
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Annotated, Any, Final

import typer

from wattwire import __version__

#: Where each command, or group of commands, is. In the order of `--help`.
_PLACES: Final[Mapping[str, str]] = {
    "serve": "wattwire.cli.serve:serve",
    "worker": "wattwire.cli.serve:worker",
    "migrate": "wattwire.cli.serve:migrate",
    "doctor": "wattwire.cli.doctor:doctor",
    "readings": "wattwire.cli.readings:readings",
    "rollups": "wattwire.cli.readings:rollups",
    "export": "wattwire.cli.configuration:export_configuration",
    "apply": "wattwire.cli.configuration:apply_configuration",
    "openapi": "wattwire.cli.openapi:openapi",
    "docs": "wattwire.cli.docs:docs",
    "organization": "wattwire.cli.organizations:app",
    "user": "wattwire.cli.users:app",
    "token": "wattwire.cli.tokens:app",
    "solarnetwork-token": "wattwire.cli.solarnetwork_tokens:app",
    "solarnetwork-certificate": "wattwire.cli.solarnetwork_certificates:app",
    "mqtt-credential": "wattwire.cli.mqtt_credentials:app",
    "device": "wattwire.cli.devices:app",
    "ethernet-ip": "wattwire.cli.ethernet_ip:app",
    "quarantine": "wattwire.cli.quarantine:app",
    "integration": "wattwire.cli.integration_lifecycle:app",
    "secrets": "wattwire.cli.secrets:app",
    "event": "wattwire.cli.events:app",
    "simulate": "wattwire.simulate.commands:simulate_app",
}


def create_app(names: Iterable[str] = _PLACES) -> typer.Typer:
    """Return the command line with these commands; by default with all."""
    app = typer.Typer(
        name="wattwire",
        help="Takes readings from electrical devices and delivers them, provably.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(_options)
    for name in names:
        module, _, attribute = _PLACES[name].partition(":")
        found: Any = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found)
        else:
            app.command(name)(found)
    return app


def main() -> None:
    """Run one command."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    gc.disable()  # there is nothing to collect yet, and looking for it takes a fifth of the start
    # The reference is about all commands, as is the answer to one that is not there.
    app = create_app([name] if name in _PLACES and name != "docs" else _PLACES)
    gc.freeze()
    gc.enable()
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"Wattwire {__version__}")
        raise typer.Exit


def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Take what comes before a command."""
