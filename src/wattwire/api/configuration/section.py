"""What every kind of thing in a configuration can do; a section of the document each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError

from wattwire.api.configuration.faults import Faults
from wattwire.api.configuration.items import Item, Step
from wattwire.api.configuration.references import Namer
from wattwire.api.identity import Call
from wattwire.api.once import Change

M = TypeVar("M", bound=BaseModel)
Entry = Mapping[str, Any]

#: Things of one kind in one document.
MOST: Final = {
    "devices": 20_000, "sources": 1000, "integrations": 5000, "mqtt_credentials": 20_000,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class At:
    """One reading or applying of a configuration."""

    now: Change
    document: Mapping[str, Any] | None = None  #: None: everything is exported
    faults: Faults = field(default_factory=Faults)
    namer: Namer = field(default_factory=Namer)

    @property
    def db(self) -> Any:
        """The connection whose transaction holds everything."""
        return self.now.db

    @property
    def call(self) -> Call:
        """On whose behalf."""
        return self.now.call

    @property
    def organization_id(self) -> UUID:
        """Whose configuration it is."""
        return self.now.call.organization_id

    def named(self, section: str, name: str) -> list[str] | None:
        """Return the texts of a field in all entries of a section; None when all are exported."""
        if self.document is None:
            return None
        entries = self.document.get(section)
        listed = entries if isinstance(entries, list) else []
        found = (entry.get(name) for entry in listed if isinstance(entry, Mapping))
        return sorted({text for text in found if isinstance(text, str) and "\x00" not in text})


class Section(Protocol):
    """A kind of thing: how it is read from the store and the document, and how it is written."""

    @property
    def name(self) -> str:
        """Name of the section."""

    @property
    def kind(self) -> str:
        """Name of one thing."""

    @property
    def pruned(self) -> bool:
        """Whether what a document does not name may be deleted."""

    async def load(self, at: At) -> Sequence[Item]:
        """Return what is there, by name: all, or at the least what the document names."""

    def dump(self, at: At, item: Item) -> dict[str, Any]:
        """Return a thing as an entry of the document."""

    async def read(self, at: At, current: Sequence[Item]) -> Sequence[Item]:
        """Return what the document wants; what does not fit goes to `at.faults`."""

    async def write(self, at: At, step: Step) -> object:
        """Carry out a step; return the id of the thing."""


def read_entries(at: At, section: str, model: type[M]) -> list[tuple[str, M]]:
    """Return (place, entry) of those entries of a section that fit their model."""
    entries = (at.document or {}).get(section)
    if entries is None:
        return []
    if not isinstance(entries, list):
        at.faults.add(section, "must be a list", "list_type")
        return []
    if len(entries) > MOST[section]:
        at.faults.add(section, f"must have at most {MOST[section]} entries", "too_long")
        return []
    found = ((f"{section}[{n}]", entry) for n, entry in enumerate(entries))
    fitting = ((where, validated(at, where, entry, model)) for where, entry in found)
    return [(where, entry) for where, entry in fitting if entry is not None]


def validated(at: At, where: str, entry: Any, model: type[M]) -> M | None:
    """Return an entry as its model; None, and faults, when it does not fit."""
    try:
        return model.model_validate(entry)
    except ValidationError as error:
        at.faults.add_invalid(where, error)
        return None


def refuse_twice(at: At, items: Sequence[Item], field_name: str) -> None:
    """Note what a document names twice, with both places."""
    first: dict[str, str] = {}
    for item in items:
        if item.name in first:
            at.faults.add(f"{item.where}.{field_name}", f"is the same as {first[item.name]}")
        first.setdefault(item.name, item.where)
