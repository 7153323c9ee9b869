"""`wattwire integration duplicate` and `delete`."""

import sys
from typing import Annotated

import typer

from wattwire.cli.calls import call_api
from wattwire.cli.integrations import PATH, IdArgument, app
from wattwire.cli.output import CommandError, fail, show
from wattwire.cli.reach import DataDirOption, JsonOption, OrganizationOption, Where


@app.command()
def duplicate(
    integration: IdArgument,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a paused copy, secrets included; nothing of its queue or ledger."""
    path = f"{PATH}/{integration}/duplicate"
    show(call_api(Where(data_dir, organization), "POST", path), as_json=as_json)


@app.command()
def delete(
    integration: IdArgument,
    *,
    discard: Annotated[
        bool, typer.Option("--discard", help="Discard what is still queued, without a question.")
    ] = False,
    data_dir: DataDirOption = None,
    organization: OrganizationOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete an integration. What is still queued is shown first, and then asked about."""
    where, path = Where(data_dir, organization), f"{PATH}/{integration}"
    stats = call_api(where, "GET", f"{path}/stats")
    queued = stats["waiting"] + stats["in_flight"]
    if queued and not discard:
        _ask(
            f"{queued} messages are still queued ({stats['waiting']} waiting, "
            f"{stats['in_flight']} in flight; {stats['dead']} dead)"
        )
    query = {"discard": "true"} if queued or discard else None
    call_api(where, "DELETE", path, query=query)
    show({"deleted": integration, "discarded": queued}, as_json=as_json)


def _ask(state: str) -> None:
    """Ask whether to go on; leave when the answer is no, or when nobody is there to ask."""
    if not sys.stdin.isatty():
        fail(CommandError(f"{state}: wait until they are delivered, or give --discard"))
    typer.confirm(f"{state}. Discard them?", abort=True, err=True)
