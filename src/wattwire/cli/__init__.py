"""The command line: `wattwire`. One file per group of commands.

Exit codes: 0 done, 1 refused or failed, 2 not understood, 3 the hub cannot be reached.
"""

import typer

from wattwire.cli import (
    configuration,
    devices,
    docs,
    doctor,
    ethernet_ip,
    events,
    integration_lifecycle,
    integrations,
    mqtt_credentials,
    openapi,
    organizations,
    quarantine,
    readings,
    secrets,
    serve,
    solarnetwork_certificates,
    solarnetwork_tokens,
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
app.command("export")(configuration.export_configuration)
app.command("apply")(configuration.apply_configuration)
app.command()(openapi.openapi)
app.command()(docs.docs)
integrations.app.command()(integration_lifecycle.duplicate)
integrations.app.command()(integration_lifecycle.delete)
for group in (
    organizations.app,
    users.app,
    tokens.app,
    solarnetwork_tokens.app,
    solarnetwork_certificates.app,
    mqtt_credentials.app,
    devices.app,
    ethernet_ip.app,
    quarantine.app,
    integrations.app,
    secrets.app,
    events.app,
    simulate_app,
):
    app.add_typer(group)


def main() -> None:
    """Run one command."""
    app()
