"""The reference pages below docs/, written by `wattwire docs` from the code they describe.

Nothing is said twice: a setting's meaning is its `Field(description=…)`, a type's page begins with
its module's docstring, the API's page is its OpenAPI document. A test compares what is committed
with what the code says.
"""

from collections.abc import Mapping
from typing import Any

from wattwire.api.application import create_description
from wattwire.integrations import TYPES as INTEGRATION_TYPES
from wattwire.reference import (
    api,
    commands,
    doors,
    integrations,
    metrics,
    payload_formats,
    settings,
    solarnetwork,
    sources,
)
from wattwire.sources import TYPES as SOURCE_TYPES


def pages(command: Any) -> Mapping[str, str]:
    """Return the text of every page by its path below docs/, the same for the same code.

    `command` is the root of the command line, which is not for this room to import.
    """
    return {
        "settings.md": settings.page(),
        "cli.md": commands.page(command),
        "api.md": api.page(create_description()),
        "metrics.md": metrics.page(),
        "formats.md": payload_formats.page(),
        "solarnetwork.md": solarnetwork.page(),
        "integrations/README.md": integrations.index(INTEGRATION_TYPES.values()),
        "sources/README.md": sources.index(SOURCE_TYPES.values()),
        "sources/doors.md": doors.page(),
        **{f"integrations/{k.name}.md": integrations.page(k) for k in INTEGRATION_TYPES.values()},
        **{f"sources/{k.name}.md": sources.page(k) for k in SOURCE_TYPES.values()},
    }
