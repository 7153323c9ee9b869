"""Settings of integrations and sources: checked by their type, secrets parted and sealed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from wattwire.api.problems import invalid, invalid_settings
from wattwire.store import sealing


@dataclass(frozen=True, slots=True)
class Configured:
    """Settings as they are stored."""

    settings: Mapping[str, Any]
    secrets: bytes | None


def read_settings(
    kind: Any, given: Mapping[str, Any], sealer: sealing.Sealer, sealed: bytes | None = None
) -> Configured:
    """Check settings without the network; secrets that are left out stay as they were sealed.

    Raises Problem 422 that names the fields, never the values.
    """
    if given.get("type", kind.name) != kind.name:
        raise invalid("settings.type", "cannot be changed: make another one")
    kept = sealing.open_tree(sealed, sealer)
    try:
        model: BaseModel = kind.settings.model_validate(sealing.merge(kept, given))
    except ValidationError as error:
        raise invalid_settings(error, "settings") from None
    public, secret = sealing.part(model)
    public.pop("type", None)
    return Configured(public, sealing.seal_tree(secret, sealer))


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of settings as they are sent; `type` stands beside them."""
    schema = model.model_json_schema(mode="validation")
    schema.get("properties", {}).pop("type", None)
    return schema
