"""Settings with secrets in a configuration: those of sources and of integrations."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from wattwire.api.configuration.faults import below
from wattwire.api.configuration.items import Item
from wattwire.api.configuration.references import fill
from wattwire.api.configuration.section import At
from wattwire.api.problems import Problem
from wattwire.store import sealing
from wattwire.store.sealing import SEALING, Sealer, Tree


def sealer(at: At) -> Sealer:
    """Return what seals the secrets of settings."""
    return at.call.hub.sealer.bound(SEALING)


def open_settings(at: At, kind: Any, row: Any) -> tuple[Tree, Tree, bool]:
    """Return the settings of a row, its secrets, and whether those cannot be opened any more.

    What the type's model has got since they were stored is there with its default.
    """
    try:
        secret = sealing.open_tree(row.secrets, sealer(at))
    except Exception:  # noqa: BLE001 - whatever the key's owner raises: they cannot be opened
        return dict(row.settings), {}, True
    try:
        model = kind.settings.model_validate(sealing.merge(row.settings, secret))
    except (AttributeError, ValidationError):  # a type that is not known, settings of another age
        return dict(row.settings), secret, False
    public, secret = sealing.part(model)
    public.pop("type", None)
    return public, secret, False


def read_settings(
    at: At, kind: Any, given: Mapping[str, Any], old: Item | None, where: str
) -> tuple[Tree, Tree] | None:
    """Return settings and secrets as a document wants them; None, and faults, when unfit."""
    place = below(where, "settings")
    if given.get("type", kind.name) != kind.name:
        at.faults.add(f"{place}.type", f"must be {kind.name}")
        return None
    kept = {} if old is None else old.secrets.get("settings", {})
    before = len(at.faults.found)
    whole = fill(given, kept, place, at.faults)
    if len(at.faults.found) > before:
        return None
    try:
        public, secret = sealing.part(kind.settings.model_validate(whole))
    except ValidationError as error:
        at.faults.add_invalid(place, error)
        return None
    public.pop("type", None)
    return public, secret


def seal(at: At, new: Item, old: Item | None) -> bytes | None:
    """Return the secrets sealed: as they are, when they stay."""
    secret = new.secrets.get("settings", {})
    if old is not None and not old.lost and old.secrets.get("settings", {}) == secret:
        blob: bytes | None = old.row.secrets
        return blob
    return sealing.seal_tree(secret, sealer(at))


def dump_settings(at: At, item: Item, *words: str) -> Tree:
    """Return settings with a reference in place of each secret. Raises Problem 409 when lost."""
    if item.lost:
        raise Problem(
            409, f"The secrets of {item.name} cannot be opened: enter them again, then export."
        )
    marks = at.namer.mark(item.secrets.get("settings", {}), *words)
    return sealing.merge(item.fields["settings"], marks)
