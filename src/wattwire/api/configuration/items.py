"""What a configuration is made of, and what differs between two of them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Action = Literal["create", "update", "delete"]
_MISSING: Final = object()
SECRET: Final = "(secret)"  # noqa: S105 - what is shown in place of one
OTHER_SECRET: Final = "(another secret)"  # noqa: S105 - as above


@dataclass(frozen=True, slots=True)
class Item:
    """One thing of a configuration: as it is, or as a document wants it."""

    name: str  #: by which it is matched; unique among its kind
    fields: Mapping[str, Any]  #: as the document has them, without secrets
    secrets: Mapping[str, Any] = field(default_factory=dict)  #: a tree of them, in clear
    row: Any = None  #: as the store has it, or what the store is to be given
    where: str = ""  #: its place in the document
    lost: bool = False  #: its secrets are sealed with a key that is gone


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field before and after; None for one that is not there."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done to one thing."""

    action: Action
    kind: str
    name: str
    old: Item | None = None
    new: Item | None = None
    changes: Sequence[FieldChange] = ()
    queued: Mapping[str, int] | None = None  #: messages that a deletion would discard


def compare(kind: str, old: Item | None, new: Item) -> Step | None:
    """Return how to come from one to the other; None when they are the same."""
    before = Item("", {}) if old is None else old
    hidden = _hidden(before.secrets, new.secrets)
    changes = [*_differences(before.fields, new.fields, [c.field for c in hidden]), *hidden]
    if old is None:
        told = [c for c in changes if c.after not in (None, {}, [])]
        return Step("create", kind, new.name, None, new, told)
    return Step("update", kind, new.name, old, new, changes) if changes else None


def _differences(
    old: Mapping[str, Any], new: Mapping[str, Any], hidden: Sequence[str]
) -> list[FieldChange]:
    before, after = dict(flatten(old)), dict(flatten(new))
    names = [*after, *(name for name in before if name not in after)]
    return [
        FieldChange(name, before.get(name), after.get(name))
        for name in names
        if before.get(name, _MISSING) != after.get(name, _MISSING)
        and not _is_branch(name, before, [*after, *hidden])
        and not _is_branch(name, after, [*before, *hidden])
    ]


def _is_branch(name: str, values: Mapping[str, Any], told: Sequence[str]) -> bool:
    """Return whether this is an empty branch here that has fields elsewhere: those are told."""
    return values.get(name) == {} and any(key.startswith(f"{name}.") for key in told)


def _hidden(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[FieldChange]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    changes = []
    for name in [*after, *(name for name in before if name not in after)]:
        if name not in before:
            changes.append(FieldChange(name, None, SECRET))
        elif name not in after:
            changes.append(FieldChange(name, SECRET, None))
        elif before[name] != after[name]:
            changes.append(FieldChange(name, SECRET, OTHER_SECRET))
    return changes


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yield (dotted name, value) of every leaf; lists are leaves, and so are empty mappings."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _leaves(values: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return ((name, value) for name, value in flatten(values) if value != {})
