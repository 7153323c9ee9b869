"""`wattwire openapi`: the API's own description."""

from wattwire.cli.output import show_json


def openapi() -> None:
    """Print the OpenAPI document of the API."""
    from wattwire.api.application import create_description  # noqa: PLC0415 - slow to import, for this alone

    show_json(create_description())
