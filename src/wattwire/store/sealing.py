"""Settings that hold secrets: parted before they are stored, joined again when they are used.

What is secret is what the settings model types as `SecretStr`, wherever it stands in it.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec
from pydantic import BaseModel, SecretBytes, SecretStr

Tree = dict[str, Any]

#: What sealed settings are bound to: nothing sealed for another purpose opens as settings.
SEALING: Final = "settings"


class Sealer(Protocol):
    """Locks secrets with the hub's own key."""

    def seal(self, plain: bytes) -> bytes:
        """Return bytes that only this hub can open."""

    def open(self, sealed: bytes) -> bytes:
        """Return what was sealed. Raises an exception for bytes that another key sealed."""


class Sealers(Protocol):
    """Gives a sealer for each context; what was sealed for one opens for no other."""

    def bound(self, context: str, /) -> Sealer:
        """Return the sealer of a context."""


def part(settings: BaseModel) -> tuple[Tree, Tree]:
    """Return (what may be shown, what must be sealed) as JSON values; empty branches are left out.

    A list that holds a secret anywhere is a secret as a whole.
    """
    return _part(settings.model_dump(mode="python"), settings.model_dump(mode="json"))


def _part(values: Mapping[str, Any], plain: Mapping[str, Any]) -> tuple[Tree, Tree]:
    public: Tree = {}
    secret: Tree = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            shown, hidden = _part(value, plain[name])
            if shown or not hidden:
                public[name] = shown
            if hidden:
                secret[name] = hidden
        elif _holds_secret(value):
            secret[name] = _reveal(value)
        else:
            public[name] = plain[name]
    return public, secret


def _holds_secret(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_secret(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_holds_secret(item) for item in value)
    return isinstance(value, SecretStr | SecretBytes)


def _reveal(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _reveal(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_reveal(item) for item in value]
    if not isinstance(value, SecretStr | SecretBytes):
        return value
    revealed = value.get_secret_value()
    return revealed.decode() if isinstance(revealed, bytes) else revealed


def merge(kept: Mapping[str, Any], given: Mapping[str, Any]) -> Tree:
    """Lay `given` over `kept`, branch by branch; a null in `given` drops what was kept there."""
    merged = {name: value for name, value in kept.items() if name not in given}
    for name, value in given.items():
        old = kept.get(name)
        if isinstance(value, Mapping):
            merged[name] = merge(old if isinstance(old, Mapping) else {}, value)
        elif value is not None or name not in kept:
            merged[name] = value
    return merged


def seal_tree(secret: Tree, sealer: Sealer) -> bytes | None:
    """Return the secrets as stored; None when there are none."""
    return sealer.seal(msgspec.json.encode(secret)) if secret else None


def open_tree(sealed: bytes | None, sealer: Sealer) -> Tree:
    """Return the secrets that `seal_tree` stored."""
    return msgspec.json.decode(sealer.open(sealed), type=dict[str, Any]) if sealed else {}


def join(public: Mapping[str, Any], sealed: bytes | None, sealer: Sealer) -> Tree:
    """Return the whole settings as they were given, secrets included, for the model to validate."""
    return merge(public, open_tree(sealed, sealer))
