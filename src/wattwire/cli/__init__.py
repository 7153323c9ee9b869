"""The command line: `wattwire`. One file per group of commands.

Exit codes: 0 done, 1 refused or failed, 2 not understood, 3 the hub cannot be reached.
"""

import typer

from wattwire.cli import (
    devices,
    docs,
    doctor,
    events,
    integrations,
    mqtt_credentials,
    openapi,
    organizations,
    quarantine,
    readings,
    serve,
    tokens,
    users,
)
from wattwire.simulate.commands import simulate_app

app = typer.Typer(
    name="wattwire",
    help="Takes readings from electrical devices and delivers them, provably.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(serve.serve)
app.command()(serve.worker)
app.command()(serve.migrate)
app.command()(doctor.doctor)
app.command()(readings.readings)
app.command()(readings.rollups)
app.command()(openapi.openapi)
app.command()(docs.docs)
for group in (
    organizations.app,
    users.app,
    tokens.app,
    mqtt_credentials.app,
    devices.app,
    quarantine.app,
    integrations.app,
    events.app,
    simulate_app,
):
    app.add_typer(group)


def main() -> None:
    """Run one command."""
    app()
