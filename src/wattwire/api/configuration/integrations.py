"""Integrations in a configuration, matched by type and name."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import Field

from wattwire.api.configuration.items import Item, Step
from wattwire.api.configuration.references import escape
from wattwire.api.configuration.sealed_settings import (
    dump_settings,
    open_settings,
    read_settings,
    seal,
)
from wattwire.api.configuration.section import MOST, At, read_entries, refuse_twice
from wattwire.api.configured import Configured
from wattwire.api.events import TOPICS
from wattwire.api.fields import DeviceKey
from wattwire.api.integrations import IntegrationCreate, LimitsGiven, new_fields
from wattwire.api.problems import Problem
from wattwire.store import configuration as stored
from wattwire.store import integrations, ledger, replays
from wattwire.store.integrations import IntegrationFields, IntegrationRow

_FIRST: Final = ("type", "name", "enabled", "topics", "devices", "settings")
_APART: Final = {*_FIRST, "device_ids", "limits"}


class IntegrationEntry(IntegrationCreate):
    """An integration; its devices are named by their keys, which are the same on every hub."""

    devices: list[DeviceKey] | None = Field(default=None, max_length=10_000)


class IntegrationSection:
    """Implements `Section`."""

    name: Final = "integrations"
    kind: Final = "integration"
    pruned: Final = True

    async def load(self, at: At) -> list[Item]:
        """Return all of them. Raises Problem 409 when an export could not tell two apart."""
        rows = await stored.integrations(at.db, at.organization_id, MOST[self.name])
        ids = [number for row in rows for number in row.device_ids or ()]
        keys = await stored.device_keys(at.db, at.organization_id, ids)
        items = [_item(at, row, keys) for row in rows]
        if at.document is None:
            _refuse_ambiguous(items)
        return items

    def dump(self, at: At, item: Item) -> dict[str, Any]:
        """Return the entry."""
        plain = escape(item.fields)
        marked = Item(item.name, plain, item.secrets, lost=item.lost)
        words = (item.fields["type"], item.fields["name"])
        return {**plain, "settings": dump_settings(at, marked, *words)}

    async def read(self, at: At, current: Sequence[Item]) -> list[Item]:
        """Return what the document wants."""
        there: dict[str, list[Item]] = defaultdict(list)
        for item in current:
            there[item.name].append(item)
        entries = read_entries(at, self.name, IntegrationEntry)
        known = await _known_devices(at, entries)
        found = (
            _wanted(at, where, entry, there.get(_name(entry.type, entry.name), []), known)
            for where, entry in entries
        )
        items = [item for item in found if item is not None]
        refuse_twice(at, items, "name")
        return items

    async def write(self, at: At, step: Step) -> object:
        """Carry out a step. What waits for one that is deleted is discarded, with that reason."""
        if step.new is None:
            return await _delete(at, step)
        fields = await _fields(at, step.new, step.old)
        if step.old is not None:
            number = step.old.row.id
            return (await integrations.replace(at.db, at.organization_id, number, fields)).id
        type_name = step.new.fields["type"]
        return (await integrations.create(at.db, at.organization_id, type_name, fields)).id


def _name(type_name: str, name: str) -> str:
    return f"{type_name}/{name}"


def _item(at: At, row: IntegrationRow, keys: Mapping[int, str]) -> Item:
    kind = at.call.hub.integration_types.get(row.type)
    settings, secret, lost = open_settings(at, kind, row)
    devices = None if row.device_ids is None else [keys[i] for i in row.device_ids if i in keys]
    fields = _shown(row.type, replace(row, settings=settings), devices)
    return Item(_name(row.type, row.name), fields, {"settings": secret}, row, lost=lost)


def _shown(
    type_name: str, fields: IntegrationFields, devices: Sequence[str] | None
) -> dict[str, Any]:
    """Return an integration as the document has it: every field that people may give."""
    first = {
        "type": type_name,
        "name": fields.name,
        "enabled": fields.enabled,
        "topics": list(fields.topics),
        "devices": None if devices is None else sorted(set(devices)),
        "settings": fields.settings,
    }
    limits = {name: getattr(fields, name) for name in LimitsGiven.model_fields}
    rest = {
        name: _plain(getattr(fields, name))
        for name in IntegrationCreate.model_fields
        if name not in _APART
    }
    return {**first, "limits": limits, **rest}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


async def _known_devices(at: At, entries: Sequence[tuple[str, IntegrationEntry]]) -> set[str]:
    """Return which of the devices named are there, or will be."""
    named = {key for _, entry in entries for key in entry.devices or ()}
    there = await stored.device_ids(at.db, at.organization_id, named)
    return there.keys() | set(at.named("devices", "key") or ())


def _wanted(
    at: At, where: str, entry: IntegrationEntry, there: Sequence[Item], known: set[str]
) -> Item | None:
    """Return an integration as it shall be; None, and faults, when it does not fit."""
    kind = at.call.hub.integration_types.get(entry.type)
    if kind is None:
        names = ", ".join(sorted(at.call.hub.integration_types))
        at.faults.add(f"{where}.type", f"must be one of {names}")
        return None
    if len(there) > 1:
        numbers = " and ".join(str(item.row.id) for item in there)
        at.faults.add(
            f"{where}.name", f"the hub has several {entry.type} of this name, {numbers}: rename one"
        )
        return None
    _check_scope(at, where, entry, known)
    given = read_settings(at, kind, entry.settings, there[0] if there else None, where)
    try:
        fields = new_fields(entry, Configured(given[0] if given else {}, None), kind)
    except Problem as problem:
        at.faults.add_problem(where, problem)
        return None
    if given is None:
        return None
    shown = _shown(entry.type, fields, entry.devices)
    name = _name(entry.type, entry.name)
    return Item(name, shown, {"settings": given[1]}, fields, where)


def _check_scope(at: At, where: str, entry: IntegrationEntry, known: set[str]) -> None:
    """Note topics that do not exist and devices that are not there."""
    if entry.device_ids is not None:
        at.faults.add(f"{where}.device_ids", "name devices by their keys, in `devices`")
    for n, topic in enumerate(entry.topics):
        if topic not in TOPICS:
            at.faults.add(f"{where}.topics[{n}]", f"must be one of {', '.join(TOPICS)}")
    for n, key in enumerate(entry.devices or ()):
        if key not in known:
            at.faults.add(f"{where}.devices[{n}]", f"there is no device {key}")


async def _fields(at: At, new: Item, old: Item | None) -> IntegrationFields:
    """Return the columns: devices by their numbers, secrets sealed."""
    keys = new.fields["devices"]
    fields: IntegrationFields = replace(new.row, secrets=seal(at, new, old))
    if keys is None:
        return fields
    ids = await stored.device_ids(at.db, at.organization_id, keys)
    return replace(fields, device_ids=[ids[key] for key in keys if key in ids])


async def _delete(at: At, step: Step) -> int:
    assert step.old is not None  # noqa: S101 - a deletion has something to delete
    number: int = step.old.row.id
    await replays.purge_queue(at.db, number, ledger.DELETED)
    await integrations.delete(at.db, at.organization_id, number)
    return number


def _refuse_ambiguous(items: Sequence[Item]) -> None:
    """Raise Problem 409 when integrations cannot be told apart by type and name."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for item in items:
        numbers[item.name].append(item.row.id)
    for name, found in numbers.items():
        if len(found) > 1:
            several = " and ".join(map(str, found))
            raise Problem(409, f"There are several integrations {name}, {several}: rename one.")
