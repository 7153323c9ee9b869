"""Sources in a configuration, matched by name."""

from collections.abc import Sequence
from typing import Any, Final

from wattwire.api.configuration.items import Item, Step
from wattwire.api.configuration.references import escape
from wattwire.api.configuration.sealed_settings import (
    dump_settings,
    open_settings,
    read_settings,
    seal,
)
from wattwire.api.configuration.section import MOST, At, read_entries, refuse_twice
from wattwire.api.sources import SourceCreate
from wattwire.store import configuration as stored
from wattwire.store import sources


class SourceSection:
    """Implements `Section`."""

    name: Final = "sources"
    kind: Final = "source"
    pruned: Final = True

    async def load(self, at: At) -> list[Item]:
        """Return all of them."""
        rows = await stored.sources(at.db, at.organization_id, MOST[self.name])
        return [self._item(at, row) for row in rows]

    def _item(self, at: At, row: sources.SourceRow) -> Item:
        kind = at.call.hub.source_types.get(row.type)
        settings, secret, lost = open_settings(at, kind, row)
        fields = {
            "name": row.name, "type": row.type, "enabled": row.enabled, "settings": settings,
        }  # fmt: skip
        return Item(row.name, fields, {"settings": secret}, row, lost=lost)

    def dump(self, at: At, item: Item) -> dict[str, Any]:
        """Return the entry."""
        plain = escape(item.fields)
        marked = Item(item.name, plain, item.secrets, lost=item.lost)
        return {**plain, "settings": dump_settings(at, marked, "source", item.name)}

    async def read(self, at: At, current: Sequence[Item]) -> list[Item]:
        """Return what the document wants."""
        there = {item.name: item for item in current}
        entries = read_entries(at, self.name, SourceCreate)
        found = (self._wanted(at, where, entry, there.get(entry.name)) for where, entry in entries)
        items = [item for item in found if item is not None]
        refuse_twice(at, items, "name")
        return items

    def _wanted(self, at: At, where: str, entry: SourceCreate, old: Item | None) -> Item | None:
        kind = at.call.hub.source_types.get(entry.type)
        if kind is None:
            known = ", ".join(sorted(at.call.hub.source_types))
            at.faults.add(f"{where}.type", f"must be one of {known}")
            return None
        if old is not None and old.fields["type"] != entry.type:
            was = old.fields["type"]
            at.faults.add(f"{where}.type", f"cannot be changed: {entry.name} is a source {was}")
            return None
        given = read_settings(at, kind, entry.settings, old, where)
        if given is None:
            return None
        settings, secret = given
        fields = {
            "name": entry.name, "type": entry.type, "enabled": entry.enabled, "settings": settings,
        }  # fmt: skip
        return Item(entry.name, fields, {"settings": secret}, where=where)

    async def write(self, at: At, step: Step) -> object:
        """Carry out a step."""
        if step.new is None:
            source_id = _row(step).id
            await sources.delete(at.db, at.organization_id, source_id)
            return source_id
        fields = dict(step.new.fields)
        type_name, secrets = fields.pop("type"), seal(at, step.new, step.old)
        if step.old is not None:
            return (await sources.replace(at.db, _row(step).id, secrets=secrets, **fields)).id
        row = await sources.create(
            at.db, at.organization_id, type=type_name, secrets=secrets, **fields
        )
        return row.id


def _row(step: Step) -> sources.SourceRow:
    assert step.old is not None  # noqa: S101 - who calls has looked
    row: sources.SourceRow = step.old.row
    return row
