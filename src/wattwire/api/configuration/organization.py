"""How an organization treats readings, in a configuration."""

from collections.abc import Sequence
from typing import Any, Final

from wattwire.api.configuration.items import Item, Step
from wattwire.api.configuration.section import At, validated
from wattwire.api.fields import Body
from wattwire.api.problems import not_found
from wattwire.store import organizations


class OrganizationEntry(Body):
    """What is left out stays. The name belongs to the hub, not to the document."""

    auto_register: bool | None = None
    detect_resets: bool | None = None


class OrganizationSection:
    """Implements `Section`; there is one."""

    name: Final = "organization"
    kind: Final = "organization"
    pruned: Final = False

    async def load(self, at: At) -> list[Item]:
        """Return it."""
        row = await organizations.find(at.db, at.organization_id)
        if row is None:
            raise not_found("organization", at.organization_id)
        fields = {name: getattr(row, name) for name in OrganizationEntry.model_fields}
        return [Item(row.name, fields, row=row)]

    def dump(self, at: At, item: Item) -> dict[str, Any]:  # noqa: ARG002 - it has no secrets
        """Return the entry."""
        return dict(item.fields)

    async def read(self, at: At, current: Sequence[Item]) -> list[Item]:
        """Return what the document wants."""
        if (at.document or {}).get(self.name) is None:
            return []
        entry = validated(at, self.name, (at.document or {})[self.name], OrganizationEntry)
        if entry is None:
            return []
        given = entry.model_dump(exclude_none=True)
        return [Item(item.name, {**item.fields, **given}, where=self.name) for item in current]

    async def write(self, at: At, step: Step) -> object:
        """Carry out a step."""
        fields = {} if step.new is None else dict(step.new.fields)
        await organizations.update(at.db, at.organization_id, **fields)
        return at.organization_id
